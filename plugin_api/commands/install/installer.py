"""Installs reranking in a cluster: settings, connectors, models and the search pipeline.

The former state is noted in the pipeline's description, so that uninstalling needs nothing else.
"""

from opensearchpy.exceptions import NotFoundError

from mappings.errors import InstallError
from plugin_api.commands.install.bodies import (
    MADE_BY,
    PIPELINE_NAME,
    SIDECAR_CALLS,
    WINDOW_PROCESSORS,
    InstallPlan,
    pipeline_body,
)
from plugin_api.commands.install.cluster import DEFAULT_PIPELINE, Cluster
from plugin_api.commands.install.cluster_settings import ensure_settings, merge_notes
from plugin_api.commands.install.pipelines import (
    ensure_pipeline,
    merge_settings_notes,
    notes_in,
    set_index_pipeline,
    undo_on_failure,
)
from plugin_api.commands.install.remote_models import ensure_models, probe_model

_OLDEST_VERSION = (2, 19)
"""The first version that has all that the pipeline needs: rerank by field, and hybrid queries with pages."""

_PLUGINS = ("opensearch-ml", "opensearch-neural-search", "opensearch-knn")

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
    notes = notes_in(existing) | {"settings": merge_settings_notes(cluster)}
    targets = cluster.default_pipelines(default_for) if default_for else {}
    notes["indexes"] = {
        **{index: name for index, name in targets.items() if name != PIPELINE_NAME},
        **notes["indexes"],
    }
    with undo_on_failure() as undo:
        notes["settings"] = merge_notes(ensure_settings(cluster, plan, undo), notes["settings"])
        models, outdated = ensure_models(cluster, plan, SIDECAR_CALLS, undo)
        if not cluster.dry_run:
            for part, model in models.items():
                probe_model(cluster, part, model, plan)
        body = pipeline_body(models, plan, notes)
        ensure_pipeline(cluster, "search", PIPELINE_NAME, body, existing, undo)
        for index, name in targets.items():
            if name != PIPELINE_NAME:
                set_index_pipeline(cluster, DEFAULT_PIPELINE, index, PIPELINE_NAME)
                undo.callback(set_index_pipeline, cluster, DEFAULT_PIPELINE, index, name)
    for remove in outdated:
        remove()
