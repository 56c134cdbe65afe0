"""Put pipelines into a cluster and in front of indexes, and know those that Attune made."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import reduce
from typing import Literal

from indexer.attach.shop_index import INGEST_PREFIX
from mappings.errors import InstallError
from mappings.types import JsonObject
from plugin_api.commands.install.bodies import MADE_BY, PIPELINE_NAME, read_notes
from plugin_api.commands.install.cluster import DEFAULT_PIPELINE, FINAL_PIPELINE, Cluster, Step
from plugin_api.commands.install.cluster_settings import merge_notes

PipelineKind = Literal["search", "ingest"]

_IN_FRONT = {
    DEFAULT_PIPELINE: "let searches of {} go through pipeline {}",
    FINAL_PIPELINE: "let documents of {} go through ingest pipeline {}",
}
_NONE = {
    DEFAULT_PIPELINE: "leave {} no default pipeline",
    FINAL_PIPELINE: "leave {} no final ingest pipeline",
}


@contextmanager
def undo_on_failure() -> Iterator[ExitStack]:
    """Yield a stack of what takes steps back. They are taken back where the block raises InstallError.

    Raises InstallError with both reasons where one of them can't be.
    """
    with ExitStack() as undo:
        try:
            yield undo
        except InstallError as error:
            try:
                undo.close()
            except InstallError as left:
                advice = "`attune install --uninstall` removes it"
                raise InstallError(f"{error}. Not everything could be undone ({left}): {advice}") from error
            raise
        undo.pop_all()


def ensure_pipeline(
    cluster: Cluster,
    kind: PipelineKind,
    name: str,
    body: JsonObject,
    former: JsonObject | None,
    undo: ExitStack,
) -> None:
    """Create a pipeline, or change the `former` one. `undo` receives what takes it back."""
    if body == former:
        return
    path = f"/_{kind}/pipeline/{name}"
    what = f"{kind} pipeline {name}"
    cluster.apply(Step(f"{'change' if former else 'create'} {what}", "PUT", path, body))
    if former:
        undo.callback(cluster.apply, Step(f"change {what} back", "PUT", path, former))
    else:
        undo.callback(cluster.apply, Step(f"delete {what}", "DELETE", path))


def delete_pipeline(cluster: Cluster, kind: PipelineKind, name: str) -> None:
    """Delete a pipeline."""
    cluster.apply(Step(f"delete {kind} pipeline {name}", "DELETE", f"/_{kind}/pipeline/{name}"))


def set_index_pipeline(cluster: Cluster, setting: str, index: str, name: str) -> None:
    """Put a pipeline in front of an index, none for an empty name, by the index setting that says which."""
    does = (_IN_FRONT if name else _NONE)[setting].format(index, name)
    cluster.apply(Step(does, "PUT", f"/{index}/_settings", {setting: name or None}))


def find_own_pipelines(cluster: Cluster) -> dict[tuple[PipelineKind, str], JsonObject]:
    """Return the pipelines that Attune made, by their kind and name."""
    search = cluster.pipeline(PIPELINE_NAME)
    pipelines: dict[tuple[PipelineKind, str], JsonObject] = (
        {("search", PIPELINE_NAME): search} if search else {}
    )
    ingest = cluster.ingest_pipelines(f"{INGEST_PREFIX}*")
    pipelines |= {("ingest", name): body for name, body in sorted(ingest.items())}
    return {key: body for key, body in pipelines.items() if MADE_BY in body.get("description", "")}


def notes_in(pipeline: JsonObject | None) -> JsonObject:
    """Return the notes in a pipeline's description; those of a pipeline without notes are empty."""
    return {"settings": {}, "indexes": {}} | read_notes((pipeline or {}).get("description", ""))


def merge_settings_notes(cluster: Cluster) -> JsonObject:
    """Return what all of Attune's pipelines note of the cluster's settings.

    Whoever changes settings notes them together with all earlier notes. So the former values are the same in
    all of them.
    """
    notes = [notes_in(pipeline)["settings"] for pipeline in find_own_pipelines(cluster).values()]
    return reduce(merge_notes, notes, {})
