import json
from typing import Any

import pytest

from mappings.settings import SearchSettings, Settings, SidecarSettings
from plugin_api.search import ranking_cache as ranked_windows
from plugin_api.search.query.request import RerankRequest, SearchCall, parse_call
from plugin_api.search.ranking_cache import RankedWindows
from plugin_api.search.response import Ranking
from plugin_api.search.retrieval import index_fingerprint as index_state
from plugin_api.search.search import Search
from tests.fakes.shop import Shop, StandInModel
from tests.plugin_api.search.test_search import MOUSE, ids

ANN, BOB = {"authorization": "Basic ann"}, {"authorization": "Basic bob"}


class Counting(StandInModel):
    """Counts how often it scored."""

    scored = 0

    def score(self, *args: Any) -> Any:
        self.scored += 1
        return super().score(*args)


class Asking:
    """A Search and its model, asked as a client does."""

    def __init__(self, shop: Shop, seconds: float = 10.0) -> None:
        self.model = Counting()
        settings = SearchSettings(window=10, keyword_weight=0.0, cache_seconds=seconds)
        whole = Settings(search=settings, sidecar=SidecarSettings(deadline_ms=5000))
        self.search = Search(shop, self.model, whole)

    def __call__(self, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
        call = SearchCall("shop", json.dumps({"query": MOUSE, **body}).encode(), headers=headers or ANN)
        found: dict[str, Any] = self.search.answer(call).json()
        assert found["ext"]["attune"]["rerank_status"] == "reranked", found
        return found


def kept(body: dict[str, Any]) -> bool:
    return "kept" in body["ext"]["attune"]


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked_windows, "SETTLED_SECONDS", 0.0)


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.products = {"a": 51, "b": 102, "c": 0}
    shop.near = {"d": 255, "b": 102}
    return shop


@pytest.fixture
def ask(stocked: Shop) -> Asking:
    """A search whose window is kept from here on."""
    asking = Asking(stocked)
    assert not kept(asking(aggs={"brands": {}}))  # in which state the index is, is known from now on
    assert not kept(asking(aggs={"brands": {}}))
    return asking


def test_a_kept_window_answers_as_the_ranked_one_did(stocked: Shop, ask: Asking) -> None:
    fresh = Asking(stocked)(aggs={"brands": {}})
    scored, asked = ask.model.scored, len(stocked.requests)
    body = ask(aggs={"brands": {}})
    assert kept(body)
    assert ask.model.scored == scored
    assert len(stocked.requests) == asked + 1
    assert set(body["ext"]["attune"].pop("took_ms")) == {"encode", "search", "score", "fetch"}
    fresh["ext"]["attune"].pop("took_ms")
    assert body.pop("ext") == {"attune": fresh.pop("ext")["attune"] | {"kept": True}}
    assert body.pop("took") >= 0
    del fresh["took"]
    assert body == fresh


def test_pages_of_a_kept_window_join_to_the_whole(stocked: Shop, ask: Asking) -> None:
    whole = ids(ask(aggs={"brands": {}}, size=4))
    pages = [ask(aggs={"brands": {}}, **{"from": start, "size": 1}) for start in range(4)]
    assert all(map(kept, pages))
    assert [found for page in pages for found in ids(page)] == whole == ["d", "b", "a", "c"]


def test_a_page_below_all_hits_is_empty(ask: Asking) -> None:
    body = ask(aggs={"brands": {}}, **{"from": 4, "size": 2})
    assert kept(body)
    assert ids(body) == []
    assert body["hits"]["total"]["value"] == 4


def test_a_change_of_the_index_is_seen_at_once(stocked: Shop, ask: Asking) -> None:
    assert kept(ask(aggs={"brands": {}}))
    stocked.near["e"] = 254
    stocked.writes += 1
    body = ask(aggs={"brands": {}})
    assert not kept(body)
    assert ids(body) == ["d", "e", "b", "a", "c"]


def test_a_change_while_it_is_ranked_is_never_kept_over(stocked: Shop) -> None:
    ask = Asking(stocked)
    ask()
    stocked.writes += 1  # between the state that is known and this search
    ask()
    body = ask()
    assert not kept(body)
    assert kept(ask())


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
    assert kept(ask(aggs={"brands": {}}))
    assert not kept(ask(**{"aggs": {"brands": {}}, **other}))


def test_callers_are_told_apart_by_what_opensearch_knows_them_by(ask: Asking) -> None:
    assert kept(ask(ANN | {"x-request-id": "7"}, aggs={"brands": {}}))
    assert not kept(ask(ANN | {"opendistro_security_impersonate_as": "bob"}, aggs={"brands": {}}))


def test_hits_that_are_not_shown_any_more_make_it_ranked_anew(stocked: Shop, ask: Asking) -> None:
    gone = {"took": 1, "hits": {"max_score": None, "hits": []}}
    stocked.refuse = {"fetch": (200, gone)}
    assert not kept(ask(aggs={"brands": {}}))


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
    assert not any(kept(ask()) for _ in range(4))
    lists = [lines[1::2] for path, _, lines, _ in stocked.requests if path.endswith("_msearch")]
    assert [index_state.STATE_SEARCH in searches for searches in lists] == [True, False, False, False]


@pytest.mark.parametrize(
    "body",
    [
        {"query": {"bool": {"must": [MOUSE], "filter": [{"range": {"sold": {"gte": "now-1d"}}}]}}},
        {"size": 11},
        {"from": 10, "size": 1},
        {"explain": True},
    ],
)
def test_what_changes_by_itself_or_leaves_the_window_is_not_kept(stocked: Shop, body: dict[str, Any]) -> None:
    ask = Asking(stocked)
    assert not any(kept(ask(**body)) for _ in range(4))


def test_it_can_be_turned_off(stocked: Shop) -> None:
    ask = Asking(stocked, seconds=0)
    assert not any(kept(ask()) for _ in range(4))
    assert not any(index_state.STATE_SEARCH in lines for _, _, lines, _ in stocked.requests)


def request_of(text: str) -> RerankRequest:
    request = parse_call(SearchCall("shop", json.dumps({"query": {"match": {"title": text}}}).encode()))
    assert isinstance(request, RerankRequest)
    return request


def ranking_of(bytes_around: int) -> Ranking:
    return Ranking(((("shop-1", "a"), 0.5),), 0, {"aggregations": b"x" * bytes_around}, ())  # type: ignore[dict-item]


def test_an_index_that_has_just_changed_keeps_none(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(ranked_windows, "SETTLED_SECONDS", 2.0)
    windows = RankedWindows(10.0, lambda: now)
    keys = windows.keys(request_of("mouse"), "shop ann", 100)
    assert keys
    settled = []
    for state in (b"one", b"one", b"two", b"two", b"two"):
        settled.append(windows.settled(keys))
        windows.seen(keys, state)
        now += 1.5
    assert settled == [b"", b"", b"one", b"", b"two"]


def test_windows_grow_old_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    windows = RankedWindows(10.0, lambda: now)
    monkeypatch.setattr(ranked_windows, "ALL_BYTES", 3000)
    monkeypatch.setattr(ranked_windows, "WINDOW_BYTES", 2000)

    def keep(text: str, size: int) -> None:
        keys = windows.keys(request_of(text), "shop ann", 100)
        assert keys
        windows.seen(keys, b"state")
        windows.keep(keys, ranking_of(size), b"state", "v1", 1)

    def there(text: str) -> bool:
        keys = windows.keys(request_of(text), "shop ann", 100)
        return keys is not None and windows.get(keys) is not None

    for text in ("mouse", "lamp", "desk"):
        keep(text, 700)
    assert [there(text) for text in ("mouse", "lamp", "desk")] == [False, True, True]
    keep("chair", 2500)
    assert not there("chair")
    now = 10.5
    assert not there("lamp")
    keep("lamp", 700)
    assert there("lamp")
