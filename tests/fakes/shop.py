"""A small deterministic model and a cluster that answers from memory, for tests of searching."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from opensearchpy import OpenSearch

from mappings.errors import ModelError
from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.search.retrieval.candidates import QUERY_MATCHES
from plugin_api.search.retrieval.index_fingerprint import FINGERPRINT_SEARCH
from reranker.text.query_type import classify_query
from reranker.types import EncodedQuery, Floats
from tests.fakes.memory_connection import ClientRequest, open_client

VERSION = "0123456789ab"
DIMENSION = 4

Refusal = tuple[int, dict[str, Any]]


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
        words = tuple(text.split())
        return EncodedQuery(text, vector, vector[None, :], words, unknown, classify_query(text))

    def is_readable(self, stored: bytes) -> bool:
        return len(stored) == 1

    def score(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        time.sleep(self.score_seconds)
        if not all(stored):
            raise ModelError("stored product vectors are cut short")
        return np.array([data[0] / 255 for data in stored], dtype=np.float32)


class Shop:
    """OpenSearch as far as the tests need it, as a client: `products` by keyword rank, `near` by vector rank.

    Each is a mapping of id to the byte that StandInModel scores by. `writes` tells one state of the index
    from another. `not_attunes` are products that another program wrote, `malformed` those whose vectors can't
    be read.
    `refuse` has error replies for "products", "near", "fetch", "vectors", "state" or "msearch".
    Every answer takes `slow_seconds`. `requests` records what came: path, parameters, body lines, headers;
    `sent` the same as bytes. What is no search is answered by `other`.
    """

    def __init__(self) -> None:
        self.products: dict[str, int] = {}
        self.near: dict[str, int] = {}
        self.models: dict[str, str] = {}
        self.without_tokens: set[str] = set()
        self.without_hash: set[str] = set()
        self.not_attunes: set[str] = set()
        self.malformed: set[str] = set()
        self.aggregations: dict[str, Any] = {"brands": {"buckets": []}}
        self.writes = 0
        self.refuse: dict[str, Refusal] = {}
        self.slow_seconds = 0.0
        self.requests: list[tuple[str, Mapping[str, str], list[dict[str, Any]], Mapping[str, str]]] = []
        self.sent: list[tuple[str, str, bytes]] = []
        self.other = OpenSearchResponse(
            200, (("content-type", "application/json"),), b'{"acknowledged":true}'
        )

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        path, _, query = target.partition("?")
        try:
            lines = [json.loads(line) for line in body.splitlines()]
        except ValueError:
            lines = []
        self.sent.append((method, target, body))
        self.requests.append((path, dict(parse_qsl(query, keep_blank_values=True)), lines, dict(headers)))
        if timeout_seconds is not None and timeout_seconds < self.slow_seconds:
            time.sleep(timeout_seconds)
            raise TimeoutError("OpenSearch did not answer in time")
        time.sleep(self.slow_seconds)
        if path.endswith("_msearch"):
            status, reply = self.refuse.get("msearch") or (200, self._searches(lines))
        elif path.endswith("/_search") and method in ("GET", "POST") and path.count("/") < 3:
            status, reply = self._reply(lines[0] if lines else {})
        else:
            return self.other
        text = json.dumps(reply).encode()
        kind = "application/json; charset=UTF-8"
        return OpenSearchResponse(status, (("content-type", kind), ("content-length", str(len(text)))), text)

    def _searches(self, lines: list[dict[str, Any]]) -> dict[str, Any]:
        replies = [self._reply(search) for search in lines[1::2]]
        return {"took": 3, "responses": [{**reply, "status": status} for status, reply in replies]}

    def _reply(self, search: dict[str, Any]) -> Refusal:
        return self.refuse.get(_kind(search)) or (200, self._search(search))

    def _search(self, search: dict[str, Any]) -> dict[str, Any]:
        kind = _kind(search)
        if kind == "state":
            numbers = {"count": len(self.products), "sum": float(self.writes)}
            bucket = {"key": "shop-1", "doc_count": len(self.products), "numbers": numbers}
            return {"took": 1, "hits": {"hits": []}, "aggregations": {"indexes": {"buckets": [bucket]}}}
        if kind in ("fetch", "vectors"):
            asked = search["query"]["bool"]["filter"][0]["ids"]["values"]
            ranked = dict.fromkeys(sorted(asked, reverse=True), 0)
        else:
            ranked = {"products": self.products, "near": self.near}[kind]
        hits = [self._hit(rank, key, search, kind) for rank, key in enumerate(ranked)]
        start = search.get("from", 0)
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
            reply["aggregations"] = self.aggregations
        return reply

    def _hit(self, rank: int, key: str, search: dict[str, Any], kind: str) -> dict[str, Any]:
        hit: dict[str, Any] = {"_index": "shop-1", "_id": key, "_score": 1.0 / (1 + rank)}
        if search.get("stored_fields") == "_none_":
            del hit["_id"]
        if "sort" in search:
            hit["sort"] = [hit["_score"], 9.5]
        if search.get("_source") is not False:
            hit["_source"] = {"title": f"product {key}"}
        if kind == "near" and key in self.products:
            hit["matched_queries"] = [QUERY_MATCHES]
        byte = self.near.get(key, self.products.get(key, 0))
        shown = {
            "attune.id": [key],
            "attune.tokens": []
            if key in self.without_tokens
            else [base64.b64encode(bytes([byte]) * (1 + (key in self.malformed))).decode().rstrip("=")],
            "attune.hash": [] if key in self.without_hash else [f"{key} {byte}"],
            "attune.model": [self.models.get(key, VERSION)],
            "price": [9.5],
        }
        if key in self.not_attunes:
            shown = {"price": [9.5]}
        values = {name: shown[name] for name in search.get("docvalue_fields", []) if shown.get(name)}
        return {**hit, "fields": values} if values else hit


def _kind(search: dict[str, Any]) -> str:
    if search.get("aggs", {}).keys() == FINGERPRINT_SEARCH["aggs"].keys():
        return "state"
    whole = search.get("query", {}).get("bool", {})
    if not isinstance(whole, dict):
        return "products"
    if any("knn" in clause for clause in whole.get("must", []) if isinstance(whole.get("must"), list)):
        return "near"
    filters = whole.get("filter", [])
    if not isinstance(filters, list) or not filters or "ids" not in filters[0]:
        return "products"
    return "vectors" if search.get("stored_fields") == "_none_" else "fetch"


def shop_client() -> tuple[OpenSearch, Shop]:
    """A Shop, and an opensearch-py client that it answers."""
    shop = Shop()

    def answer(request: ClientRequest) -> tuple[int, Any]:
        seconds = request.timeout_seconds
        reply = shop.request(request.method, request.target, request.headers, request.body, seconds)
        return reply.status, json.loads(reply.body)

    return open_client(answer), shop
