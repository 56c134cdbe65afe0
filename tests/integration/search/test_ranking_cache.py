"""Windows that the sidecar keeps, over a real index of several shards: every change shows at once."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from indexer.store.documents import encode_key
from tests.integration.stack import Stack, search, text_settings

ALIAS = "kept"
FIRST, SECOND = "kept-1", "kept-2"
BODY = {
    "query": {"multi_match": {"query": "gaming laptop", "fields": ["title", "description"]}},
    "aggs": {"brands": {"terms": {"field": "brand.keyword"}}},
    "_source": ["title", "price"],
    "size": 20,
}


class Kept:
    """An alias over copies of the sample's index, and the one search that is asked of it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def send(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to OpenSearch itself."""
        answer = requests.request(method, f"{self._stack.direct}/{path}", json=body, timeout=120)
        assert answer.ok, answer.text
        return answer.json()

    def make(self, index: str) -> None:
        """Copy the sample to an index of three shards."""
        of = next(iter(self.send("GET", "products").values()))
        copied = text_settings(of["settings"]["index"])
        settings = {"index": {"knn": True, "number_of_shards": 3, "number_of_replicas": 0, **copied}}
        self.send("PUT", index, {"settings": settings, "mappings": of["mappings"]})
        self.send(
            "POST", "_reindex?refresh=true", {"source": {"index": "products"}, "dest": {"index": index}}
        )

    def ask(self, **more: object) -> Any:
        """Search through the sidecar."""
        answer = search(self._stack.reranked, {**BODY, **more}, ALIAS)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["ext"]["attune"]["rerank_status"] == "reranked", body["ext"]
        return body

    def ranked_anew(self) -> Any:
        """Ask the same of a window of its own: a `timeout` changes nothing but the search's text."""
        self.timeout = getattr(self, "timeout", 30_000) + 1
        return shown(self.ask(timeout=f"{self.timeout}ms"))


def shown(body: Any) -> Any:
    """What a shopper sees of an answer."""
    return body["hits"], body["aggregations"]


def is_kept(body: Any) -> bool:
    return "cached" in body["ext"]["attune"]


@pytest.fixture(scope="module")
def indexes(stack: Stack) -> Iterator[Kept]:
    kept = Kept(stack)
    kept.make(FIRST)
    kept.make(SECOND)
    kept.send("POST", "_aliases", {"actions": [{"add": {"index": FIRST, "alias": ALIAS}}]})
    yield kept
    kept.send("DELETE", f"{FIRST},{SECOND}")


@pytest.fixture
def kept(indexes: Kept) -> Kept:
    """Where the search's window is kept."""
    for _ in range(20):
        if is_kept(indexes.ask()):
            return indexes
        time.sleep(0.3)  # an index that has just changed keeps none
    raise AssertionError("its ranking is never cached")


def first(kept: Kept) -> tuple[str, Any]:
    """Id and source of the best product."""
    id_ = kept.ask()["hits"]["hits"][0]["_id"]
    return id_, kept.send("GET", f"{ALIAS}/_doc/{id_}")["_source"]


def update(kept: Kept) -> None:
    id_, _ = first(kept)
    kept.send("POST", f"{FIRST}/_update/{id_}?refresh=true", {"doc": {"price": 1.5}})


def delete(kept: Kept) -> None:
    id_, _ = first(kept)
    kept.send("DELETE", f"{FIRST}/_doc/{id_}?refresh=true")


def insert(kept: Kept) -> None:
    id_, source = first(kept)
    source["attune"]["key"] = encode_key(f"new-{id_}", source["attune"])
    kept.send("PUT", f"{FIRST}/_doc/new-{id_}?refresh=true", source)


def replace(kept: Kept) -> None:
    """Delete one product and insert another: as many as before."""
    delete(kept)
    insert(kept)


def narrow(kept: Kept) -> None:
    brand = kept.ask()["aggregations"]["brands"]["buckets"][0]["key"]
    only = {"index": FIRST, "alias": ALIAS, "filter": {"term": {"brand.keyword": brand}}}
    kept.send("POST", "_aliases", {"actions": [{"add": only}]})


def swap(kept: Kept) -> None:
    """To an index as many of whose documents were written in the same order."""
    remove = {"remove": {"index": FIRST, "alias": ALIAS}}
    kept.send("POST", "_aliases", {"actions": [remove, {"add": {"index": SECOND, "alias": ALIAS}}]})


@pytest.mark.parametrize(
    "change", [update, delete, insert, replace, narrow, swap], ids=lambda of: of.__name__
)
def test_a_change_shows_in_the_next_answer(kept: Kept, change: Callable[[Kept], None]) -> None:
    before = shown(kept.ask())
    change(kept)
    body = kept.ask()
    assert not is_kept(body)
    assert shown(body) == kept.ranked_anew()
    assert shown(body) != before


def test_a_write_that_is_not_refreshed_yet_changes_nothing(kept: Kept) -> None:
    index = next(iter(kept.send("GET", f"_alias/{ALIAS}")))
    kept.send("PUT", f"{index}/_settings", {"index": {"refresh_interval": "-1"}})
    before = shown(kept.ask())
    id_ = kept.ask()["hits"]["hits"][0]["_id"]
    kept.send("DELETE", f"{index}/_doc/{id_}")
    assert shown(kept.ask()) == before
    kept.send("POST", f"{index}/_refresh")
    assert shown(kept.ask()) != before
    assert shown(kept.ask()) == kept.ranked_anew()


def test_pages_of_a_kept_window_are_those_of_the_ranked_one(kept: Kept) -> None:
    whole = kept.ask(size=60)["hits"]["hits"]
    kept.ask()
    pages = [kept.ask(**{"from": start, "size": 6}) for start in range(0, 60, 6)]
    assert any(map(is_kept, pages))
    assert [hit for page in pages for hit in page["hits"]["hits"]] == whole
