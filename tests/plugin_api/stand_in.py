"""A small deterministic model and a connection that answers from memory, for tests of searching."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from opensearchpy import Connection, OpenSearch
from opensearchpy.exceptions import ConnectionTimeout

from mappings.errors import ModelError
from plugin_api.candidates import FOUND
from reranker.types import EncodedQuery, Floats

VERSION = "0123456789ab"
DIMENSION = 4

Reply = tuple[int, dict[str, Any]]


class StandInModel:
    """Scores a candidate by its first stored byte, 0 to 255; sleeps where told to."""

    version = VERSION

    def __init__(self, encode_seconds: float = 0.0, score_seconds: float = 0.0) -> None:
        self.encode_seconds, self.score_seconds = encode_seconds, score_seconds
        self.texts: list[str] = []

    def encode_query(self, text: str) -> EncodedQuery:
        time.sleep(self.encode_seconds)
        self.texts.append(text)
        if text == "unreadable":
            raise ModelError("the query can't be encoded")
        vector: Floats = np.full(DIMENSION, 0.5, dtype=np.float32)
        unknown = 1.0 if text == "苹果手机" else 0.0
        return EncodedQuery(text, vector, vector[None, :], tuple(text.split()), unknown)

    def score(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        time.sleep(self.score_seconds)
        if not all(stored):
            raise ModelError("stored product vectors are cut short")
        return np.array([data[0] / 255 for data in stored], dtype=np.float32)


class Shop(Connection):
    """OpenSearch as far as the tests need it: `products` by keyword rank, `near` by vector rank.

    Each is a mapping of id to the byte that StandInModel scores by. `refuse` has error replies
    for "products", "near", "hybrid" or the whole "msearch"; it knows no hybrid query unless `has_hybrid`, and
    fuses by putting what is in both lists first. Every answer takes `slow_seconds`. `requests` records
    what came: URL, parameters, body lines, headers.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.products: dict[str, int] = {}
        self.near: dict[str, int] = {}
        self.models: dict[str, str] = {}
        self.without_tokens: set[str] = set()
        self.refuse: dict[str, Reply] = {}
        self.has_hybrid = False
        self.slow_seconds = 0.0
        self.requests: list[tuple[str, Mapping[str, Any], list[dict[str, Any]], Mapping[str, str]]] = []

    def perform_request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
        ignore: Any = (),
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], str]:
        lines = [json.loads(line) for line in (body or b"").decode().splitlines()]
        self.requests.append((url, dict(params or {}), lines, dict(headers or {})))
        if timeout is not None and timeout < self.slow_seconds:
            time.sleep(timeout)
            raise ConnectionTimeout("TIMEOUT", "read timed out", TimeoutError())
        time.sleep(self.slow_seconds)
        if url == "/_msearch":
            if "msearch" in self.refuse:
                status, reply = self.refuse["msearch"]
                self._raise_error(status, json.dumps(reply), "application/json")
            if not self.has_hybrid and any("hybrid" in search["query"] for search in lines[1::2]):
                reply = {"error": {"type": "parsing_exception", "reason": "unknown query [hybrid]"}}
                self._raise_error(400, json.dumps(reply), "application/json")
            responses = []
            for search in lines[1::2]:
                status, reply = self._reply(search)
                responses.append({**reply, "status": status})
            status, reply = 200, {"took": 3, "responses": responses}
        else:
            status, reply = self._reply(lines[0] if lines else {})
        text = json.dumps(reply)
        if status >= 300:
            self._raise_error(status, text, "application/json")
        return status, {"content-type": "application/json"}, text

    def _reply(self, search: dict[str, Any]) -> Reply:
        return self.refuse.get(_kind(search)) or (200, self._search(search))

    def _search(self, search: dict[str, Any]) -> dict[str, Any]:
        kind = _kind(search)
        both = {key: byte for key, byte in self.near.items() if key in self.products}
        ranked = {
            "products": self.products,
            "near": self.near,
            "hybrid": both | self.near | self.products,
        }[kind]
        start = search.get("from", 0)
        hits = []
        for rank, (key, byte) in enumerate(ranked.items()):
            hit: dict[str, Any] = {"_index": "shop-1", "_id": key, "_score": 1.0 / (1 + rank)}
            if search.get("_source") is not False:
                hit["_source"] = {"title": f"product {key}"}
            if kind != "products" and key in self.products:
                hit["matched_queries"] = [FOUND]
            asked = search.get("docvalue_fields", [])
            shown = {
                "attune.tokens": []
                if key in self.without_tokens
                else [base64.b64encode(bytes([byte])).decode().rstrip("=")],
                "attune.model": [self.models.get(key, VERSION)],
                "price": [9.5],
            }
            values = {name: shown[name] for name in asked if shown[name]}
            if values:
                hit["fields"] = values
            hits.append(hit)
        reply: dict[str, Any] = {
            "took": 2,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {
                "max_score": 1.0 if hits else None,
                "hits": hits[start : start + search.get("size", 10)],
            },
        }
        if search.get("track_total_hits") is not False:
            reply["hits"]["total"] = {"value": len(hits), "relation": "eq"}
        if "aggs" in search:
            reply["aggregations"] = {"brands": {"buckets": []}}
        return reply

    def close(self) -> None:
        """Nothing is open."""


def _kind(search: dict[str, Any]) -> str:
    query = search.get("query", {})
    if "hybrid" in query:
        return "hybrid"
    must = query.get("bool", {}).get("must", [])
    return "near" if isinstance(must, list) and any("knn" in clause for clause in must) else "products"


def shop_client() -> tuple[OpenSearch, Shop]:
    """A client whose only connection is a Shop, and that Shop."""
    client = OpenSearch("http://localhost:9200", connection_class=Shop, max_retries=0)
    shop = client.transport.get_connection()
    assert isinstance(shop, Shop)
    return client, shop
