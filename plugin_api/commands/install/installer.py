"""Installs Attune in a cluster, and uninstalls it: settings, connectors, models and the search pipeline.

The former state is noted in the pipeline's description, so that uninstalling needs nothing else.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from opensearchpy.exceptions import NotFoundError

from mappings.errors import InstallError
from mappings.types import JsonObject
from plugin_api.commands.install.bodies import (
    MADE_BY,
    PIPELINE_NAME,
    SIDECAR_CALLS,
    WINDOW_PROCESSORS,
    InstallPlan,
    connector_body,
    model_body,
    pipeline_body,
    read_notes,
)
from plugin_api.commands.install.cluster import (
    DEFAULT_PIPELINE,
    ML_API,
    ML_READY_SECONDS,
    Cluster,
    InstalledPart,
    Step,
)
from plugin_api.commands.install.cluster_settings import ensure_settings, merge_notes, restore_settings

_OLDEST_VERSION = (2, 19)
"""The first version that has all that the pipeline needs: rerank by field, and hybrid queries with pages."""

_PLUGINS = ("opensearch-ml", "opensearch-neural-search", "opensearch-knn")

_NAMES = tuple(f"attune-{part}" for part in SIDECAR_CALLS)

_PROBE: JsonObject = {"search": '{"query": {"match_all": {}}}', "tokens": "[]", "models": "[]"}
"""A search that the sidecar returns unchanged. It shows whether the cluster reaches the sidecar."""

_HYBRID_WITH_DOCUMENT_SECURITY = (3, 2)
"""Earlier versions of neural-search refuse hybrid queries of users with document-level security."""


def check_requirements(cluster: Cluster) -> frozenset[str]:
    """Return the cluster's search processors. Raises InstallError where it lacks what reranking needs."""
    version = cluster.version()
    if version < _OLDEST_VERSION:
        raise InstallError(
            f"OpenSearch {version[0]}.{version[1]} can't rerank by stored vectors; 2.19 and later can. "
            "Point the search box at the sidecar instead (`attune serve`)"
        )
    plugins = cluster.plugins()
    missing = [name for name in _PLUGINS if name not in plugins]
    if missing:
        raise InstallError(
            f"a node of the cluster lacks {', '.join(missing)}: install them with "
            "`opensearch-plugin install`, or point the search box at the sidecar instead (`attune serve`)"
        )
    return cluster.processors()


def can_rerank_windows(processors: frozenset[str]) -> bool:
    """Return whether a pipeline can rerank more hits than the caller asks for."""
    return processors >= WINDOW_PROCESSORS


def find_roles_without_hybrid(cluster: Cluster) -> tuple[str, ...]:
    """Return the roles with document-level security whose users' hybrid queries this cluster would refuse.

    Returns none where the security plugin is off, or this user may not read its roles.
    """
    if cluster.version() >= _HYBRID_WITH_DOCUMENT_SECURITY or "opensearch-security" not in cluster.plugins():
        return ()
    try:
        roles = cluster.send("GET", "/_plugins/_security/api/roles")
    except (InstallError, NotFoundError):
        return ()
    return tuple(
        sorted(
            name
            for name, role in roles.items()
            if any(permission.get("dls") for permission in role.get("index_permissions", []))
        )
    )


def install_pipeline(cluster: Cluster, plan: InstallPlan, default_for: str = "") -> None:
    """Create connectors, models and pipeline in a cluster that `check_requirements` has passed.

    What exists already stays. `default_for` names an alias or index whose searches then go through the
    pipeline. If a step fails, or the cluster does not reach the sidecar, the earlier steps are undone.
    Raises InstallError.
    """
    existing = cluster.pipeline(PIPELINE_NAME)
    if existing and MADE_BY not in existing.get("description", ""):
        raise InstallError(
            f"the cluster has a search pipeline {PIPELINE_NAME} that Attune did not create: rename it first"
        )
    notes: JsonObject = {"settings": {}, "indexes": {}} | read_notes(
        existing.get("description", "") if existing else ""
    )
    targets = cluster.default_pipelines(default_for) if default_for else {}
    notes["indexes"] = {
        **{index: name for index, name in targets.items() if name != PIPELINE_NAME},
        **notes["indexes"],
    }
    with ExitStack() as undo:
        try:
            outdated = _install(cluster, plan, notes, existing, targets, undo)
        except InstallError as error:
            _undo(undo, error)
            raise
        undo.pop_all()
    for remove in outdated:
        remove()


def _install(
    cluster: Cluster,
    plan: InstallPlan,
    notes: JsonObject,
    existing: JsonObject | None,
    targets: dict[str, str],
    undo: ExitStack,
) -> list[Callable[[], None]]:
    """Install, note in `undo` how to take it back, and return functions that remove replaced parts."""
    notes["settings"] = merge_notes(ensure_settings(cluster, plan, undo), notes["settings"])
    models, outdated = _ensure_models(cluster, plan, undo)
    if not cluster.dry_run:
        for part, model in models.items():
            _probe(cluster, part, model, plan)
    _ensure_pipeline(cluster, pipeline_body(models, plan, notes), existing, undo)
    for index, name in targets.items():
        if name != PIPELINE_NAME:
            _set_default(cluster, index, PIPELINE_NAME)
            undo.callback(_set_default, cluster, index, name)
    return outdated


def _undo(undo: ExitStack, cause: InstallError) -> None:
    """Take the steps back. Raises InstallError with both reasons where one of them can't be."""
    try:
        undo.close()
    except InstallError as left:
        raise InstallError(
            f"{cause}. Not everything could be undone ({left}): `attune install --uninstall` removes it"
        ) from cause


def uninstall_pipeline(cluster: Cluster) -> None:
    """Remove what `install_pipeline` created, and nothing else. Raises InstallError."""
    existing = cluster.pipeline(PIPELINE_NAME)
    ours = bool(existing) and MADE_BY in (existing or {}).get("description", "")
    notes = read_notes((existing or {}).get("description", "")) if ours else {}
    former = notes.get("indexes", {})
    if ours:
        for index, name in cluster.all_default_pipelines(former).items():
            if name == PIPELINE_NAME:
                _set_default(cluster, index, former.get(index, ""))
        cluster.apply(
            Step(f"delete search pipeline {PIPELINE_NAME}", "DELETE", f"/_search/pipeline/{PIPELINE_NAME}")
        )
    for model in _ours(cluster, "models"):
        _delete_model(cluster, model.id, model.name)
    for made in _ours(cluster, "connectors"):
        _delete_connector(cluster, made.id, made.name)
    if notes.get("settings"):
        restore_settings(cluster, notes["settings"])


def _ours(cluster: Cluster, kind: str) -> list[InstalledPart]:
    return [made for made in cluster.find_parts(kind, _NAMES) if made.description.startswith(MADE_BY)]


def _ensure_models(
    cluster: Cluster, plan: InstallPlan, undo: ExitStack
) -> tuple[dict[str, str], list[Callable[[], None]]]:
    """Return the models' ids by call, and functions that remove the parts they replace."""
    connectors, models = _ours(cluster, "connectors"), _ours(cluster, "models")
    ids: dict[str, str] = {}
    outdated: list[Callable[[], None]] = []
    for part in SIDECAR_CALLS:
        body = connector_body(part, plan)
        same = [made for made in connectors if made.description == body["description"]]
        models_on_it = [
            m
            for m in models
            if m.description == body["description"] and m.connector_id in {c.id for c in same}
        ]
        if models_on_it:
            ids[part] = models_on_it[0].id
        else:
            ids[part] = _create(cluster, part, plan, undo)
        keep = {ids[part], *(model.connector_id for model in models_on_it[:1])}
        outdated += [
            partial(delete, cluster, made.id, made.name)
            for delete, existing in ((_delete_model, models), (_delete_connector, connectors))
            for made in existing
            if made.name == body["name"] and made.id not in keep
        ]
    return ids, outdated


def _create(cluster: Cluster, part: str, plan: InstallPlan, undo: ExitStack) -> str:
    body = connector_body(part, plan)
    name = body["name"]
    step = Step(
        f"create connector {name} to {plan.sidecar_url}", "POST", f"{ML_API}/connectors/_create", body
    )
    connector_id = cluster.apply(step).get("connector_id", f"<id of connector {name}>")
    undo.callback(_delete_connector, cluster, connector_id, name)
    model = model_body(part, plan, connector_id)
    step = Step(
        f"register and deploy remote model {name}", "POST", f"{ML_API}/models/_register?deploy=true", model
    )
    model_id = str(cluster.apply(step).get("model_id", f"<id of model {name}>"))
    undo.callback(_delete_model, cluster, model_id, name)
    return model_id


def _probe(cluster: Cluster, part: str, model_id: str, plan: InstallPlan) -> None:
    """Make the cluster call the sidecar once. Raises InstallError where it can't."""
    until = time.monotonic() + ML_READY_SECONDS
    while True:
        try:
            cluster.send("POST", f"{ML_API}/models/{model_id}/_predict", {"parameters": _PROBE})
            return
        except (InstallError, NotFoundError) as error:
            reason = str(error)
            if "not_reranked_exception" in reason:  # the scoring route says so of a search without a text
                return
            if "not ready" in reason and time.monotonic() < until:
                cluster.sleep(0.5)
                continue
            raise InstallError(
                f"the cluster can't call the sidecar at {plan.sidecar_url} to {part}: {reason}. Give "
                "--sidecar-url an address that OpenSearch's nodes reach, see that `attune serve` runs there "
                "and give its API key with --api-key if it asks for one"
            ) from error


def _ensure_pipeline(cluster: Cluster, body: JsonObject, former: JsonObject | None, undo: ExitStack) -> None:
    if body == former:
        return
    path = f"/_search/pipeline/{PIPELINE_NAME}"
    cluster.apply(
        Step(f"{'change' if former else 'create'} search pipeline {PIPELINE_NAME}", "PUT", path, body)
    )
    if former:
        undo.callback(
            cluster.apply, Step(f"change search pipeline {PIPELINE_NAME} back", "PUT", path, former)
        )
    else:
        undo.callback(cluster.apply, Step(f"delete search pipeline {PIPELINE_NAME}", "DELETE", path))


def _set_default(cluster: Cluster, index: str, name: str) -> None:
    does = (
        f"let searches of {index} go through pipeline {name}"
        if name
        else f"leave {index} no default pipeline"
    )
    cluster.apply(Step(does, "PUT", f"/{index}/_settings", {DEFAULT_PIPELINE: name or None}))


def _delete_model(cluster: Cluster, model_id: str, name: str) -> None:
    """Undeploy and delete a model."""

    def delete() -> None:
        if not cluster.dry_run:
            cluster.send("POST", f"{ML_API}/models/{model_id}/_undeploy", None, f"undeploy model {name}")
        cluster.apply(Step(f"delete remote model {name}", "DELETE", f"{ML_API}/models/{model_id}"))

    _repeat_while(cluster, "undeploy", delete)


def _delete_connector(cluster: Cluster, connector_id: str, name: str) -> None:
    step = Step(f"delete connector {name}", "DELETE", f"{ML_API}/connectors/{connector_id}")
    # ml-commons looks for the connector's models by a search, which finds a deleted one for a moment.
    _repeat_while(cluster, "still using this connector", lambda: cluster.apply(step))


def _repeat_while(cluster: Cluster, reason: str, delete: Callable[[], object]) -> None:
    """Call `delete` until it is not refused for this reason, for as long as ml-commons may take at most."""
    until = time.monotonic() + ML_READY_SECONDS
    while True:
        try:
            delete()
            return
        except InstallError as error:
            if reason not in str(error) or time.monotonic() > until:
                raise
            cluster.sleep(0.5)
