"""Puts an ingest pipeline in front of attached indexes, which asks the sidecar for a document's vectors.

It runs last, as the index's final pipeline, after the shop's own. Whatever fails in it leaves the document as
the shop wrote it, and `attune follow` encodes it.
"""

import json

from opensearchpy.exceptions import NotFoundError

from indexer.attach.attachment import Attachment
from indexer.attach.documents import ID_COLUMN
from indexer.attach.shop_index import INGEST_PREFIX, ShopIndex, read_shop_indexes
from mappings.errors import InstallError
from mappings.types import JsonObject
from plugin_api.commands.install.bodies import DOCUMENT_CALL, MADE_BY, InstallPlan, ingest_body, with_model
from plugin_api.commands.install.cluster import FINAL_PIPELINE, Cluster
from plugin_api.commands.install.cluster_settings import ensure_settings, merge_notes
from plugin_api.commands.install.pipelines import (
    ensure_pipeline,
    merge_settings_notes,
    notes_in,
    set_index_pipeline,
    undo_on_failure,
)
from plugin_api.commands.install.remote_models import ensure_models, probe_model

_PROCESSORS = frozenset({"ml_inference", "pipeline"})


def check_ingest_requirements(cluster: Cluster) -> None:
    """Raise InstallError where the cluster's ingest pipelines can't call the sidecar."""
    version = cluster.version()
    missing = _PROCESSORS - cluster.ingest_processors()
    if version < (2, 19) or missing:
        lacks = f"lacks the ingest processors {', '.join(sorted(missing))}" if missing else "is too old"
        raise InstallError(
            f"OpenSearch {version[0]}.{version[1]} {lacks}: documents are encoded as they are written by "
            "2.19 and later with ml-commons and ingest-common. `attune follow` needs neither"
        )


def install_ingest(cluster: Cluster, plan: InstallPlan, alias: str) -> None:
    """Create connector, model and one ingest pipeline an index, and put them in front of the indexes.

    `alias` names an index, or an alias of several, that are attached. What exists already stays. If a step
    fails, or the cluster does not reach the sidecar, the earlier steps are undone. Raises InstallError.
    """
    targets = _find_targets(cluster, alias)
    existing = cluster.ingest_pipelines(f"{INGEST_PREFIX}*")
    for index, _ in targets:
        former = existing.get(INGEST_PREFIX + index.name, {})
        if former and MADE_BY not in former.get("description", ""):
            raise InstallError(
                f"the cluster has an ingest pipeline {INGEST_PREFIX + index.name} that Attune did not "
                "create: rename it first"
            )
    settings = merge_settings_notes(cluster)
    with undo_on_failure() as undo:
        settings = merge_notes(ensure_settings(cluster, plan, undo), settings)
        models, outdated = ensure_models(cluster, plan, (DOCUMENT_CALL,), undo)
        model = models[DOCUMENT_CALL]
        for index, attachment in targets:
            if not cluster.dry_run:
                probe_model(cluster, DOCUMENT_CALL, model, plan, _probe_of(attachment))
            name = INGEST_PREFIX + index.name
            present = str(index.settings.get("final_pipeline", ""))
            noted = notes_in(existing.get(name))["indexes"].get(index.name, "")
            before = noted if present == name else present
            notes: JsonObject = {"settings": settings, "indexes": {index.name: before}}
            body = ingest_body(model, attachment, before, notes)
            ensure_pipeline(cluster, "ingest", name, body, existing.get(name), undo)
            if present != name:
                set_index_pipeline(cluster, FINAL_PIPELINE, index.name, name)
                undo.callback(set_index_pipeline, cluster, FINAL_PIPELINE, index.name, present)
        names = {INGEST_PREFIX + index.name for index, _ in targets}
        for name, other in existing.items():
            if name not in names and MADE_BY in other.get("description", ""):
                ensure_pipeline(cluster, "ingest", name, with_model(other, model), other, undo)
    for remove in outdated:
        remove()


def _find_targets(cluster: Cluster, alias: str) -> list[tuple[ShopIndex, Attachment]]:
    """Return the indexes behind a name with their attachments. Raises InstallError where one has none."""
    try:
        indexes = read_shop_indexes(cluster.send("GET", f"/{alias}"))
    except NotFoundError as error:
        raise cluster.missing_index(alias, "Name the one that the shop uses") from error
    targets = [(index, index.attachment) for index in indexes]
    if lacking := [index.name for index, attachment in targets if attachment is None]:
        raise InstallError(
            f"index {', '.join(lacking)} is not attached, so it is not known what to encode: "
            f"run `attune attach {alias}` first"
        )
    return [(index, attachment) for index, attachment in targets if attachment]


def _probe_of(attachment: Attachment) -> JsonObject:
    """Return the parameters of a document without a text. They show whether the model is loaded, too."""
    return {
        "document": json.dumps({ID_COLUMN: "probe"}),
        "fields": json.dumps(attachment.field_map.as_json()),
        "model": attachment.model,
        "vectors": attachment.vectors,
    }
