"""A shop for the preview page: a cluster in memory with the real model's vectors, behind the real sidecar."""

import json
import math
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from indexer.store.documents import build_document
from mappings.fields import IDENTIFIERS
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchResponse
from reranker.model import Model, load_model
from reranker.text.word_tokens import split_words
from tests.fakes.preview_products import PRODUCTS

ALIAS, INDEX = "products", "products-1"
SVG = b'<svg width="9" height="9" xmlns="http://www.w3.org/2000/svg"><circle cx="4.5" cy="4.5" r="3"/></svg>'


class PreviewShop:
    """OpenSearch as far as the page needs it, as a client: BM25, k-NN, filters, aggregations, highlights.

    `refuse` maps the end of a path to the error it gets; `password` is the Authorization that every request
    must bear, where there is one; `hidden` are fields that this caller may not see. `vocabulary` is the
    index's. `requests` keeps what came.
    """

    def __init__(self, model: Model) -> None:
        encoded = model.encode_products(PRODUCTS)
        self._stored = {product.id: of.stored for product, of in zip(PRODUCTS, encoded, strict=True)}
        self._vectors = {product.id: of.vector for product, of in zip(PRODUCTS, encoded, strict=True)}
        self.documents: dict[str, JsonObject] = {
            product.id: build_document(product, of, model.version, 1, "byte")
            for product, of in zip(PRODUCTS, encoded, strict=True)
        }
        self._texts = {id_: _weighted(of) for id_, of in self.documents.items()}
        self._idf = _rarities(self._texts.values())
        self.reset()

    def reset(self) -> None:
        """Forget what came, and answer everything again."""
        self.refuse: dict[str, tuple[int, str, str]] = {}
        self.password = ""
        self.hidden: set[str] = set()
        self.late = False
        self.vocabulary = ""
        self.tuned: JsonObject = {}
        self.models: dict[str, str] = {}
        self.requests: list[tuple[str, str, list[JsonObject], Mapping[str, str]]] = []

    def searches(self) -> list[JsonObject]:
        """The bodies of the searches that came."""
        return [
            line
            for _, path, lines, _ in self.requests
            if "search" in path
            for line in lines
            if "query" in line
        ]

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        """See OpenSearchClient."""
        path, _, query = target.partition("?")
        lines = [json.loads(line) for line in body.splitlines()]
        self.requests.append((method, target, lines, dict(headers)))
        if self.late:
            raise TimeoutError("OpenSearch did not answer in time")
        if self.password and headers.get("authorization") != self.password:
            return _error(401, "security_exception", "missing authentication credentials")
        for end, refusal in self.refuse.items():
            if path.endswith(end):
                return _error(*refusal)
        name = path.split("/")[1]
        if name not in (ALIAS, INDEX) and not name.startswith("_"):
            return _error(404, "index_not_found_exception", f"no such index [{name}]")
        return _json(self._answer(path, parse_qs(query), lines))

    def _answer(self, path: str, params: Mapping[str, list[str]], lines: Sequence[JsonObject]) -> object:
        if path.endswith("/_search"):
            return self._search(lines[0])
        if path.endswith("/_count"):
            return {"count": self._search({**lines[0], "size": 0})["hits"]["total"]["value"]}
        if path.endswith("/_msearch"):
            return {"took": 1, "responses": [{**self._search(line), "status": 200} for line in lines[1::2]]}
        if path.endswith("/_field_caps"):
            has = {"brand.keyword", "category.keyword", "facets", "price", "available"}
            wanted = params["fields"][0].split(",")
            return {"fields": {name: {"any": {"aggregatable": True}} for name in wanted if name in has}}
        if path.endswith("/_mapping") and (self.vocabulary or self.tuned):
            recorded = {"vocabulary": self.vocabulary, "tuning": {"settings": self.tuned}}
            return {INDEX: {"mappings": {"_meta": {"attune": recorded}}}}
        if path == "/_cat/aliases":
            return [{"alias": ALIAS}]
        if path == "/_cat/indices":
            return [{"index": INDEX}, {"index": ".internal"}]
        return {"version": {"number": "3.5.0"}}

    def _search(self, body: JsonObject) -> JsonObject:
        if "query" not in body:  # the fingerprint of the index, with or without sampled documents
            numbers = {"sum": zlib.crc32(repr(self.documents).encode())}
            bucket = {"key": INDEX, "doc_count": len(self.documents), "numbers": numbers}
            return {"took": 1, "hits": {"hits": []}, "aggregations": {"indexes": {"buckets": [bucket]}}}
        found = []
        for id_ in self.documents:
            named: list[str] = []
            score = self._score(body["query"], id_, named)
            if score is not None:
                found.append((score, id_, named))
        found.sort(key=lambda item: -item[0])
        start, size = body.get("from", 0), body.get("size", 10)
        page = [self._hit(*of, body) for of in found[start : start + size]]
        hits: JsonObject = {"max_score": found[0][0] if found else None, "hits": page}
        if body.get("track_total_hits") is not False:
            hits["total"] = {"value": len(found), "relation": "eq"}
        reply: JsonObject = {"took": 1, "timed_out": False, "hits": hits}
        if "aggs" in body:
            ids = [id_ for _, id_, _ in found]
            reply["aggregations"] = {name: self._aggregated(of, ids) for name, of in body["aggs"].items()}
        return reply

    def _score(self, clause: JsonObject, id_: str, named: list[str]) -> float | None:
        """Score of a clause; None where the product does not meet it."""
        ((kind, body),) = clause.items()
        source = self.documents[id_]
        if kind == "bool":
            must = [self._score(of, id_, named) for of in _list(body.get("must"))]
            wanted = [self._score(of, id_, named) for of in _list(body.get("filter"))]
            should = [self._score(of, id_, named) for of in _list(body.get("should"))]
            if None in must or None in wanted:
                return None
            if any(self._score(of, id_, []) is not None for of in _list(body.get("must_not"))):
                return None
            if should and not (must or wanted) and all(score is None for score in should):
                return None
            if "_name" in body:
                named.append(body["_name"])
            return float(body.get("boost", 1)) * sum(of for of in (*must, *should) if of is not None)
        if kind == "match_all":
            return 1.0
        if kind == "match_none":
            return None
        if kind == "constant_score":
            inner = self._score(body["filter"], id_, [])
            return None if inner is None else float(body["boost"])
        if kind == "rank_feature":  # nothing is counted here
            return None
        if kind == "multi_match":
            return self._bm25(body["query"], id_)
        if kind == "dis_max":
            arms = [self._score(of, id_, named) for of in body["queries"]]
            return max((score for score in arms if score is not None), default=None)
        if kind == "match":
            ((name, value),) = body.items()
            text = value["query"] if isinstance(value, dict) else value
            if name == IDENTIFIERS:
                return float(value.get("boost", 1.0)) if text == id_ else None
            return self._bm25(text, id_)
        if kind == "ids":
            return 0.0 if id_ in body["values"] else None
        if kind == "knn":
            ((_, near),) = body.items()
            vector = np.array(near["vector"], dtype=np.float32)
            allowed = [
                of
                for of in self.documents
                if "filter" not in near or self._score(near["filter"], of, []) is not None
            ]
            ranked = sorted(allowed, key=lambda of: -float(self._vectors[of] @ vector))[: near["k"]]
            return (
                (1 + float(self._vectors[id_] @ vector / np.linalg.norm(vector))) / 2
                if id_ in ranked
                else None
            )
        ((at, wanted_value),) = body.items()
        held = INDEX if at == "_index" else source.get(at.removesuffix(".keyword"))
        if kind == "range":
            bounds = wanted_value
            fits = held is not None and bounds.get("gte", -math.inf) <= held <= bounds.get("lte", math.inf)
        else:
            asked = {str(of).lower() for of in _list(wanted_value)}
            fits = any(str(of).lower() in asked for of in _list(held))
        return 0.0 if fits else None

    def _bm25(self, text: str, id_: str) -> float | None:
        asked, held = split_words(text), self._texts[id_]
        found = [word for word in asked if word in held]
        if not asked or len(found) < (len(asked) if len(asked) <= 2 else len(asked) * 2 // 3):
            return None
        length = sum(held.values()) / 20
        return sum(self._idf[w] * held[w] * 2.2 / (held[w] + 1.2 * (0.25 + 0.75 * length)) for w in found)

    def _hit(self, score: float, id_: str, named: Sequence[str], body: JsonObject) -> JsonObject:
        hit: JsonObject = {"_index": INDEX, "_id": id_, "_score": score}
        if body.get("stored_fields") == "_none_":
            del hit["_id"]
        if named:
            hit["matched_queries"] = list(named)
        wanted = body.get("_source", True)
        if wanted is not False:
            includes = wanted.get("includes") if isinstance(wanted, dict) else None
            includes = wanted if isinstance(wanted, list) else includes
            source = {k: v for k, v in self.documents[id_].items() if k not in {"attune", *self.hidden}}
            hit["_source"] = {k: v for k, v in source.items() if not includes or k in includes}
        if "highlight" in body and (lit := _lit(self.documents[id_]["title"], body)):
            hit["highlight"] = {"title": [lit]}
        own = {**self.documents[id_]["attune"], **({"model": self.models[id_]} if id_ in self.models else {})}
        own |= {name: own[name].rstrip("=") for name in ("tokens", "facts")}
        names = [str(name).removeprefix("attune.") for name in body.get("docvalue_fields", [])]
        shown = {f"attune.{name}": [own[name]] for name in names if name in own}
        if "attune.price" in body.get("docvalue_fields", []) and "price" in self.documents[id_]:
            shown["attune.price"] = [self.documents[id_]["price"]]
        return {**hit, "fields": shown} if shown else hit

    def _aggregated(self, wanted: JsonObject, ids: Sequence[str]) -> JsonObject:
        ((kind, body),) = wanted.items()
        name = body["field"].removesuffix(".keyword")
        values = [of for id_ in ids for of in _list(self.documents[id_].get(name))]
        if kind == "stats":
            return {"count": len(values), "min": min(values, default=None), "max": max(values, default=None)}
        counted = Counter(values).most_common(body["size"])
        if name == "available":
            return {
                "buckets": [
                    {"key": int(k), "key_as_string": str(k).lower(), "doc_count": n} for k, n in counted
                ]
            }
        return {"buckets": [{"key": key, "doc_count": n} for key, n in counted]}


@cache
def shipped_model() -> Model:
    """The model that comes with Attune, loaded once for all tests."""
    return load_model(None, threads=1).load()


@cache
def other_model() -> Model:
    """The same under another version, as if trained anew."""
    model = load_model(None, threads=1)
    model.version = "0123456789ab"
    return model.load()


@cache
def _stocked() -> PreviewShop:
    return PreviewShop(shipped_model())


def stocked_shop() -> PreviewShop:
    """The shop as it was at first, encoded once for all tests."""
    shop = _stocked()
    shop.reset()
    return shop


def _weighted(source: JsonObject) -> Counter[str]:
    counted: Counter[str] = Counter()
    for name, boost in (("title", 3), ("brand", 2), ("category", 2), ("description", 1)):
        counted.update(dict.fromkeys(split_words(source.get(name, "")), boost))
    return counted


def _rarities(texts: Iterable[Counter[str]]) -> dict[str, float]:
    among = Counter(word for text in texts for word in text)
    return {word: math.log(1 + (len(PRODUCTS) - n + 0.5) / (n + 0.5)) for word, n in among.items()}


def _lit(title: str, body: JsonObject) -> str:
    """The title with the words that the query asks for between its tags; empty where there are none."""
    asked = {word for text in _texts(body["query"]) for word in split_words(text)}
    (before,), (after,) = body["highlight"]["pre_tags"], body["highlight"]["post_tags"]
    pieces = [
        f"{before}{word}{after}" if asked & set(split_words(word)) else word for word in title.split(" ")
    ]
    return " ".join(pieces) if " ".join(pieces) != title else ""


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("multi_match"), dict):
            yield node["multi_match"]["query"]
        for inner in node.values():
            yield from _texts(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _texts(inner)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _json(body: object, status: int = 200) -> OpenSearchResponse:
    text = json.dumps(body).encode()
    kind = "application/json; charset=UTF-8"
    return OpenSearchResponse(status, (("content-type", kind), ("content-length", str(len(text)))), text)


def _error(status: int, kind: str, reason: str) -> OpenSearchResponse:
    cause = {"type": kind, "reason": reason}
    reply = _json({"error": {"root_cause": [cause], **cause}, "status": status}, status)
    challenge = (("www-authenticate", 'Basic realm="OpenSearch"'),) if status == 401 else ()
    return OpenSearchResponse(status, (*reply.headers, *challenge), reply.body)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing of requests."""


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve the sidecar while the block runs; yields its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
