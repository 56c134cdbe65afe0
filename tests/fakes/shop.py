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
from mappings.product_key import ProductKey, digest_encoded
from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.search.retrieval.index_fingerprint import FINGERPRINT_SEARCH
from plugin_api.search.retrieval.named_clauses import HOLDS_NUMBER, MEETS_CONDITIONS
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

    def score_raw(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        time.sleep(self.score_seconds)
        if not all(stored):
            raise ModelError("stored product vectors are cut short")
        return np.array([data[0] / 255 for data in stored], dtype=np.float32)


class Shop:
    """OpenSearch as far as the tests need it, as a client: `products` by keyword rank, `near` by vector rank.

    Each is a mapping of id to the byte that StandInModel scores by. Every text finds all `products`, without
    the conditions around it `text_hits` of them. Those of `near` that are `outside` do not meet the
    conditions of a search. `holding` are the products that hold the model numbers of a text. `groups` gives
    the value by which products are collapsed. `field_types` and `alias_filter` are what the index is like.

    `words` are those that some product has; another text finds nothing where only one hit is asked for.

    `mapping` is the answer to a request for the mapping; `facts` and `prices` are of the products that have
    others than none and 9.5.

    `writes` tells one state of the index from another. `not_attunes` are products that another program wrote,
    `malformed` those whose vectors can't be read, `changed_since` those whose vectors are others than their
    key tells.
    `refuse` has error replies for "products", "near", "text", "fetch", "vectors", "state", "around" (what
    stands around a page's hits), "count" or "msearch".
    Every answer takes `slow_seconds`. `requests` records what came: path, parameters, body lines, headers;
    `sent` the same as bytes; `schema_requests` the requests for what the index is like, which are in neither.
    What is no search is answered by `other`.
    """

    def __init__(self) -> None:
        self.products: dict[str, int] = {}
        self.near: dict[str, int] = {}
        self.text_hits: int | None = None
        self.outside: set[str] = set()
        self.holding: set[str] = set()
        self.groups: dict[str, str] = {}
        self.field_types: dict[str, str] = {}
        self.alias_filter: dict[str, Any] | None = None
        self.words: set[str] = set()
        self.mapping: dict[str, Any] = {}
        self.facts: dict[str, bytes] = {}
        self.prices: dict[str, float] = {}
        self.models: dict[str, str] = {}
        self.without_tokens: set[str] = set()
        self.changed_since: set[str] = set()
        self.not_attunes: set[str] = set()
        self.malformed: set[str] = set()
        self.aggregations: dict[str, Any] = {"brands": {"buckets": []}}
        self.writes = 0
        self.refuse: dict[str, Refusal] = {}
        self.slow_seconds = 0.0
        self.requests: list[tuple[str, Mapping[str, str], list[dict[str, Any]], Mapping[str, str]]] = []
        self.sent: list[tuple[str, str, bytes]] = []
        self.schema_requests: list[tuple[str, Mapping[str, str]]] = []
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
        if method == "GET" and path.endswith("/_mapping") and "vocabulary" in query:
            return _json_response(200, self.mapping)
        if method == "GET" and (path.endswith(("/_field_caps", "/_mapping")) or path.startswith("/_alias/")):
            self.schema_requests.append((target, dict(headers)))
            return self._answer_schema(path)
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
        elif path.endswith("/_count"):
            found = len(self._find(lines[0] if lines else {}))
            status, reply = self.refuse.get("count") or (200, {"count": found, "_shards": _SHARDS})
        else:
            return self.other
        return _json_response(status, reply)

    def _answer_schema(self, path: str) -> OpenSearchResponse:
        if path.endswith("/_field_caps"):
            types = {name: {type_: {"type": type_}} for name, type_ in self.field_types.items()}
            return _json_response(200, {"indices": ["shop-1"], "fields": types})
        if path.endswith("/_mapping"):
            return _json_response(200, {"shop-1": {"mappings": {}}})
        if self.alias_filter is None:
            return _json_response(404, {"error": "alias [shop] missing", "status": 404})
        return _json_response(200, {"shop-1": {"aliases": {"shop": {"filter": self.alias_filter}}}})

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
            aggregations = {"indexes": {"buckets": [bucket]}}
            return {"took": 1, "_shards": _SHARDS, "hits": {"hits": []}, "aggregations": aggregations}
        found = self._find(search)
        hits = [self._hit(rank, key, search, kind) for rank, key in enumerate(found)]
        start = search.get("from", 0)
        reply: dict[str, Any] = {
            "took": 2,
            "timed_out": False,
            "_shards": _SHARDS,
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

    def _find(self, search: dict[str, Any]) -> list[str]:
        """Return the ids of the hits of a search, best first."""
        kind = _kind(search)
        if kind == "word":
            return list(self.products)[: len(self.words & set(_texts(search["query"])))]
        if kind == "own":
            return [id_ for id_ in _page_ids(search) if id_ in self.products]
        if kind == "near":
            return list(self.near)
        if kind in ("fetch", "vectors"):
            return sorted(_page_ids(search), reverse=True)
        if kind == "text" and self.text_hits is not None:
            return [str(n) for n in range(self.text_hits)]
        if "match_none" in search.get("query", {}):
            return []
        added = [id_ for id_ in _added_ids(search.get("query", {})) if id_ not in self.outside]
        found = list(dict.fromkeys([*self.products, *added]))
        if "collapse" not in search:
            return found
        best: dict[str, str] = {}
        for id_ in found:
            best.setdefault(self.groups.get(id_, ""), id_)
        return list(best.values())

    def _hit(self, rank: int, key: str, search: dict[str, Any], kind: str) -> dict[str, Any]:
        hit: dict[str, Any] = {"_index": "shop-1", "_id": key, "_score": 1.0 / (1 + rank)}
        if search.get("stored_fields") == "_none_":
            del hit["_id"]
        if "sort" in search:
            hit["sort"] = [hit["_score"], 9.5]
        if search.get("_source") is not False:
            hit["_source"] = {"title": f"product {key}"}
        if named := self._named(key, search.get("query", {})):
            hit["matched_queries"] = named
        byte = self.near.get(key, self.products.get(key, 0))
        tokens, facts = bytes([byte]) * (1 + (key in self.malformed)), self.facts.get(key, b"")
        model = self.models.get(key, VERSION)
        digest = "0" * 16 if key in self.changed_since else digest_encoded(tokens, facts)
        shown = {
            "attune.key": [stored_bytes(ProductKey(key, model, digest).pack())],
            "attune.tokens": [] if key in self.without_tokens else [stored_bytes(tokens)],
            "attune.model": [model],
            "price": [self.prices.get(key, 9.5)],
            "attune.price": [self.prices.get(key, 9.5)],
            "attune.facts": [stored_bytes(facts)] if facts else [],
            "group": [self.groups[key]] if key in self.groups else [],
        }
        if key in self.not_attunes:
            shown = {"price": [9.5]}
        group = [search["collapse"]["field"]] if "collapse" in search else []
        names = [*search.get("docvalue_fields", []), *group]
        values = {name: shown[name] for name in names if shown.get(name)}
        return {**hit, "fields": values} if values else hit

    def _named(self, key: str, query: dict[str, Any]) -> list[str]:
        """Return the names of those of Attune's own clauses in a query that a product meets."""
        whole = query.get("bool", {})
        names = [clause.get("bool", {}).get("_name", "") for clause in _list(whole.get("should"))]
        meets = key not in self.outside
        return [
            name
            for name in names
            if (name == MEETS_CONDITIONS and meets) or (name.startswith(HOLDS_NUMBER) and key in self.holding)
        ]


_SHARDS = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}


def stored_bytes(value: bytes) -> str:
    """Return bytes as OpenSearch shows a binary field: base64 without padding."""
    return base64.b64encode(value).decode().rstrip("=")


def _kind(search: dict[str, Any]) -> str:
    """Return what a search is for: see Shop."""
    if search.get("aggs", {}).keys() == FINGERPRINT_SEARCH["aggs"].keys():
        return "state"
    query = search.get("query", {})
    whole = query.get("bool", {}) if isinstance(query.get("bool"), dict) else {}
    if "knn" in query or any("knn" in clause for clause in _list(whole.get("must"))):
        return "near"
    if search.keys() - {"pit"} == {"query", "size", "track_total_hits"} and search["size"] == 0:
        return "own" if _page_ids(search) else "text"
    if search.keys() == {"query", "size", "_source", "track_total_hits"} and whole.keys() == {"should"}:
        return "word"
    if _page_ids(search):
        return (
            "vectors"
            if search.get("stored_fields") == "_none_" and "attune.tokens" in _values(search)
            else "fetch"
        )
    return "around" if search.get("size") == 0 else "products"


def _page_ids(search: dict[str, Any]) -> list[str]:
    """Return the ids of the page that a search fetches; none where it fetches no page."""
    query = search.get("query", {})
    whole = query.get("bool", {}) if isinstance(query.get("bool"), dict) else {}
    heads = [clause.get("constant_score", {}).get("filter", {}) for clause in _list(whole.get("should"))]
    for clause in (*_list(whole.get("filter"))[:1], *heads, search.get("post_filter", {})):
        if "ids" in clause:
            return [str(id_) for id_ in clause["ids"]["values"]]
    return []


def _added_ids(query: object) -> list[str]:
    """Return the ids that are added to the hits of a text, beside it."""
    if isinstance(query, list):
        return [id_ for inner in query for id_ in _added_ids(inner)]
    if not isinstance(query, dict):
        return []
    must = _list(query.get("must"))
    if query.get("boost") == 0 and must and "ids" in must[0]:
        return [str(id_) for id_ in must[0]["ids"]["values"]]
    return [id_ for inner in query.values() for id_ in _added_ids(inner)]


def _texts(query: object) -> list[str]:
    """Return the texts that a query looks for."""
    if isinstance(query, dict):
        text = [query["query"]] if isinstance(query.get("query"), str) else []
        return text + [text for inner in query.values() for text in _texts(inner)]
    return [text for inner in query for text in _texts(inner)] if isinstance(query, list) else []


def _values(search: dict[str, Any]) -> list[Any]:
    return list(search.get("docvalue_fields", []))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def _json_response(status: int, reply: object) -> OpenSearchResponse:
    text = json.dumps(reply).encode()
    kind = "application/json; charset=UTF-8"
    return OpenSearchResponse(status, (("content-type", kind), ("content-length", str(len(text)))), text)


def shop_client() -> tuple[OpenSearch, Shop]:
    """A Shop, and an opensearch-py client that it answers."""
    shop = Shop()

    def answer(request: ClientRequest) -> tuple[int, Any]:
        seconds = request.timeout_seconds
        reply = shop.request(request.method, request.target, request.headers, request.body, seconds)
        return reply.status, json.loads(reply.body)

    return open_client(answer), shop
