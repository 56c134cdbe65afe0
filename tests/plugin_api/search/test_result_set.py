"""One result set: a text has the same hits by relevance, by price, counted and scrolled."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from mappings.settings import SearchSettings, Settings, SidecarSettings
from mappings.types import Product
from plugin_api.search.query.types import SearchCall
from plugin_api.search.result_set import choose_additions
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.search import Searcher
from reranker.length_scaling import calibrate
from reranker.model import load_model
from tests.fakes.shop import Shop, StandInModel
from tests.plugin_api.search.test_search import ids, report

MOUSE = {"match": {"title": "quiet mouse"}}
ALL_WORDS = {"match": {"title": {"query": "quiet mouse", "operator": "and"}}}
HP = {"term": {"brand": "HP"}}


class Client:
    """Searches in every way that there is."""

    def __init__(self, shop: Shop, **settings: Any) -> None:
        self.shop = shop
        search = SearchSettings(**{"keyword_weight": 0.0, "window": 10, **settings})
        whole = Settings(search=search, sidecar=SidecarSettings(deadline_ms=5000))
        self._search = Searcher(shop, StandInModel(), whole)

    def search(
        self, query: object = MOUSE, params: Mapping[str, str] | None = None, **body: Any
    ) -> dict[str, Any]:
        """Search; return the answer's body."""
        text = json.dumps({"query": query, "size": 100, **body}).encode()
        answer = self._search.answer(SearchCall("shop", text, params or {}))
        found: dict[str, Any] = answer.json()
        assert answer.status == 200, found
        return found

    def count(self, query: object = MOUSE, **body: Any) -> int:
        """Count the hits of a query."""
        text = json.dumps({"query": query, **body}).encode()
        answer = self._search.answer_count(SearchCall("shop", text))
        found: dict[str, Any] = answer.json()
        assert answer.status == 200, found
        assert dict(answer.headers)["x-attune-rerank-status"]
        assert found.keys() == {"count", "_shards"}
        count: int = found["count"]
        return count

    def all_ways(self, query: object = MOUSE, **body: Any) -> list[set[str]]:
        """The hits of a query by relevance, by price, in a scroll and in a point in time."""
        ways: list[dict[str, Any]] = [
            self.search(query, **body),
            self.search(query, sort=["price"], **body),
            self.search(query, {"scroll": "1m"}, **body),
            self.search(query, pit={"id": "x"}, **body),
        ]
        return [set(ids(found)) for found in ways]

    def totals(self, query: object = MOUSE, **body: Any) -> list[int]:
        """The total of a query by relevance, by price, without hits, and counted."""
        found: list[dict[str, Any]] = [
            self.search(query, **body),
            self.search(query, sort=["price"], **body),
            self.search(query, **{**body, "size": 0}),
        ]
        return [*(one["hits"]["total"]["value"] for one in found), self.count(query, **body)]


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.products = {"a": 51, "b": 102, "c": 0}
    shop.near = {"d": 255, "b": 102, "e": 200, "f": 10}  # f is below the floor
    return shop


OWN, ALL = set("abc"), set("abcde")


def test_a_text_has_the_same_hits_however_it_is_searched_for(stocked: Shop) -> None:
    client = Client(stocked)
    assert client.all_ways() == [ALL] * 4
    assert client.totals() == [5] * 4


def test_what_does_not_meet_the_conditions_is_in_none_of_them(stocked: Shop) -> None:
    stocked.outside = {"d"}
    client = Client(stocked)
    query = {"bool": {"must": [MOUSE], "filter": [HP]}}
    assert client.all_ways(query) == [ALL - {"d"}] * 4
    assert client.totals(query) == [4] * 4
    assert "filter" not in json.dumps(near_searches(stocked)[0]["query"]["bool"]["must"])


@pytest.mark.parametrize("floor", [0.0, 0.5, 0.9, 1.0])
def test_the_floor_is_the_least_probability_of_what_is_added(stocked: Shop, floor: float) -> None:
    added = {id_ for id_, byte in stocked.near.items() if byte / 255 >= floor}
    assert Client(stocked, floor=floor).all_ways() == [OWN | added] * 4


def test_with_recall_off_own_hits_alone_are_reordered(stocked: Shop) -> None:
    client = Client(stocked, recall="off")
    assert client.all_ways() == [OWN] * 4
    assert client.totals() == [3] * 4
    assert ids(client.search()) == ["b", "a", "c"]
    assert near_searches(stocked) == []


@pytest.mark.parametrize(("text_hits", "found"), [(9, ALL), (10, OWN)])
def test_fill_adds_where_the_text_alone_finds_less_than_a_page(
    stocked: Shop, text_hits: int, found: set[str]
) -> None:
    stocked.text_hits = text_hits
    client = Client(stocked, recall="fill")
    assert client.all_ways() == [found] * 4
    assert client.totals() == [len(found)] * 4
    assert client.all_ways({"bool": {"must": [MOUSE], "filter": [HP]}}) == [found] * 4


def test_a_precise_search_that_finds_something_has_nothing_added(stocked: Shop) -> None:
    client = Client(stocked)
    assert client.all_ways(ALL_WORDS) == [OWN] * 4
    stocked.products = {}  # no hit meets the conditions, but the text has hits without them
    stocked.text_hits = 3
    query = {"bool": {"must": [ALL_WORDS], "filter": [HP]}}
    assert client.all_ways(query) == [set()] * 4
    assert client.totals(query) == [0] * 4


def test_a_precise_search_that_finds_nothing_at_all_is_rescued_and_says_so(stocked: Shop) -> None:
    stocked.products = {}
    client = Client(stocked)
    assert client.all_ways(ALL_WORDS) == [{"d", "b", "e"}] * 4
    assert client.totals(ALL_WORDS) == [3] * 4
    for body in ({}, {"sort": ["price"]}):
        assert client.search(ALL_WORDS, **body)["ext"]["attune"]["rescued"] is True
        assert "rescued" not in client.search(MOUSE, **body)["ext"]["attune"]


def test_what_is_near_nothing_is_not_rescued(stocked: Shop) -> None:
    stocked.products, stocked.near = {}, {"f": 10}
    body = Client(stocked).search(ALL_WORDS)
    assert (ids(body), report(body)[0]) == ([], "reranked")
    assert "rescued" not in body["ext"]["attune"]


@pytest.mark.parametrize("how", [{"rescue": False}, {"recall": "off"}])
def test_rescues_can_be_turned_off(stocked: Shop, how: dict[str, Any]) -> None:
    stocked.products = {}
    assert Client(stocked, **how).all_ways(ALL_WORDS) == [set()] * 4


def test_a_verbatim_search_has_its_own_hits_alone(stocked: Shop) -> None:
    ext = {"attune": {"verbatim": True}}
    client = Client(stocked)
    assert client.all_ways(ext=ext) == [OWN] * 4
    assert client.totals(ext=ext) == [3] * 4
    assert report(client.search(ext=ext))[0] == "reranked"


@pytest.mark.parametrize("text", ["4006381333931", "LT-017-8492"])
def test_an_identifier_is_answered_by_what_holds_it(stocked: Shop, text: str) -> None:
    stocked.products = {}
    assert Client(stocked).all_ways({"match": {"title": text}}) == [set()] * 4


def test_a_text_that_the_model_can_not_read_has_its_own_hits_alone(stocked: Shop) -> None:
    client = Client(stocked)
    query = {"match": {"title": "苹果手机"}}
    assert client.all_ways(query) == [OWN] * 4
    assert client.totals(query) == [3] * 4
    assert client.search(query, sort=["price"])["ext"]["attune"]["reason_code"] == "own_order"


def test_what_holds_the_texts_number_comes_first(stocked: Shop) -> None:
    stocked.products = {"a": 250, "b": 102, "c": 0}
    stocked.holding = {"c"}
    client = Client(stocked, keyword_weight=0.1)
    assert ids(client.search({"match": {"title": "hp 8492 toner"}})) == ["c", "a", "b"]


def test_where_words_only_order_the_nearest_of_all_hits_come_up(stocked: Shop) -> None:
    client = Client(stocked)
    stocked.products = {"a": 51, "b": 102, "c": 0, "d": 255}
    query = {"bool": {"filter": [HP], "should": [MOUSE]}}
    stocked.near = {"d": 255}
    assert ids(client.search(query))[0] == "d"
    assert client.totals(query) == [4] * 4
    assert all(b'"boost":0' not in body for _, _, body in stocked.sent if b"_name" not in body)


def test_collapsed_groups_are_headed_by_their_best_hits(stocked: Shop) -> None:
    stocked.groups = {"a": "red", "b": "red", "c": "blue", "d": "blue", "e": "green"}
    client = Client(stocked)
    body = client.search(collapse={"field": "group"})
    assert ids(body) == ["d", "e", "b"]
    assert body["hits"]["total"]["value"] == 5
    pages = [client.search(collapse={"field": "group"}, size=1, **{"from": n}) for n in range(4)]
    assert [ids(page) for page in pages] == [["d"], ["e"], ["b"], []]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pages_of_groups_join_below_the_window(shop: Shop, size: int) -> None:
    shop.products = {f"k{n}": (n * 37) % 256 for n in range(20)}
    shop.near = {"v1": 255, "k3": 90, "v2": 200}
    shop.groups = {id_: f"g{n % 7}" for n, id_ in enumerate([*shop.products, *shop.near])}
    client = Client(shop, window=5)
    joined: list[str] = []
    while page := ids(client.search(collapse={"field": "group"}, size=size, **{"from": len(joined)})):
        joined += page
    assert len({shop.groups[id_] for id_ in joined}) == len(joined) == 7


def test_facets_are_asked_once_with_the_page_over_the_whole_set(stocked: Shop) -> None:
    Client(stocked).search(aggs={"brands": {"terms": {"field": "brand"}}})
    [search] = [search for search in searches(stocked) if "aggs" in search]
    assert (search["size"], added_to(search)) == (0, {"d", "b", "e"})


def test_a_sorted_search_goes_on_as_it_came_but_for_its_text(stocked: Shop) -> None:
    query = {"bool": {"must": [MOUSE], "filter": [HP]}}
    sent = {
        "sort": [{"price": "desc"}], "aggs": {"brands": {"terms": {"field": "brand"}}}, "post_filter": HP,
        "search_after": [7], "highlight": {"fields": {"title": {}}}, "track_total_hits": True,
    }  # fmt: skip
    Client(stocked).search(query, **sent)
    last = searches(stocked)[-1]
    assert {key: last[key] for key in sent} == sent
    assert last["query"]["bool"]["filter"] == [HP]
    assert last["query"]["bool"]["must"][0]["bool"]["should"][0] == MOUSE


def test_min_score_is_opensearchs_over_the_texts_own_hits(stocked: Shop) -> None:
    client = Client(stocked)
    assert client.all_ways(min_score=0.1) == [OWN] * 4
    assert all(search.get("min_score") == 0.1 for search in searches(stocked))


class Strange(Shop):
    """Answers the search for the nearest with what is no answer."""

    def request(self, method: str, target: str, headers: Any, body: bytes = b"", *rest: Any) -> Any:
        response = super().request(method, target, headers, body, *rest)
        return response if b'"knn"' not in body else type(response)(200, response.headers, b'{"hits": 7}')


@pytest.mark.parametrize("body", [{}, {"sort": ["price"]}, {"size": 0}])
def test_whatever_fails_leaves_opensearchs_own_hits(body: dict[str, Any]) -> None:
    shop = Strange()
    shop.products, shop.near = {"a": 51, "b": 102}, {"d": 255}
    client = Client(shop)
    found = client.search(**body)
    assert found["hits"]["total"]["value"] == client.count() == 2
    assert report(found)[0] == "failed"


def test_a_refused_count_is_opensearchs_own(stocked: Shop) -> None:
    error = {"error": {"type": "parsing_exception", "reason": "no"}, "status": 400}
    stocked.refuse = {"count": (400, error)}
    text = json.dumps({"query": MOUSE}).encode()
    answer = Client(stocked)._search.answer_count(SearchCall("shop", text))
    assert (answer.status, answer.json()) == (400, error)
    assert json.loads(stocked.sent[-1][2]) == {"query": MOUSE}  # as it came, after the widened one


def searches(shop: Shop) -> list[dict[str, Any]]:
    """The bodies of all searches that came, but those for the state of the index."""
    lines = [line for _, _, lines, _ in shop.requests for line in lines]
    return [line for line in lines if "query" in line]


def near_searches(shop: Shop) -> list[dict[str, Any]]:
    return [search for search in searches(shop) if '"knn"' in json.dumps(search)]


def added_to(search: dict[str, Any]) -> set[str]:
    [added] = [clause for clause in search["query"]["bool"]["should"] if "bool" in clause]
    return set(added["bool"]["must"][0]["ids"]["values"])


def test_long_texts_add_what_has_their_words_by_the_probability_that_is_shown() -> None:
    model = load_model()
    shelf = ["Oak bed frame, queen", "Pillow, memory foam"]
    encoded = model.encode_products([Product(title, title) for title in shelf])
    near = [Hit("shop", title, vectors=each.stored) for title, each in zip(shelf, encoded, strict=True)]
    known = model.encode_query("solid wooden oak thing that grandparents sleep on at night")
    nonsense = model.encode_query("dsilo noewdo kao ihngt taht arpgsnatnerd lespe")
    for query, added in ((known, ["Oak bed frame, queen"]), (nonsense, [])):
        raw = model.score_raw(query, [hit.vectors for hit in near]).tolist()
        probability = {hit.key: each for hit, each in zip(near, raw, strict=True)}
        floor = min(calibrate(query, raw))
        assert max(raw) < floor  # so words alone decide
        chosen = choose_additions(query, near, probability, SearchSettings(floor=floor))
        assert [id_ for _, id_ in chosen] == added
