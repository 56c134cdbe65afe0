"""What `attune tune` has recorded in an index decides how its searches are ranked."""

import json
from typing import Any

import pytest

from mappings.settings import SearchSettings, Settings, SidecarSettings
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from tests.fakes.shop import Shop, StandInModel

SIDECAR = SidecarSettings(deadline_ms=9000)


def make_shop(**tuned: object) -> Shop:
    """Return a shop whose keyword order is a, b, c, and whose model likes c best."""
    shop = Shop()
    shop.products = {"a": 51, "b": 102, "c": 204}
    shop.near = {"d": 250}
    shop.mapping = {"shop-1": {"mappings": {"_meta": {"attune": {"tuning": {"settings": tuned}}}}}}
    return shop


def search(
    shop: Shop, settings: Settings | None = None, text: str = "mouse", **body: object
) -> dict[str, Any]:
    searcher = Searcher(shop, StandInModel(), settings or Settings(sidecar=SIDECAR))
    sent = {"query": {"match": {"title": text}}, **body}
    found: dict[str, Any] = searcher.answer(SearchCall("shop", json.dumps(sent).encode())).json()
    return found


def ids(body: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in body["hits"]["hits"]]


def test_the_recorded_window_and_floor_are_used() -> None:
    assert search(make_shop())["ext"]["attune"]["window"] == 4
    assert search(make_shop(window=2))["ext"]["attune"]["window"] == 2
    assert "d" in ids(search(make_shop()))
    assert "d" not in ids(search(make_shop(floor=1.0)))


def test_what_the_settings_set_is_not_replaced() -> None:
    origins = {"search.window": "attune.toml"}
    settings = Settings(search=SearchSettings(window=3), sidecar=SIDECAR, origins=origins)
    assert search(make_shop(window=2), settings)["ext"]["attune"]["window"] == 3


def test_a_search_may_differ_from_both() -> None:
    body = search(make_shop(window=2), ext={"attune": {"window": 3}})
    assert body["ext"]["attune"]["window"] == 3


def test_a_kept_kind_has_opensearchs_order_and_the_same_result_set() -> None:
    ranked, kept = search(make_shop()), search(make_shop(keep_order="head"))
    assert ids(ranked)[0] == "d"
    assert ids(kept)[:3] == ["a", "b", "c"]
    assert set(ids(kept)) == set(ids(ranked))
    report = kept["ext"]["attune"]
    assert (report["rerank_status"], report["reason_code"]) == ("skipped", "order_kept")
    assert "queries of the kind head" in report["reason"]


def test_other_kinds_are_reranked_and_so_is_a_search_that_says_how() -> None:
    shop = make_shop(keep_order="head")
    assert search(shop, text="mouse for my desk")["ext"]["attune"]["rerank_status"] == "reranked"
    told = search(shop, ext={"attune": {"keyword_weight": 1}})
    assert told["ext"]["attune"]["rerank_status"] == "reranked"


def test_kept_kinds_can_be_turned_off() -> None:
    settings = Settings(
        search=SearchSettings(keep_order="none"),
        sidecar=SIDECAR,
        origins={"search.keep_order": "attune.toml"},
    )
    assert search(make_shop(keep_order="head"), settings)["ext"]["attune"]["rerank_status"] == "reranked"


@pytest.mark.parametrize("broken", [{"window": -1}, {"keep_order": "everything"}, {"floor": "high"}])
def test_a_record_that_is_out_of_bounds_changes_nothing(broken: dict[str, object]) -> None:
    assert ids(search(make_shop(**broken))) == ids(search(make_shop()))


def test_indexes_that_are_tuned_differently_share_no_settings() -> None:
    shop = make_shop(window=2)
    other = {"mappings": {"_meta": {"attune": {"tuning": {"settings": {"window": 3}}}}}}
    shop.mapping["shop-2"] = other
    assert search(shop)["ext"]["attune"]["window"] == 4
