"""A small deterministic encoder, and a connection that keeps indexes in memory, for tests of indexing."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from opensearchpy import Connection, OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout

from indexer.alias import PIPELINE
from mappings.types import Product
from reranker.types import EncodedProduct

Reply = tuple[int, dict[str, Any]]


class StandInEncoder:
    """Vectors of four components drawn from a hash of the title. A title `unencodable` fails."""

    version = "0123456789ab"
    dimension = 4

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        self.batches.append(len(products))
        if any(product.title == "unencodable" for product in products):
            raise RuntimeError("the encoder failed")
        return [encoded(product.title) for product in products]


def encoded(text: str) -> EncodedProduct:
    digest = hashlib.sha256(text.encode()).digest()
    vector = np.frombuffer(digest[:4], dtype=np.uint8).astype(np.float32) + 1
    return EncodedProduct(vector / np.linalg.norm(vector), digest)


class Shelf(Connection):
    """As much of OpenSearch as the indexer asks for: indexes, bulk, aliases.

    `refuse` maps a document's id to the statuses of its next tries; `down_at` is the number of bulk requests
    after which it stops answering; with `lose_answer` moving an alias works but its answer is lost.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.indexes: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, set[str]] = {}
        self.refuse: dict[str, list[int]] = {}
        self.down_at = -1
        self.lose_answer = False
        self.bulks = 0
        self.deleted: list[str] = []
        self.settings: list[Any] = []
        self.pipelines: dict[str, str] = {}

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
        parts = url.strip("/").split("/")
        route = self._routes().get((method, parts[0] if parts[0].startswith("_") else "/".join(parts[1:])))
        if route is None:
            raise AssertionError(f"unexpected request {method} {url}")
        status, answer = route(parts, body or b"")
        text = json.dumps(answer)
        if not 200 <= status < 300 and not (method == "HEAD" and status == 404):
            self._raise_error(status, text)
        if status == 404:
            self._raise_error(404, "")
        return status, {"content-type": "application/json"}, text

    def _routes(self) -> dict[tuple[str, str], Callable[[list[str], bytes], Reply]]:
        return {
            ("HEAD", ""): lambda parts, _: (
                200 if parts[0] in self.indexes or parts[0] in self.aliases else 404,
                {},
            ),
            ("PUT", ""): self._create,
            ("DELETE", ""): self._delete,
            ("PUT", "_settings"): self._set,
            ("GET", f"_settings/{PIPELINE}"): lambda parts, _: (
                200,
                {
                    index: {"settings": {PIPELINE: self.pipelines[index]} if index in self.pipelines else {}}
                    for index in parts[0].split(",")
                },
            ),
            ("POST", "_flush"): lambda *_: (200, {}),
            ("POST", "_refresh"): lambda *_: (200, {}),
            ("GET", "_stats/store"): lambda *_: (
                200,
                {"_all": {"primaries": {"store": {"size_in_bytes": 1000}}}},
            ),
            ("GET", "_mapping"): lambda parts, _: (
                200,
                {parts[0]: {"mappings": self.indexes[parts[0]]["body"].get("mappings", {})}},
            ),
            ("GET", "_alias"): self._get_alias,
            ("HEAD", "_alias"): lambda parts, _: (200 if self.aliases.get(parts[1]) else 404, {}),
            ("HEAD", "_alias/mugs"): lambda parts, _: (
                200 if parts[0] in self.aliases.get("mugs", ()) else 404,
                {},
            ),
            ("POST", "_aliases"): self._move,
            ("POST", "_bulk"): self._bulk,
        }

    def _create(self, parts: list[str], body: bytes) -> Reply:
        self.indexes[parts[0]] = {"body": json.loads(body), "documents": {}}
        return 200, {}

    def _delete(self, parts: list[str], _: bytes) -> Reply:
        self.deleted.append(parts[0])
        return 200, {"found": self.indexes.pop(parts[0], None) is not None}

    def _set(self, _: list[str], body: bytes) -> Reply:
        self.settings.append(json.loads(body))
        return 200, {}

    def _get_alias(self, parts: list[str], _: bytes) -> Reply:
        if parts[0] == "_alias":
            return 200, {index: {"aliases": {parts[1]: {}}} for index in self.aliases[parts[1]]}
        held = {alias: {} for alias, indexes in self.aliases.items() if parts[0] in indexes}
        return 200, {parts[0]: {"aliases": held}}

    def _move(self, _: list[str], body: bytes) -> Reply:
        for action in json.loads(body)["actions"]:
            ((kind, about),) = action.items()
            if kind == "add":
                self.aliases.setdefault(about["alias"], set()).add(about["index"])
            elif kind == "remove":
                self.aliases[about["alias"]].remove(about["index"])
            else:
                del self.indexes[about["index"]]
                for indexes in self.aliases.values():
                    indexes.discard(about["index"])
        if self.lose_answer:
            raise ConnectionTimeout("TIMEOUT", "read timed out", OSError())
        return 200, {}

    def _bulk(self, _: list[str], body: bytes) -> Reply:
        if self.bulks == self.down_at:
            raise NoConnection("N/A", "connection refused", OSError("connection refused"))
        self.bulks += 1
        lines = [json.loads(line) for line in body.decode().splitlines()]
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            about = action["index"]
            statuses = self.refuse.get(about["_id"], [])
            status = statuses.pop(0) if statuses else 201
            item = {"_index": about["_index"], "_id": about["_id"], "status": status}
            if status == 201:
                self.indexes[about["_index"]]["documents"][about["_id"]] = document
            else:
                cause = {"type": "cause", "reason": f"refused with {status}"}
                item["error"] = {"type": "error", "reason": "outer", "caused_by": cause}
            items.append({"index": item})
        return 200, {"errors": True, "items": items}


def shelf() -> tuple[OpenSearch, Shelf]:
    """Return a client and the connection that answers it."""
    client = OpenSearch("http://shelf:9200", connection_class=Shelf, max_retries=0)
    connection = client.transport.get_connection()
    assert isinstance(connection, Shelf)
    return client, connection
