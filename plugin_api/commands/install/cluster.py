"""Reads and changes a cluster for `attune install`. A dry run reads, and only reports its changes."""

import json
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, NotFoundError, SerializationError, TransportError

from mappings.errors import ClusterDown, InstallError
from mappings.types import JsonObject
from plugin_api.commands.searched_index import describe_missing_index

ML_API = "/_plugins/_ml"
DEFAULT_PIPELINE = "index.search.default_pipeline"
FINAL_PIPELINE = "index.final_pipeline"
"""The setting of the ingest pipeline that runs last: after the default one, or the one that a write names."""

ML_READY_SECONDS = 30.0
"""How long ml-commons may take to prepare its own indexes and models."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the cluster: what it does, in words, and the request."""

    does: str
    method: str
    path: str
    body: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class InstalledPart:
    """A connector or a remote model in the cluster."""

    id: str
    name: str
    description: str
    connector_id: str = ""


def resolve_host(name: str) -> list[str]:
    """Return the addresses of a host, as this machine knows it. Raises OSError where it does not."""
    return [str(row[4][0]) for row in socket.getaddrinfo(name, None)]


class Cluster:
    """Reads a cluster and applies steps. `on_step` is called with each; with `dry_run` no step is applied.

    `resolve` returns the addresses of a host, or raises OSError.
    """

    def __init__(
        self,
        client: OpenSearch,
        on_step: Callable[[Step], None],
        dry_run: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        resolve: Callable[[str], Sequence[str]] = resolve_host,
    ) -> None:
        self._client = client
        self._on_step = on_step
        self.dry_run = dry_run
        self.sleep = sleep
        self.resolve = resolve

    def apply(self, step: Step) -> JsonObject:
        """Apply a step and return the response, in a dry run an empty one. Raises as `send` does."""
        response = {} if self.dry_run else self.send(step.method, step.path, step.body, step.does)
        self._on_step(step)
        return response

    def send(self, method: str, path: str, body: JsonObject | None = None, doing: str = "") -> JsonObject:
        """Send a request. Raises InstallError where it is refused, NotFoundError, ClusterDown."""
        doing = doing or f"{method} {path}"
        until = time.monotonic() + ML_READY_SECONDS
        try:
            response = self._try(method, path, body)
            while response is None and time.monotonic() < until:
                self.sleep(0.5)
                response = self._try(method, path, body)
        except ConnectionTimeout as error:
            raise InstallError(
                f"{doing}: OpenSearch took too long; raise opensearch.timeout_seconds"
            ) from error
        except NoConnection as error:
            raise ClusterDown(
                f"{doing}: OpenSearch does not answer; set opensearch.url (ATTUNE_OPENSEARCH_URL), "
                "and opensearch.ca_file where its certificate is your own"
            ) from error
        except NotFoundError:
            raise
        except SerializationError as error:
            raise ClusterDown(
                f"{doing}: it is not OpenSearch that answers; set opensearch.url (ATTUNE_OPENSEARCH_URL)"
            ) from error
        except TransportError as error:
            raise InstallError(f"{doing}: {_refusal(error)}") from error
        if response is None:
            raise InstallError(f"{doing}: a shard of ml-commons' own indexes is missing: check their health")
        return response

    def _try(self, method: str, path: str, body: JsonObject | None) -> JsonObject | None:
        """Return the response; None while an index of ml-commons, created when first used, starts."""
        try:
            answer: JsonObject = self._client.transport.perform_request(method, path, body=body)
        except TransportError as error:
            if error.status_code == 503 and "No shard available" in str(error.info):
                return None
            raise
        return answer

    def version(self) -> tuple[int, int]:
        """Return major and minor version."""
        major, minor, *_ = str(self.send("GET", "/")["version"]["number"]).split(".")
        return int(major), int(minor)

    def processors(self) -> frozenset[str]:
        """Return the types of search processors that every node has."""
        nodes = self.send("GET", "/_nodes/search_pipelines")["nodes"].values()
        kinds = [
            {row["type"] for rows in node.get("search_pipelines", {}).values() for row in rows}
            for node in nodes
        ]
        return frozenset(set.intersection(*kinds)) if kinds else frozenset()

    def plugins(self) -> frozenset[str]:
        """Return the names of plugins that every node has."""
        nodes = self.send("GET", "/_nodes/plugins")["nodes"].values()
        return frozenset(set.intersection(*({row["name"] for row in node["plugins"]} for node in nodes)))

    def has_ml_nodes(self) -> bool:
        """Return whether any node has the role `ml`."""
        return any("ml" in node["roles"] for node in self.send("GET", "/_nodes/plugins")["nodes"].values())

    def settings(self) -> tuple[JsonObject, JsonObject]:
        """Return the cluster settings in force, and the persistent ones."""
        response = self.send("GET", "/_cluster/settings?include_defaults=true&flat_settings=true")
        persistent: JsonObject = response["persistent"]
        return response["defaults"] | persistent | response["transient"], persistent

    def pipeline(self, name: str) -> JsonObject | None:
        """Return a search pipeline; None where there is none."""
        try:
            pipeline: JsonObject = self.send("GET", f"/_search/pipeline/{name}")[name]
        except NotFoundError:
            return None
        return pipeline

    def find_parts(self, kind: str, names: tuple[str, ...]) -> list[InstalledPart]:
        """Return the connectors or models (`kind`) of these names, oldest first."""
        match = [{"match_phrase": {"name": name}} for name in names]
        query: JsonObject = {"bool": {"should": match, "must_not": [{"exists": {"field": "chunk_number"}}]}}
        try:
            answer = self.send("POST", f"{ML_API}/{kind}/_search", {"query": query, "size": 100})
        except NotFoundError:  # ml-commons creates its index with the first part
            return []
        parts = (
            InstalledPart(
                hit["_id"],
                str(hit["_source"].get("name")),
                str(hit["_source"].get("description")),
                str(hit["_source"].get("connector_id", "")),
            )
            for hit in answer["hits"]["hits"]
        )
        return [part for part in parts if part.name in names]

    def ingest_pipelines(self, pattern: str) -> dict[str, JsonObject]:
        """Return the ingest pipelines of these names."""
        try:
            return dict(self.send("GET", f"/_ingest/pipeline/{pattern}"))
        except NotFoundError:
            return {}

    def ingest_processors(self) -> frozenset[str]:
        """Return the types of ingest processors that every node has."""
        nodes = self.send("GET", "/_nodes/ingest")["nodes"].values()
        kinds = [{row["type"] for row in node.get("ingest", {}).get("processors", [])} for node in nodes]
        return frozenset(set.intersection(*kinds)) if kinds else frozenset()

    def default_pipelines(self, expression: str) -> dict[str, str]:
        """Return the default pipeline of each index that `expression` names; empty where it has none.

        Raises InstallError where there is no such index.
        """
        try:
            return self._index_pipelines(DEFAULT_PIPELINE, expression, "")
        except NotFoundError as error:
            raise self.missing_index(expression) from error

    def missing_index(self, name: str, advice: str = "") -> InstallError:
        """Return the error for an alias or index that does not exist; see `describe_missing_index`."""
        return InstallError(describe_missing_index(self._client, name, advice))

    def all_index_pipelines(self, setting: str, others: Iterable[str]) -> dict[str, str]:
        """Return what a setting has of all indexes without a dot before their name, and of `others`.

        Indexes with a dot are left out because OpenSearch logs a warning where its own are read.
        """
        return self._index_pipelines(setting, ",".join(["*", "-.*", *others]), "&ignore_unavailable=true")

    def _index_pipelines(self, setting: str, expression: str, more: str) -> dict[str, str]:
        path = f"/{expression}/_settings/index.*?flat_settings=true&expand_wildcards=all{more}"
        indexes = self.send("GET", path)
        return {name: str(body["settings"].get(setting, "")) for name, body in indexes.items()}


def _refusal(error: TransportError) -> str:
    """Return OpenSearch's reason, and what to do where a permission is missing."""
    info = error.info
    cause = info.get("error", info) if isinstance(info, dict) else info
    reason = cause.get("reason") if isinstance(cause, dict) else cause
    said = f"{error.status_code} {reason or json.dumps(info)}"
    if error.status_code == 401:
        return f"{said}. Set opensearch.user and opensearch.password"
    if error.status_code == 403:
        return f"{said}. opensearch.user needs the roles ml_full_access and all_access, or rights like theirs"
    return said
