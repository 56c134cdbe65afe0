"""A search is ranked by its corrected text, finds what it would have found as it came, and says so."""

import json
from typing import Any

import pytest

from mappings.settings import Settings, SidecarSettings
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from reranker.understanding import learn_vocabulary
from tests.fakes.shop import Shop, StandInModel
from tests.fakes.small_catalogue import make_small_catalogue

VOCABULARY = learn_vocabulary(make_small_catalogue()).to_text()
TYPED = {"query": {"match": {"title": "noteboock"}}}


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.products = {"own": 10}
    shop.near = {"near": 250}
    shop.mapping = {"shop-1": {"mappings": {"_meta": {"attune": {"vocabulary": VOCABULARY}}}}}
    return shop


@pytest.fixture
def model() -> StandInModel:
    return StandInModel()


def ask(shop: Shop, model: StandInModel, body: dict[str, Any], action: str = "") -> dict[str, Any]:
    searcher = Searcher(shop, model, Settings(sidecar=SidecarSettings(deadline_ms=9000)))
    searcher.text_reader.understand(SearchCall("shop"), "any")
    call = SearchCall("shop", json.dumps(body).encode())
    answer = searcher.answer_count(call) if action == "count" else searcher.answer(call)
    found: dict[str, Any] = answer.json()
    assert answer.status == 200, found
    return found


def test_products_are_found_and_ranked_by_the_corrected_text(shop: Shop, model: StandInModel) -> None:
    body = ask(shop, model, TYPED)
    report = body["ext"]["attune"]
    assert (report["corrected"], report["original"]) == ("notebook", "noteboock")
    assert report["text"] == "notebook"
    assert "noteboock" not in model.texts
    assert [hit["_id"] for hit in body["hits"]["hits"]] == ["near", "own"]


def test_opensearch_is_asked_for_the_text_as_it_came(shop: Shop, model: StandInModel) -> None:
    ask(shop, model, TYPED)
    sent = [json.dumps(line) for _, _, lines, _ in shop.requests for line in lines]
    assert any('"noteboock"' in line for line in sent)
    assert not any('"notebook"' in line for line in sent)


def test_a_verbatim_search_is_not_corrected(shop: Shop, model: StandInModel) -> None:
    body = ask(shop, model, {**TYPED, "ext": {"attune": {"verbatim": True}}})
    assert "corrected" not in body["ext"]["attune"]
    assert model.texts[-1] == "noteboock"


def test_a_text_without_errors_is_not_said_to_be_corrected(shop: Shop, model: StandInModel) -> None:
    report = ask(shop, model, {"query": {"match": {"title": "notebook"}}})["ext"]["attune"]
    assert not {"corrected", "original"} & report.keys()


def test_a_word_that_only_the_index_knows_is_not_changed(shop: Shop, model: StandInModel) -> None:
    shop.words = {"noteboock"}  # of a product that came after the vocabulary was learnt
    assert "corrected" not in ask(shop, model, TYPED)["ext"]["attune"]


def test_nothing_is_corrected_where_the_index_does_not_tell(shop: Shop, model: StandInModel) -> None:
    shop.refuse["word"] = (503, {"error": {"type": "overloaded", "reason": "busy"}, "status": 503})
    assert "corrected" not in ask(shop, model, TYPED)["ext"]["attune"]


def test_an_index_without_a_vocabulary_is_not_asked(shop: Shop, model: StandInModel) -> None:
    shop.mapping = {}
    assert "corrected" not in ask(shop, model, TYPED)["ext"]["attune"]


@pytest.mark.parametrize(
    "query",
    [
        {"match_phrase_prefix": {"title": "noteboock"}},
        {"match_bool_prefix": {"title": "noteboock"}},
        {"multi_match": {"query": "noteboock", "fields": ["title"], "type": "bool_prefix"}},
    ],
)
def test_the_beginning_of_a_word_is_no_error(shop: Shop, model: StandInModel, query: dict[str, Any]) -> None:
    assert "corrected" not in ask(shop, model, {"query": query})["ext"]["attune"]


def test_other_orders_and_counts_have_the_same_products(shop: Shop, model: StandInModel) -> None:
    body = ask(shop, model, {**TYPED, "sort": ["price"]})
    assert body["ext"]["attune"]["corrected"] == "notebook"
    assert {hit["_id"] for hit in body["hits"]["hits"]} == {"own", "near"}
    assert ask(shop, model, TYPED, "count")["count"] == 2


def test_the_index_is_asked_once_for_a_word(shop: Shop, model: StandInModel) -> None:
    searcher = Searcher(shop, model, Settings(sidecar=SidecarSettings(deadline_ms=9000)))
    searcher.text_reader.understand(SearchCall("shop"), "any")
    for _ in range(2):
        searcher.answer(SearchCall("shop", json.dumps(TYPED).encode()))
    asked = [lines for _, _, lines, _ in shop.requests for line in lines if line.get("size") == 1]
    assert len(asked) == 1
