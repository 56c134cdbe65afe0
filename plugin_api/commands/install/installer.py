"""Putting Attune inside a cluster, and taking it out again: settings, connectors, models, search pipeline.

What was there before is noted in the pipeline's description, so that whoever uninstalls needs nothing else.
"""

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from urllib.parse import urlsplit

from opensearchpy.exceptions import NotFoundError

from mappings.errors import InstallError
from mappings.types import JsonObject
from plugin_api.commands.install.bodies import (
    MADE_BY,
    PARTS,
    PIPELINE,
    WINDOW_PROCESSORS,
    Wanted,
    connector,
    notes_of,
    pipeline,
    remote_model,
)
from plugin_api.commands.install.cluster import DEFAULT_PIPELINE, ML, READY_SECONDS, Cluster, Made, Step

OLDEST = (2, 19)
"""The first version with everything that the pipeline needs: rerank by field, paged hybrid queries."""

PLUGINS = ("opensearch-ml", "opensearch-neural-search", "opensearch-knn")

ONLY_ML_NODES = "plugins.ml_commons.only_run_on_ml_node"
PRIVATE_ADDRESSES = "plugins.ml_commons.connector.private_ip_enabled"
TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"

NAMES = tuple(f"attune-{part}" for part in PARTS)

PROBE: JsonObject = {"search": '{"query": {"match_all": {}}}', "tokens": "[]", "models": "[]"}
"""A search that the sidecar gives back as it came: asked to see whether the cluster reaches it."""

HYBRID_WITH_DOCUMENT_SECURITY = (3, 2)
"""Before it, neural-search refuses hybrid queries of users with document-level security (its issue 1303)."""


def check(cluster: Cluster) -> frozenset[str]:
    """Return the cluster's search processors. Raises InstallError where it can't rerank by itself."""
    version = cluster.version()
    if version < OLDEST:
        raise InstallError(
            f"OpenSearch {version[0]}.{version[1]} can't rerank by stored vectors: it takes 2.19 or later. "
            "Point the search box at the sidecar instead (`attune serve`)"
        )
    missing = [name for name in PLUGINS if name not in cluster.plugins()]
    if missing:
        raise InstallError(
            f"a node of the cluster lacks {', '.join(missing)}: install them with "
            "`opensearch-plugin install`, or point the search box at the sidecar instead (`attune serve`)"
        )
    return cluster.processors()


def can_cut(processors: frozenset[str]) -> bool:
    """Whether a pipeline can rerank more hits than the caller asked for."""
    return processors >= WINDOW_PROCESSORS


def roles_without_hybrid(cluster: Cluster) -> tuple[str, ...]:
    """Return the roles with document-level security whose users' hybrid queries this cluster would refuse.

    None where the security plugin is off, or its roles are not this user's to read.
    """
    if cluster.version() >= HYBRID_WITH_DOCUMENT_SECURITY or "opensearch-security" not in cluster.plugins():
        return ()
    try:
        roles = cluster.ask("GET", "/_plugins/_security/api/roles")
    except (InstallError, NotFoundError):
        return ()
    return tuple(
        sorted(
            name
            for name, role in roles.items()
            if any(permission.get("dls") for permission in role.get("index_permissions", []))
        )
    )


def install(cluster: Cluster, wanted: Wanted, default_for: str = "") -> None:
    """Put connectors, models and pipeline on a cluster that `check` has passed; what is there already stays.

    `default_for` names an alias or index whose searches are to go through the pipeline. If a step fails, or
    the cluster does not reach the sidecar, the steps before are taken back. Raises InstallError.
    """
    there = cluster.pipeline(PIPELINE)
    if there and MADE_BY not in there.get("description", ""):
        raise InstallError(f"there is a search pipeline {PIPELINE} of somebody else's: rename it first")
    notes: JsonObject = {"settings": {}, "indexes": {}} | notes_of(
        there.get("description", "") if there else ""
    )
    targets = cluster.default_pipelines(default_for) if default_for else {}
    notes["indexes"] = {
        **{index: name for index, name in targets.items() if name != PIPELINE},
        **notes["indexes"],
    }
    with ExitStack() as undo:
        notes["settings"] = _with_noted(_ensure_settings(cluster, wanted, undo), notes["settings"])
        models, outdated = _ensure_models(cluster, wanted, undo)
        if not cluster.dry:
            for part, model in models.items():
                _probe(cluster, part, model, wanted)
        _ensure_pipeline(cluster, pipeline(models, wanted, notes), there, undo)
        for index, name in targets.items():
            if name != PIPELINE:
                _set_default(cluster, index, PIPELINE)
                undo.callback(_set_default, cluster, index, name)
        undo.pop_all()
    for remove in outdated:
        remove()


def uninstall(cluster: Cluster) -> None:
    """Take away what `install` put there, and nothing else. Raises InstallError."""
    there = cluster.pipeline(PIPELINE)
    ours = bool(there) and MADE_BY in (there or {}).get("description", "")
    notes = notes_of((there or {}).get("description", "")) if ours else {}
    former = notes.get("indexes", {})
    if ours:
        for index, name in cluster.all_default_pipelines(former).items():
            if name == PIPELINE:
                _set_default(cluster, index, former.get(index, ""))
        cluster.take(Step(f"delete search pipeline {PIPELINE}", "DELETE", f"/_search/pipeline/{PIPELINE}"))
    for model in _ours(cluster, "models"):
        _delete_model(cluster, model.id, model.name)
    for made in _ours(cluster, "connectors"):
        _delete_connector(cluster, made.id, made.name)
    if notes.get("settings"):
        _restore_settings(cluster, notes["settings"])


def _ours(cluster: Cluster, kind: str) -> list[Made]:
    return [made for made in cluster.made(kind, NAMES) if made.description.startswith(MADE_BY)]


def _ensure_settings(cluster: Cluster, wanted: Wanted, undo: ExitStack) -> JsonObject:
    """Set the settings without which ml-commons calls no sidecar; return their persistent values before."""
    held, persistent = cluster.settings()
    trusted = _list(held.get(TRUSTED))
    needed: JsonObject = {}
    if held.get(ONLY_ML_NODES) != "false" and not cluster.has_ml_nodes():
        needed[ONLY_ML_NODES] = "false"
    if held.get(PRIVATE_ADDRESSES) != "true" and _is_private(wanted.sidecar_url):
        needed[PRIVATE_ADDRESSES] = "true"
    if not any(_matches(pattern, f"{wanted.sidecar_url}/_attune/cluster/score") for pattern in trusted):
        needed[TRUSTED] = [*trusted, _trusting(wanted.sidecar_url)]
    before = {name: persistent.get(name) for name in needed}
    for name, value in needed.items():
        _set(cluster, name, value)
        undo.callback(_set, cluster, name, before[name])
    # Of the list only the entry that was added is noted: others may come and go meanwhile.
    return before | (
        {TRUSTED: {"added": needed[TRUSTED][-1:], "former": before[TRUSTED]}} if TRUSTED in needed else {}
    )


def _with_noted(now: JsonObject, noted: JsonObject) -> JsonObject:
    """What is to be noted of settings: as they were before the first of several installations."""
    both = now | noted
    if TRUSTED in now and TRUSTED in noted:
        added = [*noted[TRUSTED]["added"], *now[TRUSTED]["added"]]
        both[TRUSTED] = {**noted[TRUSTED], "added": added}
    return both


def _restore_settings(cluster: Cluster, notes: JsonObject) -> None:
    """Set back what is still as `install` set it."""
    _, persistent = cluster.settings()
    for name, value in ((ONLY_ML_NODES, "false"), (PRIVATE_ADDRESSES, "true")):
        if name in notes and persistent.get(name) == value:
            _set(cluster, name, notes[name])
    entry = notes.get(TRUSTED)
    trusted = _list(persistent.get(TRUSTED))
    if entry and set(entry["added"]) & set(trusted):
        left = [pattern for pattern in trusted if pattern not in entry["added"]]
        _set(cluster, TRUSTED, None if entry["former"] is None else left)
        if not cluster.dry and _list(cluster.settings()[0].get(TRUSTED)) != left:
            _set(cluster, TRUSTED, left)  # others have added to the default since


def _ensure_models(
    cluster: Cluster, wanted: Wanted, undo: ExitStack
) -> tuple[dict[str, str], list[Callable[[], None]]]:
    """Return the models' ids by part, and how to remove those that they replace."""
    connectors, models = _ours(cluster, "connectors"), _ours(cluster, "models")
    ids: dict[str, str] = {}
    outdated: list[Callable[[], None]] = []
    for part in PARTS:
        body = connector(part, wanted)
        same = [made for made in connectors if made.description == body["description"]]
        on_it = [
            m
            for m in models
            if m.description == body["description"] and m.connector_id in {c.id for c in same}
        ]
        if on_it:
            ids[part] = on_it[0].id
        else:
            ids[part] = _create(cluster, part, wanted, undo)
        keep = {ids[part], *(model.connector_id for model in on_it[:1])}
        outdated += [
            partial(delete, cluster, made.id, made.name)
            for delete, there in ((_delete_model, models), (_delete_connector, connectors))
            for made in there
            if made.name == body["name"] and made.id not in keep
        ]
    return ids, outdated


def _create(cluster: Cluster, part: str, wanted: Wanted, undo: ExitStack) -> str:
    body = connector(part, wanted)
    name = body["name"]
    step = Step(f"create connector {name} to {wanted.sidecar_url}", "POST", f"{ML}/connectors/_create", body)
    connector_id = cluster.take(step).get("connector_id", f"<id of connector {name}>")
    undo.callback(_delete_connector, cluster, connector_id, name)
    model = remote_model(part, wanted, connector_id)
    step = Step(
        f"register and deploy remote model {name}", "POST", f"{ML}/models/_register?deploy=true", model
    )
    model_id = str(cluster.take(step).get("model_id", f"<id of model {name}>"))
    undo.callback(_delete_model, cluster, model_id, name)
    return model_id


def _probe(cluster: Cluster, part: str, model_id: str, wanted: Wanted) -> None:
    """Let the cluster call the sidecar once. Raises InstallError where it can't."""
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            cluster.ask("POST", f"{ML}/models/{model_id}/_predict", {"parameters": PROBE})
            return
        except (InstallError, NotFoundError) as error:
            said = str(error)
            if "not_reranked_exception" in said:  # the scoring route, of a search without a text
                return
            if "not ready" in said and time.monotonic() < until:
                time.sleep(0.5)
                continue
            raise InstallError(
                f"the cluster can't call the sidecar at {wanted.sidecar_url} to {part}: {said}. Name by "
                "--sidecar-url an address that OpenSearch's nodes reach, see that `attune serve` runs there, "
                "and give an API key of its own by --api-key if it asks for one"
            ) from error


def _ensure_pipeline(cluster: Cluster, body: JsonObject, there: JsonObject | None, undo: ExitStack) -> None:
    if body == there:
        return
    path = f"/_search/pipeline/{PIPELINE}"
    cluster.take(Step(f"{'change' if there else 'create'} search pipeline {PIPELINE}", "PUT", path, body))
    if there:
        undo.callback(cluster.take, Step(f"change search pipeline {PIPELINE} back", "PUT", path, there))
    else:
        undo.callback(cluster.take, Step(f"delete search pipeline {PIPELINE}", "DELETE", path))


def _set(cluster: Cluster, name: str, value: object) -> None:
    does = f"take cluster setting {name} back to its default" if value is None else f"set {name} to {value}"
    cluster.take(Step(does, "PUT", "/_cluster/settings", {"persistent": {name: value}}))


def _set_default(cluster: Cluster, index: str, name: str) -> None:
    does = (
        f"let searches of {index} go through pipeline {name}"
        if name
        else f"leave {index} no default pipeline"
    )
    cluster.take(Step(does, "PUT", f"/{index}/_settings", {DEFAULT_PIPELINE: name or None}))


def _delete_model(cluster: Cluster, model_id: str, name: str) -> None:
    """Delete a model, once it is no longer being deployed."""
    until = time.monotonic() + READY_SECONDS
    while True:
        if not cluster.dry:
            cluster.ask("POST", f"{ML}/models/{model_id}/_undeploy", None, f"undeploy model {name}")
        try:
            cluster.take(Step(f"delete remote model {name}", "DELETE", f"{ML}/models/{model_id}"))
            return
        except InstallError as error:
            if "undeploy" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.5)


def _delete_connector(cluster: Cluster, connector_id: str, name: str) -> None:
    cluster.take(Step(f"delete connector {name}", "DELETE", f"{ML}/connectors/{connector_id}"))


def _trusting(url: str) -> str:
    return f"^{re.escape(url)}/.*$"


def _matches(pattern: str, url: str) -> bool:
    try:
        return re.fullmatch(pattern, url) is not None
    except re.error:  # Java's own syntax; then one more entry does no harm
        return False


def _is_private(url: str) -> bool:
    """Whether the host is, or may be for the cluster, at a private address."""
    host = urlsplit(url).hostname or ""
    try:
        found: Sequence[str] = [str(row[4][0]) for row in socket.getaddrinfo(host, None)]
    except OSError:  # a name that only the cluster knows, such as a container's
        return True
    return any(not ipaddress.ip_address(address.partition("%")[0]).is_global for address in found)


def _list(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [value] if isinstance(value, str) else []
