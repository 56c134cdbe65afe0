"""What a query demands is read by the index's vocabulary, and decides where hits stand."""

import json
from typing import Any

import pytest

from mappings.settings import SearchSettings, Settings, SidecarSettings
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from reranker.understanding import learn_vocabulary, pack_facts
from tests.fakes.shop import Shop, StandInModel
from tests.fakes.small_catalogue import make_small_catalogue

CATALOGUE = make_small_catalogue()
VOCABULARY = learn_vocabulary(CATALOGUE).to_text()


@pytest.fixture
def shop() -> Shop:
    """A shop of the small catalogue, in which the model likes the first products best."""
    shop = Shop()
    shop.products = {product.id: 200 - i for i, product in enumerate(CATALOGUE)}
    shop.facts = {product.id: pack_facts(product) for product in CATALOGUE}
    shop.prices = {product.id: product.price or 0.0 for product in CATALOGUE}
    shop.mapping = {"shop-1": {"mappings": {"_meta": {"attune": {"vocabulary": VOCABULARY}}}}}
    return shop


def open_searcher(shop: Shop) -> Searcher:
    """Return a searcher that has read the vocabulary."""
    search = SearchSettings(window=200, keyword_weight=0.0)
    searcher = Searcher(
        shop, StandInModel(), Settings(search=search, sidecar=SidecarSettings(deadline_ms=9000))
    )
    searcher.text_reader.understand(SearchCall("shop"), "any")
    return searcher


def ask(searcher: Searcher, text: str, **options: Any) -> dict[str, Any]:
    """Search for a text; return the answer's body."""
    body = {"query": {"match": {"title": text}}, "size": 5, "ext": {"attune": options}}
    answer = searcher.answer(SearchCall("shop", json.dumps(body).encode()))
    found: dict[str, Any] = answer.json()
    assert answer.status == 200, found
    return found


def ids(body: dict[str, Any]) -> set[str]:
    return {hit["_id"] for hit in body["hits"]["hits"]}


@pytest.mark.parametrize(
    ("text", "kinds", "first"),
    [
        ("32 inch monitor", ["measure", "type"], {f"screen-{i}" for i in range(4, 25, 5)}),
        ("notebook 16gb ram", ["type", "measure"], {f"notebook-{i}" for i in range(2, 20, 4)}),
    ],
)
def test_hits_that_meet_the_demands_come_first(
    shop: Shop, text: str, kinds: list[str], first: set[str]
) -> None:
    body = ask(open_searcher(shop), text)
    assert ids(body) == first
    assert [part["kind"] for part in body["ext"]["attune"]["understood"]] == kinds


def test_prices_and_exclusions_are_not_ranked_by_as_words(shop: Shop) -> None:
    model = StandInModel()
    searcher = Searcher(shop, model, Settings(sidecar=SidecarSettings(deadline_ms=9000)))
    searcher.text_reader.understand(SearchCall("shop"), "any")
    body = ask(searcher, "mouse without cable under 20")
    assert body["ext"]["attune"]["text"] == "mouse"
    assert "mouse without cable under 20" not in model.texts


def test_further_hits_are_those_of_the_own_query_that_meet_the_demands(shop: Shop) -> None:
    ask(open_searcher(shop), "mouse under 20")
    _, _, lines, _ = shop.requests[0]
    queries = [
        line["query"]["bool"] for line in lines[1::2] if "filter" in line.get("query", {}).get("bool", {})
    ]
    [further] = queries
    assert further["must"] == [{"match": {"title": "mouse under 20"}}]
    [price] = further["filter"]
    assert price["bool"]["should"] == [{"range": {"attune.price": {"gte": 0.0, "lte": 20.0}}}]


def test_the_nearest_products_that_meet_the_demands_are_added(shop: Shop) -> None:
    shop.near = {"near": 200}
    body = ask(open_searcher(shop), "mouse under 20")
    searches = [line["query"] for _, _, lines, _ in shop.requests for line in lines if "query" in line]
    near = [knn for query in searches if (knn := find_knn(query))]
    assert [knn.get("filter") for knn in near] == [
        None,
        {"bool": {"filter": [{"bool": {
            "should": [{"range": {"attune.price": {"gte": 0.0, "lte": 20.0}}}],
            "minimum_should_match": 1}}]}},
    ]  # fmt: skip
    assert body["hits"]["total"]["value"] == len(shop.products) + 1


def find_knn(query: dict[str, Any]) -> dict[str, Any] | None:
    """Return a k-NN query, alone or beside named clauses."""
    alone = query.get("bool", {}).get("must", [{}])[0] if "bool" in query else query
    found: dict[str, Any] | None = alone.get("knn", {}).get("attune.vector")
    return found


def test_a_verbatim_search_is_not_understood(shop: Shop) -> None:
    body = ask(open_searcher(shop), "32 inch monitor", verbatim=True)
    assert "understood" not in body["ext"]["attune"]
    assert ids(body) == {f"screen-{i}" for i in range(5)}


def test_an_index_without_a_vocabulary_ranks_as_before(shop: Shop) -> None:
    shop.mapping = {}
    body = ask(open_searcher(shop), "32 inch monitor")
    assert "understood" not in body["ext"]["attune"]
    assert ids(body) == {f"screen-{i}" for i in range(5)}


def test_hits_without_facts_keep_their_places(shop: Shop) -> None:
    shop.facts = {}
    assert ids(ask(open_searcher(shop), "32 inch monitor")) == {f"screen-{i}" for i in range(5)}


def test_a_vocabulary_that_cannot_be_read_is_none(shop: Shop) -> None:
    shop.mapping = {"shop-1": {"mappings": {"_meta": {"attune": {"vocabulary": "no base64"}}}}}
    searcher = open_searcher(shop)
    assert searcher.text_reader.understand(SearchCall("shop"), "32 inch monitor") is None
    assert ids(ask(searcher, "32 inch monitor")) == {f"screen-{i}" for i in range(5)}


def test_indexes_with_different_vocabularies_have_none_in_common(shop: Shop) -> None:
    other = learn_vocabulary(CATALOGUE[:100]).to_text()
    shop.mapping["shop-2"] = {"mappings": {"_meta": {"attune": {"vocabulary": other}}}}
    assert open_searcher(shop).text_reader.understand(SearchCall("shop"), "32 inch monitor") is None


def open_filtering(shop: Shop, kinds: str) -> Searcher:
    search = SearchSettings(window=200, keyword_weight=0.0, filter_demands=kinds)
    return Searcher(shop, StandInModel(), Settings(search=search, sidecar=SidecarSettings(deadline_ms=9000)))


def search_with_facets(shop: Shop, searcher: Searcher, **options: Any) -> list[Any]:
    """Return the filters of the search that facets and totals come from."""
    facets = {"brands": {"terms": {"field": "brand"}}}
    body = {"query": {"match": {"title": "mouse under 20"}}, "aggs": facets, "ext": {"attune": options}}
    assert searcher.answer(SearchCall("shop", json.dumps(body).encode())).status == 200
    around = [
        line for _, _, lines, _ in shop.requests for line in lines if "aggs" in line and "query" in line
    ]
    return [line["query"].get("bool", {}).get("filter") for line in around]


def test_demands_are_conditions_where_the_setting_says_so(shop: Shop) -> None:
    under = {"range": {"attune.price": {"gte": 0.0, "lte": 20.0}}}
    price = {"bool": {"should": [under], "minimum_should_match": 1}}
    assert search_with_facets(shop, open_filtering(shop, "price, absence")) == [[price]]


@pytest.mark.parametrize(("kinds", "options"), [("", {}), ("measure", {}), ("price", {"verbatim": True})])
def test_other_demands_are_no_conditions(shop: Shop, kinds: str, options: dict[str, Any]) -> None:
    assert search_with_facets(shop, open_filtering(shop, kinds), **options) == [None]


def test_counts_keep_to_the_same_conditions(shop: Shop) -> None:
    body = json.dumps({"query": {"match": {"title": "mouse under 20"}}}).encode()
    open_filtering(shop, "price").answer_count(SearchCall("shop", body, action="_count"))
    [counted] = [lines[0]["query"]["bool"] for path, _, lines, _ in shop.requests if path.endswith("_count")]
    assert counted["filter"]
