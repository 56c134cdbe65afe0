import msgspec
import pytest

from mappings.settings import UNTUNED, SearchSettings, TunedSettings
from reranker.understanding.kinds import QUERY_KINDS

TUNED = TunedSettings(window=50, keyword_weight=1.5, keep_order="model, price")


def test_chosen_settings_replace_defaults() -> None:
    settings = TUNED.over(SearchSettings(), {})
    assert (settings.window, settings.keyword_weight) == (50, 1.5)
    assert settings.kept_kinds == ("model", "price")
    assert settings.vector_weight == SearchSettings().vector_weight


def test_what_a_file_or_the_environment_sets_stays() -> None:
    origins = {"search.window": "attune.toml", "search.keep_order": "ATTUNE_SEARCH_KEEP_ORDER"}
    settings = TUNED.over(SearchSettings(window=200, keep_order="none"), origins)
    assert (settings.window, settings.keyword_weight) == (200, 1.5)
    assert not {"model", "price"} & set(settings.kept_kinds)


def test_nothing_chosen_changes_nothing() -> None:
    assert UNTUNED.over(SearchSettings(window=7), {}) == SearchSettings(window=7)


@pytest.mark.parametrize(
    "values", [{"window": 0}, {"floor": 2}, {"keyword_weight": -1}, {"keep_order": "everything"}]
)
def test_values_out_of_bounds_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, TunedSettings)


def test_every_kind_of_query_can_be_kept() -> None:
    named = ", ".join(QUERY_KINDS)
    assert msgspec.convert({"keep_order": named}, TunedSettings).keep_order == named
