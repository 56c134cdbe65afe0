"""An OpenSearch in memory: as much of its API as events, profiles and forgetting use."""

import json
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.json_client import JsonClient


class ShopperCluster(JsonClient):
    """Documents by index and id, with sequence numbers. The next writes of ids in `meddle` come too late."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, dict[str, tuple[dict[str, Any], int]]] = {}
        self.requests: list[tuple[str, str]] = []
        self.meddle: list[str] = []
        self._seq_no = 0

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        """Answer as OpenSearch does."""
        parts = urlsplit(target)
        self.requests.append((method, parts.path))
        path = [unquote(part) for part in parts.path.strip("/").split("/")]
        return self._answer(method, path, dict(parse_qsl(parts.query)), body)

    def sources(self, pattern: str) -> list[dict[str, Any]]:
        """Return the documents of the indexes that a pattern matches."""
        return [source for name in self._match(pattern) for source, _ in self.documents[name].values()]

    def _answer(self, method: str, path: list[str], params: dict[str, str], body: bytes) -> tuple[int, Any]:
        match path:
            case ["_bulk"]:
                return 200, self._write_all("", body)
            case [index, "_bulk"]:
                return 200, self._write_all(index, body)
            case [index, "_mget"]:
                return 200, {"docs": [self._get(index, id_) for id_ in json.loads(body)["ids"]]}
            case ["_cat", "indices", patterns]:
                names = [name for pattern in patterns.split(",") for name in self._match(pattern)]
                return 200, [{"index": name} for name in names]
            case [index, "_doc", id_]:
                return self._document(method, index, id_, params, body)
            case [pattern, "_delete_by_query" | "_count" as action]:
                return 200, self._by_query(pattern, json.loads(body), action == "_count")
            case [name] if method == "DELETE":
                return (200, {}) if self.documents.pop(name, None) is not None else (404, {})
            case [name] if method == "PUT" and name in self.documents:
                return 400, {"error": {"type": "resource_already_exists_exception", "reason": name}}
            case [name] if method == "PUT":
                self.documents[name] = {}
        return 200, {}

    def _document(
        self, method: str, index: str, id_: str, params: dict[str, str], body: bytes
    ) -> tuple[int, Any]:
        stored = self.documents.setdefault(index, {})
        if method == "GET":
            if id_ not in stored:
                return 404, {"found": False}
            source, seq_no = stored[id_]
            return 200, {"_source": source, "_seq_no": seq_no, "_primary_term": 1}
        if method == "DELETE":
            return (200, {}) if stored.pop(id_, None) else (404, {})
        if id_ in self.meddle:
            self.meddle.remove(id_)
            if id_ in stored:
                self._put(stored, id_, stored[id_][0])
            return 409, {}
        known = stored[id_][1] if id_ in stored else None
        if (params.get("op_type") == "create" and known is not None) or (
            "if_seq_no" in params and known != int(params["if_seq_no"])
        ):
            return 409, {}
        self._put(stored, id_, json.loads(body))
        return 200, {}

    def _put(self, stored: dict[str, tuple[dict[str, Any], int]], id_: str, source: dict[str, Any]) -> None:
        self._seq_no += 1
        stored[id_] = (source, self._seq_no)

    def _get(self, index: str, id_: str) -> dict[str, Any]:
        status, answer = self._document("GET", index, id_, {}, b"")
        return {"_id": id_, "found": status == 200, **answer}

    def _write_all(self, index: str, body: bytes) -> dict[str, Any]:
        lines = [json.loads(line) for line in body.splitlines()]
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            ((kind, place),) = action.items()
            params = {name: str(value) for name, value in place.items()} | {"op_type": kind}
            status, _ = self._document(
                "PUT", place.get("_index", index), place["_id"], params, json.dumps(source).encode()
            )
            items.append({kind: {"_id": place["_id"], "status": 201 if status == 200 else status}})
        return {"items": items}

    def _by_query(self, pattern: str, search: dict[str, Any], only_count: bool) -> dict[str, int]:
        query = search["query"]
        terms = [
            term for clause in query.get("bool", {}).get("should", ()) for term in clause["term"].items()
        ]
        before = [(field, limit["lt"]) for field, limit in query.get("range", {}).items()]
        count = 0
        for name in self._match(pattern):
            for id_, (source, _) in list(self.documents[name].items()):
                if any(source.get(field) == value for field, value in terms) or any(
                    source[field] < limit for field, limit in before
                ):
                    count += 1
                    if not only_count:
                        del self.documents[name][id_]
        return {"count": count} if only_count else {"deleted": count}

    def _match(self, pattern: str) -> list[str]:
        return [name for name in self.documents if fnmatchcase(name, pattern)]
