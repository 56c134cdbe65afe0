import pytest

from mappings.errors import SettingsError
from mappings.settings import SearchSettings, apply_variant, load_settings


def test_settings_are_read_from_one_line() -> None:
    varied = apply_variant("keyword_weight = 1.5, fusion=rrf,rrf_k=9", SearchSettings())
    assert (varied.keyword_weight, varied.fusion, varied.rrf_k) == (1.5, "rrf", 9)
    assert apply_variant(" ", SearchSettings()) == SearchSettings()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("keyword_weight", "not of the form KEY=VALUE"),
        ("keyword_weigth=1", r"can't vary search.keyword_weigth: did you mean keyword_weight\?"),
        ("window=50", "can't vary search.window"),
        ("rrf_k=0", "search.rrf_k must be a whole number from 1 to 10000, not '0'"),
        ("relevance_weight=0, click_weight=0, purchase_weight=0", "must be above 0"),
    ],
)
def test_what_cannot_be_a_variant(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        apply_variant(text, SearchSettings())


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({}, "experiment.name needs shoppers.key"),
        ({"ATTUNE_SHOPPERS_KEY": "k"}, "are the same settings"),
        ({"ATTUNE_SHOPPERS_KEY": "k", "ATTUNE_EXPERIMENT_SECOND": "x=1"}, "experiment.second: an experiment"),
        ({"ATTUNE_EXPERIMENT_NAME": "No Spaces"}, "up to 40 small letters"),
    ],
)
def test_experiments_that_cannot_start(more: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        load_settings(None, {"ATTUNE_EXPERIMENT_NAME": "words", **more})


def test_an_experiment_that_can() -> None:
    settings = load_settings(
        None,
        {
            "ATTUNE_EXPERIMENT_NAME": "words",
            "ATTUNE_EXPERIMENT_SECOND": "keyword_weight=1",
            "ATTUNE_SHOPPERS_KEY": "k",
        },
    )
    assert settings.experiment.method == "interleave"
