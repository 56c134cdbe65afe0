"""A cluster as `attune install` sees it: what is there, and the steps that change it.

A dry run reads as any other, but only notes its steps.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, NotFoundError, TransportError

from mappings.errors import ClusterDown, InstallError
from mappings.types import JsonObject

ML = "/_plugins/_ml"
DEFAULT_PIPELINE = "index.search.default_pipeline"

READY_SECONDS = 30.0
"""How long ml-commons may take to get its own indexes and models ready."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the cluster: what it does, in words, and what is sent for it."""

    does: str
    method: str
    path: str
    body: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A connector or a remote model that is there."""

    id: str
    name: str
    description: str
    connector_id: str = ""


class Cluster:
    """Reads a cluster and takes steps, telling `told` of each; with `dry`, steps are told and not taken."""

    def __init__(self, client: OpenSearch, told: Callable[[Step], None], dry: bool = False) -> None:
        self._client = client
        self._told = told
        self.dry = dry

    def take(self, step: Step) -> JsonObject:
        """Take a step and return the cluster's answer, of a dry run an empty one. Raises as `ask` does."""
        answer = {} if self.dry else self.ask(step.method, step.path, step.body, step.does)
        self._told(step)
        return answer

    def ask(self, method: str, path: str, body: JsonObject | None = None, doing: str = "") -> JsonObject:
        """Send a request. Raises InstallError where it is refused, NotFoundError, ClusterDown."""
        doing = doing or f"{method} {path}"
        until = time.monotonic() + READY_SECONDS
        try:
            answer = self._sent(method, path, body)
            while answer is None and time.monotonic() < until:
                time.sleep(0.5)
                answer = self._sent(method, path, body)
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
        except TransportError as error:
            raise InstallError(f"{doing}: {_refusal(error)}") from error
        if answer is None:
            raise InstallError(f"{doing}: a shard of ml-commons' own indexes is not there: see their health")
        return answer

    def _sent(self, method: str, path: str, body: JsonObject | None) -> JsonObject | None:
        """The answer; None while the index that it takes, made by ml-commons with its first use, starts."""
        try:
            answer: JsonObject = self._client.transport.perform_request(method, path, body=body)
        except TransportError as error:
            if error.status_code == 503 and "No shard available" in str(error.info):
                return None
            raise
        return answer

    def version(self) -> tuple[int, int]:
        """Return major and minor version."""
        major, minor, *_ = str(self.ask("GET", "/")["version"]["number"]).split(".")
        return int(major), int(minor)

    def processors(self) -> frozenset[str]:
        """Return the types of search processors that every node has."""
        nodes = self.ask("GET", "/_nodes/search_pipelines")["nodes"].values()
        kinds = [
            {row["type"] for rows in node.get("search_pipelines", {}).values() for row in rows}
            for node in nodes
        ]
        return frozenset(set.intersection(*kinds)) if kinds else frozenset()

    def plugins(self) -> frozenset[str]:
        """Return the names of plugins that every node has."""
        nodes = self.ask("GET", "/_nodes/plugins")["nodes"].values()
        return frozenset(set.intersection(*({row["name"] for row in node["plugins"]} for node in nodes)))

    def has_ml_nodes(self) -> bool:
        """Whether there are nodes of the role `ml`."""
        return any("ml" in node["roles"] for node in self.ask("GET", "/_nodes/plugins")["nodes"].values())

    def settings(self) -> tuple[JsonObject, JsonObject]:
        """Return the cluster settings in force, and the persistent ones alone."""
        held = self.ask("GET", "/_cluster/settings?include_defaults=true&flat_settings=true")
        return held["defaults"] | held["persistent"] | held["transient"], held["persistent"]

    def pipeline(self, name: str) -> JsonObject | None:
        """Return a search pipeline; None where there is none."""
        try:
            found: JsonObject = self.ask("GET", f"/_search/pipeline/{name}")[name]
        except NotFoundError:
            return None
        return found

    def made(self, kind: str, names: tuple[str, ...]) -> list[Made]:
        """Return the connectors or models (`kind`) of these names, oldest first."""
        match = [{"match_phrase": {"name": name}} for name in names]
        query: JsonObject = {"bool": {"should": match, "must_not": [{"exists": {"field": "chunk_number"}}]}}
        try:
            answer = self.ask("POST", f"{ML}/{kind}/_search", {"query": query, "size": 100})
        except NotFoundError:  # ml-commons makes its index with the first of them
            return []
        found = (
            Made(
                hit["_id"],
                str(hit["_source"].get("name")),
                str(hit["_source"].get("description")),
                str(hit["_source"].get("connector_id", "")),
            )
            for hit in answer["hits"]["hits"]
        )
        return [made for made in found if made.name in names]

    def default_pipelines(self, expression: str) -> dict[str, str]:
        """Return the default pipeline of each index that `expression` names; empty where it has none.

        Raises InstallError where there is no such index.
        """
        try:
            return self._default_pipelines(expression, "")
        except NotFoundError as error:
            raise InstallError(
                f"no alias or index {expression}: make it with `attune index FILE --alias {expression}`"
            ) from error

    def all_default_pipelines(self, others: Iterable[str]) -> dict[str, str]:
        """Return the same of all indexes but those with a dot before their name, and of `others` still there.

        OpenSearch warns whoever asks for all of them: its own are among those with a dot.
        """
        return self._default_pipelines(",".join(["*", "-.*", *others]), "&ignore_unavailable=true")

    def _default_pipelines(self, expression: str, more: str) -> dict[str, str]:
        path = f"/{expression}/_settings/index.*?flat_settings=true&expand_wildcards=all{more}"
        held = self.ask("GET", path)
        return {index: str(body["settings"].get(DEFAULT_PIPELINE, "")) for index, body in held.items()}


def _refusal(error: TransportError) -> str:
    """What OpenSearch has to say, and what to do where it is a matter of permission."""
    info = error.info
    cause = info.get("error", info) if isinstance(info, dict) else info
    reason = cause.get("reason") if isinstance(cause, dict) else cause
    said = f"{error.status_code} {reason or json.dumps(info)}"
    if error.status_code == 401:
        return f"{said}. Set opensearch.user and opensearch.password"
    if error.status_code == 403:
        return f"{said}. opensearch.user needs the roles ml_full_access and all_access, or rights like theirs"
    return said
