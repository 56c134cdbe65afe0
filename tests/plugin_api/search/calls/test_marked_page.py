import json
from typing import Any

import pytest

from mappings.errors import BadRequest
from plugin_api.search.answer import Answer, error_answer
from plugin_api.search.calls.marked_page import MarkedPage, check_marked
from plugin_api.search.query.types import SearchCall

SUITING, BREAKING = [f"s{n}" for n in range(7)], [f"b{n}" for n in range(5)]


class Shop:
    """Answers the two parts of a search as OpenSearch does, and remembers what was asked."""

    def __init__(self, plain_totals: bool = False, refuses: str = "") -> None:
        self._plain, self._refuses = plain_totals, refuses
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def search(self, call: SearchCall) -> Answer:
        body = json.loads(call.body)
        part = body["part"]
        self.asked.append((part, body))
        if part == self._refuses:
            return error_answer(400, "x", "refused")
        ids = {"s": SUITING, "b": BREAKING, "both": SUITING + BREAKING}[part]
        total: Any = len(ids) if self._plain else {"value": len(ids), "relation": "eq"}
        hits = [{"_id": each} for each in ids[body["from"] : body["from"] + body["size"]]]
        answer = {"hits": {"total": total, "max_score": None if part == "s" else 2.5, "hits": hits}}
        around = {"aggregations": {"all": len(ids)}} if "aggs" in body else {}
        return Answer(200, json.dumps({**answer, **around}).encode())


def fetch(shop: Shop, body: dict[str, Any], **params: str) -> Any:
    parts = [SearchCall.of("x", json.dumps({**body, "part": p}).encode(), params) for p in ("s", "b", "both")]
    return MarkedPage(*parts).fetch(shop.search).json()


@pytest.mark.parametrize("size", [1, 3, 4, 7, 12, 20])
def test_pages_show_all_that_suits_before_all_that_does_not(size: int) -> None:
    pages = [fetch(Shop(), {"from": start, "size": size})["hits"] for start in range(0, 14, size)]
    assert [hit["_id"] for page in pages for hit in page["hits"]] == SUITING + BREAKING
    assert {page["total"]["value"] for page in pages} == {12}
    assert pages[0]["max_score"] == 2.5


def test_the_url_says_which_page_it_is_and_totals_may_be_numbers() -> None:
    hits = fetch(Shop(plain_totals=True), {"size": 1}, **{"from": "6", "size": "2"})["hits"]
    assert [hit["_id"] for hit in hits["hits"]] == ["s6", "b0"]
    assert hits["total"] == 12


def test_facets_are_of_both_parts() -> None:
    shop = Shop()
    assert fetch(shop, {"aggs": {"all": {}}})["aggregations"] == {"all": 12}
    assert [part for part, body in shop.asked if "aggs" in body] == ["both"]


@pytest.mark.parametrize("part", ["s", "b", "both"])
def test_what_opensearch_refuses_is_refused(part: str) -> None:
    assert fetch(Shop(refuses=part), {"aggs": {}})["status"] == 400


@pytest.mark.parametrize("value", [-1, "x", None, [1]])
def test_a_page_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(BadRequest, match="from must be a whole number"):
        fetch(Shop(), {"from": value})


@pytest.mark.parametrize("key", ["search_after", "slice", "collapse"])
def test_other_ways_to_page_are_refused(key: str) -> None:
    with pytest.raises(BadRequest, match=key):
        check_marked(SearchCall.of("x", json.dumps({key: {}}).encode()))
    with pytest.raises(BadRequest, match="scroll"):
        check_marked(SearchCall.of("x", b"{}", {"scroll": "1m"}))
