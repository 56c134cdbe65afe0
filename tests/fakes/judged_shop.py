"""A shop of eight products behind HTTP, as far as `attune evaluate` asks, with the real model's vectors."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from werkzeug import Request, Response
from werkzeug.serving import make_server

from mappings.product_key import ProductKey, digest_encoded
from mappings.types import Product
from plugin_api.search.retrieval.named_clauses import MEETS_CONDITIONS
from reranker.model import Model
from reranker.types import EncodedProduct
from tests.fakes.shop import stored_bytes

PRODUCTS = (
    Product("m1", "Wireless mouse", "Logitech", "Mice", "Optical, 2.4 GHz"),
    Product("m2", "Wired mouse", "HP", "Mice", "USB"),
    Product("m3", "Mouse pad", "HP", "Accessories", "Soft, for any mouse"),
    Product("k1", "Wireless keyboard", "Logitech", "Keyboards", "With number pad"),
    Product("k2", "Mechanical keyboard", "Corsair", "Keyboards", "RGB"),
    Product("p1", "Smartphone", "Samsung", "Phones", "128 GB, dual SIM"),
    Product("p2", "Smartphone case", "Spigen", "Phone accessories", "For Samsung"),
    Product("t1", "LED television", "LG", "Televisions", "55 inch"),
)
JUDGED = """query,product_id,grade
wireless mouse,m1,3
wireless mouse,m2,1
wireless mouse,m3,0
wireless mouse,k1,0
keyboard,k1,3
keyboard,k2,3
keyboard,m3,0
samsung phone,p1,3
samsung phone,p2,1
samsung phone,gone,3
sofa,t1,0
sofa,m3,0
"""


class JudgedShop:
    """OpenSearch in memory: hits by words shared with the query, or by the nearest vector."""

    def __init__(self, model: Model) -> None:
        self.version = model.version
        self.second: JudgedShop | None = None  # the index of that alias
        encoded = model.encode_products(PRODUCTS)
        self._products: Mapping[str, tuple[Product, EncodedProduct]] = {
            product.id: (product, found) for product, found in zip(PRODUCTS, encoded, strict=True)
        }

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        query = _read(body.get("query", {}))
        scored = []
        for product, encoded in self._products.values():
            if query.ids is not None and product.id not in query.ids:
                continue
            words = f"{product.title} {product.brand} {product.category} {product.description}"
            shared = len(set(query.text.lower().split()) & set(words.lower().split()))
            is_added = product.id in query.added
            near = (1 + float(encoded.vector @ query.vector)) / 2 if query.vector is not None else None
            score = near if near is not None else shared or (0 if query.text else 1)
            if score or is_added:
                scored.append((float(score), product))
        scored.sort(key=lambda item: -item[0])
        start, size = body.get("from", 0), body.get("size", 10)
        hits = [self._hit(*item, body, query.vector is not None) for item in scored[start : start + size]]
        total = {"value": len(scored), "relation": "eq"}
        reply: dict[str, Any] = {"took": 1, "hits": {"total": total, "max_score": None, "hits": hits}}
        if "aggs" in body:
            buckets = [{"key": self.version, "doc_count": len(self._products)}]
            reply["aggregations"] = {"models": {"buckets": buckets}}
        return reply

    def _named(self, index: str) -> "JudgedShop":
        return self.second if index == "second" and self.second else self

    def _hit(self, score: float, product: Product, body: dict[str, Any], near: bool) -> dict[str, Any]:
        hit: dict[str, Any] = {"_index": "shop-1", "_id": product.id, "_score": score}
        if body.get("_source", True) is not False:
            texts = {"title": product.title, "brand": product.brand, "category": product.category}
            hit["_source"] = {**texts, "description": product.description}
        if body.get("stored_fields") == "_none_":
            del hit["_id"]
        tokens = self._products[product.id][1].stored
        key = ProductKey(product.id, self.version, digest_encoded(tokens, b""))
        shown = {"attune.key": stored_bytes(key.pack()), "attune.tokens": stored_bytes(tokens)}
        if asked := body.get("docvalue_fields"):
            hit["fields"] = {name: [shown[name]] for name in asked if name in shown}
        if near:  # no search of the tests has conditions that a product does not meet
            hit["matched_queries"] = [MEETS_CONDITIONS]
        return hit

    def reply(self, request: Request) -> Response:
        """Answer one HTTP request."""
        lines = [json.loads(line) for line in request.get_data().splitlines()]
        if request.path == "/":
            return _json({"version": {"number": "3.5.0"}})
        if request.path.endswith("_alias"):
            return _json({"shop-1": {"aliases": {"shop": {}}}})
        name, _, rest = request.path.strip("/").partition("/")
        if rest == "_msearch":
            found = [{**self._named(name).search(body), "status": 200} for body in lines[1::2]]
            return _json({"took": 1, "responses": found})
        if rest == "_mapping":
            return _json({"shop-1": {"mappings": {}}})
        if rest == "_search" and name in ("shop", "second"):
            return _json(self._named(name).search(lines[0] if lines else {}))
        return _json({"error": {"type": "index_not_found_exception"}, "status": 404}, 404)


class _Query:
    """What a query asks: words, a vector, ids, and the ids of products that are added to what it finds."""

    def __init__(self) -> None:
        self.text, self.ids = "", None  # type: str, set[str] | None
        self.added: set[str] = set()
        self.vector: np.ndarray[Any, Any] | None = None


def _read(clause: Any) -> _Query:
    query = _Query()

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        elif isinstance(node, dict) and node.get("boost") == 0 and "must" in node:
            query.added = set(node["must"][0]["ids"]["values"])
        elif isinstance(node, dict):
            for name, inner in node.items():
                if name == "ids":
                    query.ids = set(inner["values"])
                elif name == "knn":
                    (near,) = inner.values()
                    query.vector = np.array(near["vector"], dtype=np.float32)
                    walk(near.get("filter"))
                elif name == "multi_match":
                    query.text = inner["query"]
                elif name != "highlight":
                    walk(inner)

    walk(clause)
    return query


@contextmanager
def served(shop: JudgedShop) -> Iterator[str]:
    """Serve the shop while the block runs; yields its address."""

    @Request.application
    def answer(request: Request) -> Response:
        return shop.reply(request)

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
