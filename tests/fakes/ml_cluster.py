"""A cluster with ml-commons as far as `attune install` asks for it, in memory."""

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from opensearchpy import OpenSearch

from tests.fakes.memory_connection import ClientRequest, open_client

Answer = tuple[int, dict[str, Any]]

DEFAULTS: Mapping[str, object] = {
    "plugins.ml_commons.only_run_on_ml_node": "true",
    "plugins.ml_commons.connector.private_ip_enabled": "false",
    "plugins.ml_commons.trusted_connector_endpoints_regex": ["^https://api\\.openai\\.com/.*$"],
}
OK: Answer = (200, {"acknowledged": True})
NONE: Answer = (404, {"error": {"type": "resource_not_found_exception", "reason": "there is none"}})


class MlCluster:
    """`refuse` maps "METHOD path", a regular expression, to answers given in turn instead of its own.

    `tuned` are the settings that a check-up has recorded in every index.
    """

    def __init__(self) -> None:
        self.version = "2.19.1"
        self.plugins = ["opensearch-ml", "opensearch-neural-search", "opensearch-knn", "opensearch-security"]
        self.roles = ["data", "ingest"]
        self.ingest_processors = ["ml_inference", "pipeline", "set"]
        self.processors = ["ml_inference", "rerank", "script", "oversample", "truncate_hits"]
        self.security: dict[str, Any] = {"reader": {"index_permissions": [{"dls": None}]}}
        self.settings: dict[str, Any] = {}
        self.pipelines: dict[str, Any] = {}
        self.ingest_pipelines: dict[str, Any] = {}
        self.mappings: dict[str, Any] = {}
        self.connectors: dict[str, Any] = {}
        self.models: dict[str, Any] = {}
        self.indexes: dict[str, dict[str, str]] = {"shop-1": {}, "other": {}}
        self.tuned: dict[str, Any] = {}
        self.refuse: dict[str, list[Answer]] = {}
        self.sent: list[tuple[str, str, Any]] = []
        self.made = 0

    @property
    def state(self) -> str:
        """All that an installation may change."""
        held = [
            self.settings,
            self.pipelines,
            self.ingest_pipelines,
            self.connectors,
            self.models,
            self.indexes,
        ]
        return json.dumps(held, sort_keys=True)

    @property
    def changes(self) -> list[str]:
        """What came that changes something: method and path."""
        reads = ("_search", "_predict")
        return [f"{m} {path}" for m, path, _ in self.sent if m != "GET" and not path.endswith(reads)]

    def answer(self, method: str, path: str, body: Any) -> Answer:
        """Answer one request."""
        path = path.partition("?")[0]
        self.sent.append((method, path, body))
        for pattern, answers in self.refuse.items():
            if answers and re.fullmatch(pattern, f"{method} {path}"):
                return answers.pop(0)
        parts = path.strip("/").split("/")
        if path == "/":
            return 200, {"version": {"number": self.version}}
        if parts[0] == "_nodes":
            return self._nodes()
        if path == "/_plugins/_security/api/roles":
            return 200, self.security
        if path == "/_alias":
            return 200, {name: {"aliases": {}} for name in self.indexes}
        if path == "/_cluster/settings":
            return self._settings(body)
        if parts[:2] == ["_search", "pipeline"]:
            return self._pipeline(self.pipelines, method, parts[2], body)
        if parts[:2] == ["_ingest", "pipeline"]:
            return self._pipeline(self.ingest_pipelines, method, parts[2], body)
        if parts[:2] == ["_plugins", "_ml"]:
            kind = {"connectors": self.connectors, "models": self.models}[parts[2]]
            return self._ml(kind, parts[2], method, parts[3:], body)
        if len(parts) == 1:
            return self._describe(parts[0])
        if parts[1] == "_mapping":
            meta = {"attune": {"tuning": {"settings": self.tuned}}}
            return 200, {f"{parts[0]}-1": {"mappings": {"_meta": meta}}}
        if parts[1] == "_settings":
            return self._index(method, parts[0], body)
        raise AssertionError(f"unexpected request {method} {path}")

    def _nodes(self) -> Answer:
        plugins = [{"name": name} for name in self.plugins]
        processors = {"request_processors": [{"type": kind} for kind in self.processors]}
        node = {
            "plugins": plugins,
            "roles": self.roles,
            "search_pipelines": processors,
            "ingest": {"processors": [{"type": kind} for kind in self.ingest_processors]},
        }
        return 200, {"nodes": {"a": node}}

    def _settings(self, body: Any) -> Answer:
        if body is None:
            rest = {name: value for name, value in DEFAULTS.items() if name not in self.settings}
            return 200, {"defaults": rest, "persistent": dict(self.settings), "transient": {}}
        for name, value in body["persistent"].items():
            self.settings.pop(name, None)
            if value is not None:
                self.settings[name] = value
        return OK

    def _pipeline(self, pipelines: dict[str, Any], method: str, name: str, body: Any) -> Answer:
        if method == "PUT":
            pipelines[name] = body
            return OK
        named = {key: value for key, value in pipelines.items() if fnmatchcase(key, name)}
        if not named:
            return NONE
        if method == "DELETE":
            del pipelines[name]
            return OK
        return 200, named

    def _ml(self, kind: dict[str, Any], word: str, method: str, rest: list[str], body: Any) -> Answer:
        if rest == ["_search"]:
            hits = [{"_id": id_, "_source": source} for id_, source in kind.items()]
            return (200, {"hits": {"hits": hits}}) if self.made else NONE
        if rest in (["_create"], ["_register"]):
            self.made += 1
            kind[f"{word}-{self.made}"] = {name: of for name, of in body.items() if name != "credential"}
            return 200, {f"{word[:-1]}_id": f"{word}-{self.made}"}
        if method == "DELETE":
            used = [of["connector_id"] for of in self.models.values()]
            if rest[0] in used:
                return 409, {"error": {"reason": "1 models are still using this connector"}}
            del kind[rest[0]]
        return 200, {}

    def _describe(self, expression: str) -> Answer:
        """An index as it is: its settings nested, as OpenSearch returns them where they are not flattened."""
        named = [name for name in self.indexes if name.startswith(expression)]
        if not named:
            return NONE
        return 200, {
            name: {
                "aliases": {},
                "mappings": self.mappings.get(name, {}),
                "settings": {
                    "index": {key.removeprefix("index."): value for key, value in self.indexes[name].items()}
                },
            }
            for name in named
        }

    def _index(self, method: str, expression: str, body: Any) -> Answer:
        named = [name for name in self.indexes if expression.startswith("*") or name.startswith(expression)]
        if not named:
            return NONE
        if method == "GET":
            return 200, {name: {"settings": dict(self.indexes[name])} for name in named}
        for name in named:
            for key, value in body.items():
                self.indexes[name].pop(key, None)
                if value is not None:
                    self.indexes[name][key] = value
        return OK


def ml_cluster() -> tuple[OpenSearch, MlCluster]:
    """Return a cluster, and a client that it answers."""
    cluster = MlCluster()

    def answer(request: ClientRequest) -> Answer:
        body = json.loads(request.body) if request.body else None
        return cluster.answer(request.method, request.path, body)

    return open_client(answer), cluster
