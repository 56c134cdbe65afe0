import json
from dataclasses import replace
from typing import Any

import pytest

from mappings.settings import SearchSettings, Settings, SidecarSettings
from plugin_api.search.memory.ranking_cache import NewRanking, RankingCache
from plugin_api.search.query.request import parse_call
from plugin_api.search.query.types import RerankRequest, SearchCall
from plugin_api.search.ranking import RankedHits
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.retrieval.index_fingerprint import FINGERPRINT_SEARCH, NO_FINGERPRINT, IndexFingerprint
from plugin_api.search.search import Searcher
from plugin_api.search.timing import SearchTiming
from tests.fakes.shop import Shop, StandInModel
from tests.plugin_api.search.test_search import MOUSE, ids

ANN, BOB = {"authorization": "Basic ann"}, {"authorization": "Basic bob"}


class Counting(StandInModel):
    """Counts how often it scored."""

    scored = 0

    def score_raw(self, *args: Any) -> Any:
        self.scored += 1
        return super().score_raw(*args)


class Asking:
    """A Search and its model, asked as a client does."""

    def __init__(self, shop: Shop, seconds: float = 10.0) -> None:
        self.model = Counting()
        settings = SearchSettings(window=10, keyword_weight=0.0, cache_seconds=seconds)
        whole = Settings(search=settings, sidecar=SidecarSettings(deadline_ms=5000))
        self.search = Searcher(shop, self.model, whole, timing=SearchTiming(settle_seconds=0.0))

    def __call__(self, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
        call = SearchCall("shop", json.dumps({"query": MOUSE, **body}).encode(), headers=headers or ANN)
        found: dict[str, Any] = self.search.answer(call).json()
        assert found["ext"]["attune"]["rerank_status"] == "reranked", found
        return found


def is_cached(body: dict[str, Any]) -> bool:
    return bool(body["ext"]["attune"].get("cached", False))


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.products = {"a": 51, "b": 102, "c": 0}
    shop.near = {"d": 255, "b": 102}
    return shop


@pytest.fixture
def ask(stocked: Shop) -> Asking:
    """A search whose window is kept from here on."""
    asking = Asking(stocked)
    assert not is_cached(asking(aggs={"brands": {}}))  # in which state the index is, is known from now on
    assert not is_cached(asking(aggs={"brands": {}}))
    return asking


def test_a_kept_window_answers_as_the_ranked_one_did(stocked: Shop, ask: Asking) -> None:
    fresh = Asking(stocked)(aggs={"brands": {}})
    scored, asked = ask.model.scored, len(stocked.requests)
    body = ask(aggs={"brands": {}})
    assert is_cached(body)
    assert ask.model.scored == scored
    assert len(stocked.requests) == asked + 1
    assert set(body["ext"]["attune"].pop("took_ms")) == {"encode", "search", "score", "fetch"}
    fresh["ext"]["attune"].pop("took_ms")
    assert body.pop("ext") == {"attune": fresh.pop("ext")["attune"] | {"cached": True}}
    assert body.pop("took") >= 0
    del fresh["took"]
    assert body == fresh


def test_a_kept_window_keeps_its_total_where_hits_alone_are_requested(stocked: Shop) -> None:
    ask = Asking(stocked)
    fresh, _, again = ask(), ask(), ask()
    assert is_cached(again)
    assert again["hits"] == fresh["hits"]
    page, fingerprint = stocked.requests[-1][2][1::2]
    assert (page["size"], set(fingerprint["aggs"])) == (4, {"indexes"})


class Warns(Shop):
    """Warns of the searches' own query."""

    def request(self, method: str, target: str, headers: Any, body: bytes = b"", *rest: Any) -> Any:
        response = super().request(method, target, headers, body, *rest)
        warning = [("Warning", '299 OpenSearch "deprecated"')] if b'"mouse"' in body else []
        return replace(response, headers=(*response.headers, *warning))


def test_opensearch_warns_of_every_search_anew(stocked: Shop) -> None:
    shop = Warns()
    shop.products, shop.near = stocked.products, stocked.near
    search = Asking(shop).search
    call = SearchCall("shop", json.dumps({"query": MOUSE}).encode(), headers=ANN)
    answers = [search.answer(call) for _ in range(3)]
    assert is_cached(answers[-1].json())
    assert all("Warning" in dict(answer.headers) for answer in answers)


def test_pages_of_a_kept_window_join_to_the_whole(stocked: Shop, ask: Asking) -> None:
    whole = ids(ask(aggs={"brands": {}}, size=4))
    pages = [ask(aggs={"brands": {}}, **{"from": start, "size": 1}) for start in range(4)]
    assert all(map(is_cached, pages))
    assert [found for page in pages for found in ids(page)] == whole == ["d", "b", "a", "c"]


def test_a_page_below_all_hits_is_empty(ask: Asking) -> None:
    body = ask(aggs={"brands": {}}, **{"from": 4, "size": 2})
    assert is_cached(body)
    assert ids(body) == []
    assert body["hits"]["total"]["value"] == 4


def test_a_change_of_the_index_is_seen_at_once(stocked: Shop, ask: Asking) -> None:
    assert is_cached(ask(aggs={"brands": {}}))
    stocked.near["e"] = 254
    stocked.writes += 1
    body = ask(aggs={"brands": {}})
    assert not is_cached(body)
    assert ids(body) == ["d", "e", "b", "a", "c"]


def test_a_change_while_it_is_ranked_is_never_kept_over(stocked: Shop) -> None:
    ask = Asking(stocked)
    ask()
    stocked.writes += 1  # between the state that is known and this search
    ask()
    body = ask()
    assert not is_cached(body)
    assert is_cached(ask())


@pytest.mark.parametrize(
    "other",
    [
        {"headers": BOB},
        {"query": {"match": {"title": "keyboard"}}},
        {"post_filter": {"term": {"brand": "acme"}}},
        {"ext": {"attune": {"keyword_weight": 1}}},
    ],
)
def test_a_window_serves_only_the_search_that_it_was_ranked_for(ask: Asking, other: dict[str, Any]) -> None:
    assert is_cached(ask(aggs={"brands": {}}))
    assert not is_cached(ask(**{"aggs": {"brands": {}}, **other}))


def test_callers_are_told_apart_by_what_opensearch_knows_them_by(ask: Asking) -> None:
    assert is_cached(ask(ANN | {"x-request-id": "7"}, aggs={"brands": {}}))
    assert not is_cached(ask(ANN | {"opendistro_security_impersonate_as": "bob"}, aggs={"brands": {}}))


def test_callers_behind_a_trusted_proxy_are_told_apart(ask: Asking) -> None:
    assert not is_cached(ask(ANN | {"x-forwarded-for": "10.0.0.7"}, aggs={"brands": {}}))


def test_totals_and_aggregations_are_those_of_now(stocked: Shop, ask: Asking) -> None:
    stocked.aggregations = {"brands": {"buckets": [{"key": "HP", "doc_count": 3}]}}
    body = ask(aggs={"brands": {}})
    assert is_cached(body)
    assert body["aggregations"] == stocked.aggregations


def test_hits_that_are_not_shown_any_more_make_it_ranked_anew(stocked: Shop, ask: Asking) -> None:
    gone = {"took": 1, "hits": {"max_score": None, "hits": []}}
    stocked.refuse = {"fetch": (200, gone)}
    assert not is_cached(ask(aggs={"brands": {}}))


@pytest.mark.parametrize(
    "state",
    [
        (403, {"error": {"type": "security_exception", "reason": "no permissions"}, "status": 403}),
        (200, {"timed_out": True, "aggregations": {"indexes": {"buckets": []}}}),
        (200, {"_shards": {"failed": 1}, "aggregations": {"indexes": {"buckets": []}}}),
        (200, {"aggregations": {"indexes": {"buckets": [{"doc_count": 1_000_001}]}}}),
        (200, {"hits": {}}),
    ],
)
def test_without_a_state_nothing_is_kept_and_it_is_not_asked_for_again(
    stocked: Shop, state: tuple[int, dict[str, Any]]
) -> None:
    stocked.refuse = {"state": state}
    ask = Asking(stocked)
    assert not any(is_cached(ask()) for _ in range(4))
    lists = [lines[1::2] for path, _, lines, _ in stocked.requests if path.endswith("_msearch")]
    requested = [any("indexes" in search.get("aggs", {}) for search in searches) for searches in lists]
    assert requested == [True, *3 * [False]]


@pytest.mark.parametrize(
    "body",
    [
        {"query": {"bool": {"must": [MOUSE], "filter": [{"range": {"sold": {"gte": "now-1d"}}}]}}},
        {"size": 11},
        {"from": 10, "size": 1},
        {"min_score": 0.1},
        {"collapse": {"field": "group"}},
    ],
)
def test_what_changes_by_itself_or_leaves_the_window_is_not_kept(stocked: Shop, body: dict[str, Any]) -> None:
    ask = Asking(stocked)
    assert not any(is_cached(ask(**body)) for _ in range(4))


def test_it_can_be_turned_off(stocked: Shop) -> None:
    ask = Asking(stocked, seconds=0)
    assert not any(is_cached(ask()) for _ in range(4))
    assert not any(FINGERPRINT_SEARCH in lines for _, _, lines, _ in stocked.requests)


class Counted:
    """Searches by price and counts of what they add, as a client does them."""

    def __init__(self, shop: Shop, settle_seconds: float = 0.0) -> None:
        self.shop, self.model = shop, Counting()
        settings = Settings(sidecar=SidecarSettings(deadline_ms=5000))
        self.search = Searcher(shop, self.model, settings, timing=SearchTiming(settle_seconds=settle_seconds))

    def by_price(self, headers: dict[str, str] | None = None, **body: Any) -> list[str]:
        """Search by price; return the ids of all hits."""
        search = {"query": MOUSE, "sort": ["price"], "size": 100, **body}
        call = SearchCall("shop", json.dumps(search).encode(), headers=headers or ANN)
        return ids(self.search.answer(call).json())

    def count(self, **body: Any) -> int:
        """Count the hits."""
        call = SearchCall("shop", json.dumps({"query": MOUSE, **body}).encode(), headers=ANN)
        found: int = self.search.answer_count(call).json()["count"]
        return found


@pytest.fixture
def counted(stocked: Shop) -> Counted:
    """Searches whose additions are cached from here on."""
    counted = Counted(stocked)
    for _ in range(2):
        assert counted.by_price() == ["a", "b", "c", "d"]
    return counted


def test_what_is_added_to_a_text_is_found_once(stocked: Shop, counted: Counted) -> None:
    scored = counted.model.scored
    narrowed = {"bool": {"must": [MOUSE], "filter": [{"term": {"brand": "HP"}}]}}
    assert counted.by_price() == counted.by_price(query=narrowed) == ["a", "b", "c", "d"]
    assert counted.by_price(sort=["brand"]) == ["a", "b", "c", "d"]
    assert (counted.count(), counted.count(query=narrowed)) == (4, 4)
    assert counted.model.scored == scored


def test_what_is_added_follows_the_index_at_once(stocked: Shop, counted: Counted) -> None:
    stocked.near["e"] = 254
    stocked.writes += 1
    assert counted.by_price() == ["a", "b", "c", "d", "e"]
    del stocked.near["d"]
    stocked.writes += 1
    assert counted.count() == 4


@pytest.mark.parametrize(
    "other",
    [
        {"headers": BOB},
        {"query": {"match": {"title": "keyboard"}}},
        {"ext": {"attune": {"window": 7}}},
    ],
)
def test_additions_serve_only_the_text_and_the_caller_that_they_were_found_for(
    counted: Counted, other: dict[str, Any]
) -> None:
    scored = counted.model.scored
    counted.by_price(**other)
    assert counted.model.scored == scored + 1


def test_additions_to_an_index_that_has_just_changed_are_not_cached(stocked: Shop) -> None:
    counted = Counted(stocked, settle_seconds=1000.0)
    for expected in (1, 2, 3):
        assert counted.count() == 4
        assert counted.model.scored == expected


def test_a_rescue_is_told_wherever_its_additions_come_from(stocked: Shop, counted: Counted) -> None:
    stocked.text_hits = 0
    precise = {"match": {"title": {"query": "mouse", "operator": "and"}}}
    body = json.dumps({"query": precise, "sort": ["price"]}).encode()
    answer = counted.search.answer(SearchCall("shop", body, headers=ANN)).json()
    assert answer["ext"]["attune"]["rescued"] is True
    body = json.dumps({"query": MOUSE, "sort": ["price"]}).encode()
    answer = counted.search.answer(SearchCall("shop", body, headers=ANN)).json()
    assert "rescued" not in answer["ext"]["attune"]


def request_of(text: str) -> RerankRequest:
    request = parse_call(SearchCall("shop", json.dumps({"query": {"match": {"title": text}}}).encode()))
    assert isinstance(request, RerankRequest)
    return request


def ranking_of(hits: int) -> RankedHits:
    return RankedHits(tuple(Hit("shop-1", str(n)) for n in range(hits)), hits, 0, "v1")


def seen(digest: bytes) -> IndexFingerprint:
    return IndexFingerprint(digest, 1)


def test_an_index_that_has_just_changed_has_no_ranking_cached() -> None:
    now = 0.0
    cache = RankingCache(10.0, settle_seconds=2.0, clock=lambda: now)
    key = cache.key(request_of("mouse"))
    assert key
    digests = []
    for digest in (b"one", b"one", b"two", b"two", b"two"):
        new = cache.begin(key)
        digests.append(new.digest)
        cache.finish(new, seen(digest), ranking_of(1))
        now += 1.5
    assert digests == [b"", b"", b"one", b"", b"two"]


def test_a_fingerprint_that_was_just_seen_is_not_requested_again() -> None:
    now = 0.0
    cache = RankingCache(10.0, settle_seconds=0.5, clock=lambda: now)
    key = cache.key(request_of("mouse"))
    assert key
    requested = []
    for now in (0.0, 0.4, 0.6, 1.3, 1.5, 2.4, 2.6):
        new = cache.begin(key)
        requested.append(new.shards)
        cache.finish(new, seen(b"one") if new.shards else NO_FINGERPRINT, ranking_of(1))
        is_settled = now >= 0.5
        assert bool(cache.get(key)) == is_settled
    assert requested == [1, 1, 0, 0, 1, 0, 1]


def test_an_index_that_an_alias_is_moved_back_to_has_its_rankings_made_anew() -> None:
    now = 0.0
    cache = RankingCache(10.0, settle_seconds=0.0, clock=lambda: now)
    key = cache.key(request_of("mouse"))
    assert key
    cache.observe(key, seen(b"one"))
    cache.finish(cache.begin(key), NO_FINGERPRINT, ranking_of(1))  # perhaps of the other index already
    assert cache.get(key)
    now = 0.5
    cache.observe(key, seen(b"other"))
    now = 1.0
    cache.observe(key, seen(b"one"))
    assert cache.get(key) is None


def test_rankings_grow_old_and_are_bounded() -> None:
    now = 0.0
    cache = RankingCache(10.0, clock=lambda: now, max_bytes=4000)

    def put(text: str, hits: int) -> None:
        key = cache.key(request_of(text))
        assert key
        cache.observe(key, seen(b"digest"))
        new = NewRanking(key, b"digest", since=cache.begin(key).since)
        cache.finish(new, NO_FINGERPRINT, ranking_of(hits))

    def is_there(text: str) -> bool:
        key = cache.key(request_of(text))
        return key is not None and cache.get(key) is not None

    for text in ("mouse", "lamp", "desk"):
        put(text, 2)
    assert [is_there(text) for text in ("mouse", "lamp", "desk")] == [False, True, True]
    put("chair", 10)
    assert not is_there("chair")
    now = 10.5
    assert not is_there("lamp")
    put("lamp", 2)
    assert is_there("lamp")
