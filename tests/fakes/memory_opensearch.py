"""An OpenSearch in memory: as much of its API as the indexer uses, with failures on demand."""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout

from indexer.store.alias import PIPELINE_SETTING
from tests.fakes.memory_connection import ClientRequest, open_client

_Answer = tuple[int, Any]


@dataclass
class Document:
    source: dict[str, Any]
    version: int
    seq_no: int


@dataclass
class Index:
    body: dict[str, Any]
    entries: dict[str, Document] = field(default_factory=dict)

    @property
    def documents(self) -> dict[str, Any]:
        return {id_: of.source for id_, of in self.entries.items()}


class MemoryOpenSearch:
    """A cluster of indexes, versioned documents, aliases and simple queries.

    `refuse` maps a document's id to the statuses of its next writes. `fails` has pairs of a pattern and how
    many of the next requests whose path matches it get no answer. `lose` names documents whose writes are
    confirmed but not done. With `lose_answer`, moving an alias works but its answer is lost.
    """

    def __init__(self) -> None:
        self.indexes: dict[str, Index] = {}
        self.aliases: dict[str, set[str]] = {}
        self.refuse: dict[str, list[int]] = {}
        self.fails: list[tuple[str, int]] = []
        self.lose: set[str] = set()
        self.lose_answer = False
        self.settings: list[Any] = []
        self.requests: list[tuple[str, str]] = []
        self._sequence = 0

    def answer_request(self, request: ClientRequest) -> _Answer:
        """Answer a request of a client, and record its method and path."""
        self.requests.append((request.method, request.path))
        self._fail(request.path)
        return self.answer(request.method, request.path, request.params, request.body)

    def answer(self, method: str, path: str, params: Mapping[str, Any], body: bytes) -> _Answer:
        """Return the status and the body that a request is answered with."""
        return self._answer(method, [unquote(part) for part in path.strip("/").split("/")], params, body)

    def copy_state(self) -> tuple[dict[str, Index], dict[str, set[str]]]:
        """Return a copy of the indexes and aliases, for `restore_state`."""
        return deepcopy(self.indexes), deepcopy(self.aliases)

    def restore_state(self, state: tuple[dict[str, Index], dict[str, set[str]]]) -> None:
        """Put the indexes and aliases of `copy_state` in place of the present ones."""
        self.indexes, self.aliases = deepcopy(state)

    def _fail(self, url: str) -> None:
        for at, (path, times) in enumerate(self.fails):
            if re.search(path, url) and times:
                self.fails[at] = (path, times - 1)
                raise NoConnection("N/A", "connection refused", OSError("connection refused"))

    def _answer(self, method: str, parts: list[str], params: Mapping[str, Any], body: bytes) -> _Answer:
        match (method, *parts):
            case ("GET", ""):
                return 200, {"version": {"number": "3.5.0"}}
            case ("HEAD", "_alias", alias):
                return (200 if self.aliases.get(alias) else 404), {}
            case ("GET", "_alias"):
                return 200, {name: {"aliases": self._aliases_of(name)} for name in self.indexes}
            case ("GET", "_alias", alias):
                held = sorted(self.aliases.get(alias, ()))
                return (200, {index: {"aliases": {alias: {}}} for index in held}) if held else (404, {})
            case ("POST", "_aliases"):
                return self._move(json.loads(body))
            case ("POST", "_bulk"):
                return self._bulk(body)
            case ("POST", "_search", "scroll"):
                return 200, {"_scroll_id": "s", "hits": {"hits": []}, "_shards": _SHARDS}
            case ("DELETE", "_search", "scroll"):
                return 200, {}
            case ("HEAD", name):
                return (200 if name in self.indexes or self.aliases.get(name) else 404), {}
            case ("GET", pattern):
                return 200, {name: self._shown(name) for name in self.indexes if fnmatchcase(name, pattern)}
            case ("PUT", name):
                if name in self.indexes:
                    return 400, {"error": {"type": "resource_already_exists_exception"}}
                self.indexes[name] = Index(json.loads(body or b"{}"))
                return 200, {}
            case ("DELETE", name):
                self.indexes.pop(name, None)
                return 200, {}
        names = [held for name in parts[0].split(",") for held in (self.aliases.get(name) or [name])]
        return self._of_index(method, names, parts[1:], params, body)

    def _aliases_of(self, index: str) -> dict[str, Any]:
        return {alias: {} for alias, indexes in self.aliases.items() if index in indexes}

    def _of_index(
        self, method: str, names: list[str], parts: list[str], params: Mapping[str, Any], body: bytes
    ) -> _Answer:
        missing = {"type": "index_not_found_exception", "reason": f"no such index {names}"}
        if any(name not in self.indexes for name in names) and parts == ["_mget"]:
            return 200, {"docs": [{"_id": key, "error": missing} for key in json.loads(body)["ids"]]}
        if any(name not in self.indexes for name in names):
            return 404, {"error": missing}
        index = self.indexes[names[0]]
        match (method, *parts):
            case ("PUT", "_settings"):
                self.settings.append(json.loads(body))
                flat = json.loads(body)
                index.body.setdefault("flat", {}).update(
                    {k: v for k, v in flat.items() if k == PIPELINE_SETTING}
                )
                return 200, {}
            case ("GET", "_settings", name):
                found = {of: self.indexes[of].body.get("flat", {}) for of in names}
                return 200, {of: {"settings": held} for of, held in found.items() if name in held}
            case ("GET", "_mapping"):
                return 200, {
                    name: {"mappings": self.indexes[name].body.get("mappings", {})} for name in names
                }
            case ("PUT", "_mapping"):
                index.body.setdefault("mappings", {}).update(json.loads(body))
                return 200, {}
            case ("POST", "_refresh" | "_flush"):
                return 200, {}
            case ("GET", "_stats", "store"):
                return 200, {"_all": {"primaries": {"store": {"size_in_bytes": 1000}}}}
            case ("POST" | "GET", "_mget"):
                return 200, {"docs": [self._got(index, of) for of in json.loads(body)["ids"]]}
            case ("GET", "_doc", key):
                got = self._got(index, key)
                return (200 if got["found"] else 404), got
            case ("PUT" | "POST", "_doc", key):
                return self._put(index, key, params, json.loads(body))
            case ("DELETE", "_doc", key):
                return self._drop(index, key, params)
            case ("POST" | "GET", "_count"):
                query = json.loads(body)["query"] if body else {"match_all": {}}
                return 200, {"count": len(self._found(names, query))}
            case ("POST" | "GET", "_search"):
                hits = self._found(names, json.loads(body)["query"])
                return 200, {"_scroll_id": "s", "hits": {"hits": hits}, "_shards": _SHARDS}
            case ("POST", "_delete_by_query"):
                for hit in self._found(names, json.loads(body)["query"]):
                    del index.entries[hit["_id"]]
                return 200, {}
        raise AssertionError(f"unexpected request {method} {names} {parts}")

    def _shown(self, name: str) -> dict[str, Any]:
        held = {alias: {} for alias, indexes in self.aliases.items() if name in indexes}
        return {"mappings": self.indexes[name].body.get("mappings", {}), "aliases": held}

    def _got(self, index: Index, key: str) -> dict[str, Any]:
        of = index.entries.get(key)
        if of is None:
            return {"_id": key, "found": False}
        place = {"_version": of.version, "_seq_no": of.seq_no, "_primary_term": 1}
        return {"_id": key, "found": True, "_source": of.source, **place}

    def _put(self, index: Index, key: str, params: Mapping[str, Any], source: dict[str, Any]) -> _Answer:
        of = index.entries.get(key)
        if of and (params.get("op_type") == "create" or int(params.get("if_seq_no", of.seq_no)) != of.seq_no):
            return 409, {"error": {"type": "version_conflict_engine_exception"}}
        if of is None and "if_seq_no" in params:
            return 409, {"error": {"type": "version_conflict_engine_exception"}}
        return 200, self._keep(index, key, source, of.version + 1 if of else 1)

    def _keep(self, index: Index, key: str, source: dict[str, Any], version: int) -> dict[str, Any]:
        self._sequence += 1
        index.entries[key] = Document(source, version, self._sequence)
        return {"_id": key, "_seq_no": self._sequence, "_primary_term": 1, "_version": version}

    def _drop(self, index: Index, key: str, params: Mapping[str, Any]) -> _Answer:
        of = index.entries.get(key)
        if of is None:
            return 404, {}
        if int(params.get("if_seq_no", of.seq_no)) != of.seq_no:
            return 409, {"error": {"type": "version_conflict_engine_exception"}}
        del index.entries[key]
        return 200, {}

    def _found(self, names: list[str], query: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"_id": key, "_version": of.version, "_source": of.source}
            for name in names
            for key, of in self.indexes[name].entries.items()
            if _matches(of.source, query)
        ]

    def _move(self, body: dict[str, Any]) -> _Answer:
        for action in body["actions"]:
            ((kind, about),) = action.items()
            if kind == "add":
                self.aliases.setdefault(about["alias"], set()).add(about["index"])
            else:
                self.aliases[about["alias"]].remove(about["index"])
        if self.lose_answer:
            self.lose_answer = False
            raise ConnectionTimeout("TIMEOUT", "read timed out", OSError())
        return 200, {}

    def _bulk(self, body: bytes) -> _Answer:
        lines = iter([json.loads(line) for line in body.decode().splitlines()])
        items = []
        for line in lines:
            ((kind, about),) = line.items()
            source = next(lines) if kind == "index" else None
            items.append({kind: self._apply(kind, about, source)})
        return 200, {"errors": True, "items": items}

    def _apply(self, kind: str, about: dict[str, Any], source: dict[str, Any] | None) -> dict[str, Any]:
        index, key, version = self.indexes[about["_index"]], about["_id"], about["version"]
        item = {"_index": about["_index"], "_id": key}
        statuses = self.refuse.get(key, [])
        status = statuses.pop(0) if statuses else 200
        held = index.entries.get(key)
        if status == 200 and held and held.version > version:
            status = 409
        if status != 200:
            cause = {"type": "cause", "reason": f"refused with {status}"}
            return {
                **item,
                "status": status,
                "error": {"type": "error", "reason": "outer", "caused_by": cause},
            }
        if key in self.lose:
            return {**item, "status": 201}
        if source is None:
            return {**item, "status": 200 if index.entries.pop(key, None) else 404}
        self._keep(index, key, source, version)
        return {**item, "status": 201}


_SHARDS = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}


def _matches(source: dict[str, Any], query: dict[str, Any]) -> bool:
    ((kind, about),) = query.items()
    if kind == "bool":
        return all(_matches(source, of) for of in about.get("filter", [])) and not any(
            _matches(source, of) for of in about.get("must_not", [])
        )
    if kind in ("match_all", "knn", "multi_match"):
        return True
    ((name, wanted),) = about.items()
    value: Any = source
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if kind == "term":
        return bool(value == wanted)
    return value is not None and value > wanted.get("gt", value - 1) and value < wanted.get("lt", value + 1)


MemoryCluster = tuple[OpenSearch, MemoryOpenSearch]
"""A client and the cluster that answers it."""


def open_memory() -> MemoryCluster:
    """Return a client and the cluster that answers it."""
    cluster = MemoryOpenSearch()
    return open_client(cluster.answer_request), cluster
