from dataclasses import replace

import pytest
from opensearchpy import OpenSearch

from mappings.settings import IndexSettings, OpenSearchSettings, Settings
from plugin_api.commands.index.tuning import find_template, tune_rebuilt_index
from plugin_api.tuning.report import TuningReport

NOWHERE = "http://127.0.0.1:9"
SETTINGS = Settings(opensearch=OpenSearchSettings(url=NOWHERE))


@pytest.fixture
def client() -> OpenSearch:
    return OpenSearch(NOWHERE, timeout=1, max_retries=0)


def tune(client: OpenSearch, settings: Settings, products: int, warnings: list[str]) -> TuningReport | None:
    return tune_rebuilt_index(
        client, settings, "shop", products, None, None, lambda: None, warnings.append
    )  # fmt: skip


def test_a_check_up_that_fails_is_told_of_and_fails_no_rebuild(client: OpenSearch) -> None:
    warnings: list[str] = []
    assert tune(client, SETTINGS, 10_000, warnings) is None
    assert len(warnings) == 1
    assert "search settings stay as they are" in warnings[0]
    assert find_template(client, "shop") is None


@pytest.mark.parametrize(("seconds", "products"), [(0.0, 10_000), (20.0, 100)])
def test_it_can_be_turned_off_and_small_catalogues_have_none(
    client: OpenSearch, seconds: float, products: int
) -> None:
    warnings: list[str] = []
    settings = replace(SETTINGS, index=IndexSettings(tune_seconds=seconds))
    assert tune(client, settings, products, warnings) is None
    assert warnings == []
