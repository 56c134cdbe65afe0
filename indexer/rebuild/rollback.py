"""Rollback: return to the index that searches used before, without losing later changes."""

from dataclasses import dataclass

from indexer.store.alias import PICTURES, AliasIndexes, ManagedIndex
from indexer.store.catch_up import CatchUp, ChangesSince, CopyTarget
from indexer.store.documents import SamePictures
from indexer.store.lock import REBUILD, WRITING, hold_lock
from indexer.store.scan import refresh_index
from indexer.store.session import IndexSession
from mappings.errors import IndexingError


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """The result of a rollback: the alias moved from `previous` to `index`, with `changes_copied` to it.

    `previous` is kept; it is empty where the alias did not point at an index of Attune's.
    """

    index: str
    previous: str
    alias: str
    model: str
    changes_copied: int


def roll_back(session: IndexSession, to: str = "") -> RollbackReport:
    """Point the alias back at the index before the live one, or at the index `to`.

    Changes made to the live index since are copied first.

    >>> session = IndexSession(client, "shop", OneEncoder(load_model(None)))
    >>> report = roll_back(session)
    >>> report.alias, report.changes_copied
    ('shop', 0)

    Raises IndexingError where there is no such index, ModelMismatch where its model is not available to
    encode changes, JobRunning while a rebuild is running, and JobStopped.
    """
    indexes = session.indexes
    indexes.validate()
    jobs = session.open_jobs()
    with hold_lock(jobs, session.alias, REBUILD) as lock:
        live = indexes.find_live()
        index = _choose_index(indexes, live, to)
        target = CopyTarget(
            index=index.name,
            encoder=session.encoders.find(index.model),
            vectors=str(index.metadata.get("vectors") or session.settings.vectors),
            since=ChangesSince(index.version, index.has_product_versions),
            pictures=SamePictures() if _has_same_pictures(index, live) else None,
        )
        with CatchUp(session, jobs, live or index, target) as catch_up:
            copied = catch_up.copy_changes() if live else 0
            with hold_lock(jobs, session.alias, WRITING, wait=True) as writing:
                copied += catch_up.copy_changes() if live else 0
                refresh_index(session.client, index.name, session.retry)
                lock.check()
                writing.check()
                indexes.point_at(index.name)
    return RollbackReport(index.name, live.name if live else "", session.alias, index.model, copied)


def _has_same_pictures(index: ManagedIndex, live: ManagedIndex | None) -> bool:
    """Return whether both indexes were made with the same picture tower."""
    return bool(live and live.metadata.get(PICTURES)) and index.metadata.get(PICTURES) == (
        live.metadata.get(PICTURES) if live else None
    )


def _choose_index(indexes: AliasIndexes, live: ManagedIndex | None, to: str) -> ManagedIndex:
    others = [
        index
        for index in indexes.list_indexes()
        if index.complete and (live is None or index.name != live.name)
    ]
    if to:
        candidates = [index for index in others if index.name == to]
        why = f"{to} is not another complete index that Attune made for {indexes.alias}"
    else:
        replaced = [index for index in others if live and index.name == live.replaced]
        candidates = replaced or [index for index in others if live is None or index.name < live.name]
        why = f"there is no index before {live.name if live else 'any'}"
    if not candidates:
        known = ", ".join(index.name for index in others) or "none"
        raise IndexingError(
            f"{why}: there are {known}. The setting index.keep_previous says how many are kept"
        )
    return candidates[-1]
