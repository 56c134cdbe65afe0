import json
from typing import Any

import pytest

from mappings.product_key import ProductKey, digest_encoded
from mappings.settings import SearchSettings, Settings, SidecarSettings
from plugin_api.search.query.types import SearchCall
from plugin_api.search.retrieval.slim_hits import SlimHit, StoredVectors, read_slim_answer
from plugin_api.search.retrieval.vector_cache import (
    ENTRY_BYTES,
    TRUST_SECONDS,
    CallerVectors,
    VectorCache,
)
from plugin_api.search.search import Searcher
from tests.fakes.shop import Shop, StandInModel, stored_bytes
from tests.plugin_api.search.test_search import ids, report

ANN, BOB = {"authorization": "Basic ann"}, {"authorization": "Basic bob"}
NOTHING: tuple[int, dict[str, Any]] = (200, {"took": 1, "hits": {"hits": []}})


class Asking:
    """Searches whose windows are not kept."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        settings = SearchSettings(window=10, keyword_weight=0.0, cache_seconds=0.0)
        whole = Settings(search=settings, sidecar=SidecarSettings(deadline_ms=5000))
        self.search = Searcher(shop, StandInModel(), whole)

    def __call__(self, headers: dict[str, str] | None = None) -> dict[str, Any]:
        self.shop.requests.clear()
        body = b'{"query": {"match": {"title": "mouse"}}}'
        found: dict[str, Any] = self.search.answer(SearchCall("shop", body, headers=headers or ANN)).json()
        return found

    @property
    def asked_for_vectors(self) -> list[list[str]]:
        """What the last search asked the vectors of: ids, or [] for all that it would find."""
        searches = [search for _, _, lines, _ in self.shop.requests for search in lines]
        return [
            search["query"]["bool"]["filter"][0]["ids"]["values"]
            if "filter" in search["query"].get("bool", {})
            else []
            for search in searches
            if "attune.tokens" in search.get("docvalue_fields", ())
        ]


@pytest.fixture
def ask(shop: Shop) -> Asking:
    """A search whose products' vectors are known, and were shown to ANN."""
    shop.products = {"a": 51, "b": 102, "c": 0}
    shop.near = {"d": 255, "b": 102}
    asking = Asking(shop)
    for _ in range(2):
        asking()
        assert asking.asked_for_vectors == [[], []]  # by keywords and by vectors
    return asking


def test_vectors_that_are_known_are_not_asked_for(ask: Asking) -> None:
    known = ask()
    assert ask.asked_for_vectors == []
    asked = ask(BOB)
    assert ask.asked_for_vectors == [[], []]
    for body in (known, asked):
        del body["took"], body["ext"]["attune"]["took_ms"]
    assert known == asked


def test_only_those_of_new_and_changed_products_are_asked_for(shop: Shop, ask: Asking) -> None:
    shop.products["c"] = 230
    assert ids(ask()) == ["d", "c", "b", "a"]
    assert ask.asked_for_vectors == [["c"]]
    shop.near["e"] = 204
    assert ids(ask()) == ["d", "c", "e", "b", "a"]
    assert ask.asked_for_vectors == [["e"]]
    assert ids(ask()) == ["d", "c", "e", "b", "a"]
    assert ask.asked_for_vectors == []


def test_where_many_are_new_all_are_asked_for_at_once(shop: Shop, ask: Asking) -> None:
    shop.near |= dict.fromkeys("efgh", 204)
    ask()
    assert ask.asked_for_vectors == [["e", "f", "g", "h"]]
    shop.near |= dict.fromkeys("ijkl", 205)
    ask()
    assert ask.asked_for_vectors == [[], []]
    ask()
    assert ask.asked_for_vectors == [[], []]
    ask()
    assert ask.asked_for_vectors == []


def test_each_caller_has_to_be_shown_them(shop: Shop, ask: Asking) -> None:
    ask(BOB)
    assert ask.asked_for_vectors == [[], []]
    shop.without_tokens = set("abcd")
    assert report(ask(ANN)) == ("reranked", "")  # for a minute
    other = {"authorization": "Basic carl"}
    assert report(ask(other))[0] == "failed"
    assert report(ask(other))[0] == "failed"
    assert ask.asked_for_vectors == [[], []]


def test_a_caller_who_is_not_shown_new_ones_is_asked_for_all_again(shop: Shop, ask: Asking) -> None:
    shop.near["e"] = 204
    shop.without_tokens = set("abcde")
    assert ids(ask()) == ["d", "b", "a", "c"]  # e, which only the vectors find, can't be placed
    ask()
    assert ask.asked_for_vectors == [[], []]


def test_products_that_are_deleted_meanwhile_are_left_out(shop: Shop, ask: Asking) -> None:
    shop.near["e"] = 204
    shop.refuse = {"vectors": NOTHING}
    body = ask()
    assert report(body) == ("reranked", "")
    assert ids(body) == ["d", "b", "a", "c"]


def test_an_error_while_they_are_asked_for_leaves_opensearchs_hits(shop: Shop, ask: Asking) -> None:
    shop.near["e"] = 204
    error = {"root_cause": [{"type": "fault_exception", "reason": "as told"}], "type": "fault_exception"}
    shop.refuse = {"vectors": (503, {"error": error, "status": 503})}
    body = ask()
    assert report(body) == ("failed", "OpenSearch answered 503: fault_exception: as told")
    assert ids(body) == ["a", "b", "c"]


def test_products_whose_key_tells_of_other_vectors_are_asked_for_each_time(shop: Shop, ask: Asking) -> None:
    shop.changed_since = {"a"}
    shop.facts = {"a": b"facts"}
    for _ in range(2):
        assert ids(ask()) == ["d", "b", "a", "c"]
        assert ask.asked_for_vectors == [["a"]]


def key(name: str, index: str = "shop-1", model: str = "v1") -> tuple[str, str, str]:
    return index, model, name


def test_memory_is_bounded_and_trust_ends() -> None:
    now = 0.0
    cache = VectorCache(max_bytes=2 * (ENTRY_BYTES + 3), clock=lambda: now)
    vectors = StoredVectors(b"12", b"3")
    cache.put({key(name): vectors for name in "abc"})
    assert cache.get([key("a"), key("b"), key("c")]) == {key("b"): vectors, key("c"): vectors}
    assert cache.get([key("c", model="v2")]) == {}
    assert not cache.is_trusted("shop ann")
    cache.trust("shop ann", True)
    assert cache.is_trusted("shop ann")
    assert not cache.is_trusted("shop bob")
    cache.trust("shop ann", False)
    assert not cache.is_trusted("shop ann")
    cache.trust("shop ann", True)
    now = TRUST_SECONDS + 1
    assert not cache.is_trusted("shop ann")


@pytest.mark.parametrize(
    ("cached", "shown", "trusted"),
    [("abc", "d", True), ("ab", "cd", False), ("abc", "", False)],
    ids=["most were cached", "many were new", "one is not shown"],
)
def test_a_caller_relies_on_the_cache_where_most_hits_are_in_it(
    cached: str, shown: str, trusted: bool
) -> None:
    vectors = CallerVectors(VectorCache(), "shop ann", bool)
    hits = {name: slim_hit(name, has_tokens=name in cached + shown) for name in "abcd"}
    by_key = {hit.key: hit for hit in hits.values()}
    vectors.remember(0.0, [hits[name] for name in cached])
    rest = [hits[name] for name in "abcd" if name not in cached]
    vectors.remember(len(vectors.recall(by_key)) / 4, rest)
    assert vectors.is_trusted is trusted
    assert set(vectors.recall(by_key)) == {("shop-1", name) for name in {*cached, *shown}}


def slim_hit(name: str, has_tokens: bool) -> SlimHit:
    key = ProductKey(name, "v1", digest_encoded(name.encode(), b"")).pack()
    return read_hit(stored_bytes(key), stored_bytes(name.encode()) if has_tokens else "")


def read_hit(key: str, tokens: str) -> SlimHit:
    fields = {"attune.key": [key], "attune.tokens": [tokens]}
    answer = json.dumps({"hits": {"hits": [{"_index": "shop-1", "_score": 1.0, "fields": fields}]}})
    return read_slim_answer(answer.encode()).hits[0]


def test_malformed_vectors_are_never_remembered_and_fail_no_search(shop: Shop, ask: Asking) -> None:
    shop.near["e"] = 204
    shop.malformed = {"e"}
    for _ in range(3):
        body = ask()
        assert report(body) == ("reranked", "")
        assert ids(body) == ["d", "b", "a", "c"]
        assert ask.asked_for_vectors == [["e"]]
    shop.malformed = set()
    assert ids(ask()) == ["d", "e", "b", "a", "c"]


def test_who_writes_one_index_changes_no_other() -> None:
    cache = VectorCache()
    cache.put({key("a", index="theirs"): StoredVectors(b"hostile")})
    assert cache.get([key("a", index="shop-1")]) == {}


def test_vectors_larger_than_the_cache_are_not_stored() -> None:
    cache = VectorCache(max_bytes=ENTRY_BYTES + 10)
    cache.put({key("a"): StoredVectors(b"x" * 6, b"x" * 5), key("b"): StoredVectors(b"x")})
    assert list(cache.get([key("a"), key("b")])) == [key("b")]


@pytest.mark.parametrize(
    "key",
    [b"v1\n0011223344556677", b"v" * 30_000 + b"\n0011223344556677\na", b"v1\nshort\na", b"\xff\n\n", b""],
    ids=["no id", "long version", "no digest", "not text", "empty"],
)
def test_a_key_that_tells_nothing_is_none(key: bytes) -> None:
    hit = read_hit(stored_bytes(key), stored_bytes(b"123"))
    assert (hit.id, hit.model, hit.vector_key) == ("", "", None)


def test_a_caller_to_whom_facts_are_hidden_does_not_rely_on_the_cache() -> None:
    vectors = CallerVectors(VectorCache(), "shop ann", bool)
    key = stored_bytes(ProductKey("a", "v1", digest_encoded(b"123", b"fact")).pack())
    vectors.remember(1.0, [read_hit(key, stored_bytes(b"123"))])
    assert not vectors.is_trusted
