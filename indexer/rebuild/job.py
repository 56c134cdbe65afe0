"""A full rebuild: catalogue → new index → alias.

Reading, encoding and writing run at the same time. Searches see all of the old index until the new one is
complete and checked, then all of the new one. The old one is kept for a rollback.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from indexer.rebuild.loading import LoadedBatch, Loader, LoadTarget, ProductBatch, load_locally, split_batches
from indexer.rebuild.product_source import ProductSource
from indexer.rebuild.reading_checks import DoubtfulCatalogue, check_rejects, check_unreadable
from indexer.rebuild.sanity_checks import ExpectedContent, describe_shrinkage, find_problems
from indexer.rebuild.stats import RebuildStats
from indexer.rebuild.target import RebuildTarget, TargetIndexes
from indexer.sources.rejects import RejectFile
from indexer.store.alias import COMPLETE, REPLACED, VOCABULARY, ManagedIndex
from indexer.store.catch_up import CHANGED_QUERY, CatchUp, CopyTarget
from indexer.store.documents import is_timestamp
from indexer.store.id_set import IdSet
from indexer.store.jobs_index import JobsIndex
from indexer.store.lock import REBUILD, WRITING, Lock, hold_lock
from indexer.store.scan import refresh_index, scan_documents
from indexer.store.session import IndexSession
from mappings.errors import AttuneError, CatalogueError, IndexingError
from mappings.types import JsonObject
from reranker.understanding.learning import VocabularyLearner

Engine = Callable[[Loader, Iterator[ProductBatch]], Iterator[LoadedBatch]]
"""Where batches are loaded: in this process (`load_locally`) or on others."""


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """The result of a rebuild.

    Of the `indexed` products `encoded` were encoded; the others had vectors, or were in the unfinished index
    of a killed run (`resumed`). `changes_copied` came after the catalogue was made. `bytes` is the index's
    size on disk, `seconds` the wall-clock time of the run, and `encoding_share` the share of the time of
    reading, encoding and writing in which the encoder was at work. `catalogue` counts what reading left empty
    and left out. A rollback can return to the indexes in `kept`.
    """

    index: str
    alias: str
    model: str
    indexed: int
    encoded: int
    changes_copied: int
    rejected: int
    duplicates: int
    seconds: float
    products_per_second: float
    encoding_share: float
    bytes: int
    catalogue: JsonObject = field(default_factory=dict)
    resumed: bool = False
    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def rebuild_index(
    session: IndexSession,
    source: ProductSource,
    rejects: Path,
    engine: Engine = load_locally,
    replica_seconds: int = 60,
) -> RebuildReport:
    """Index all products of `source` into a new index, check it, and point the alias at it.

    Records that can't be used are written to the file `rejects`. Replicas are waited for `replica_seconds`.

    >>> catalogue = open_catalogue(Path("mugs.csv"))
    >>> session = IndexSession(client, "shop", OneEncoder(load_model(None)))
    >>> source = CatalogueSource(catalogue, guess_field_map(catalogue))
    >>> report = rebuild_index(session, source, Path("mugs.rejects.jsonl"))
    >>> report.indexed, report.rejected
    (2, 0)

    A run that is killed or loses OpenSearch leaves its index, and the next run of the same job continues it.
    A run that rejected too many records, or could not read a field much more often than before, leaves its
    index too. One without a usable product, or whose index does not pass the sanity checks, removes it. The
    alias stays as it was in all these cases.

    Raises CatalogueError where the catalogue must not be used, JobRunning where another rebuild of the alias
    is running, JobStopped, IndexingError, ClusterDown, ModelError, and SettingsError for a bad alias.
    """
    session.indexes.validate()
    jobs = session.open_jobs()
    with hold_lock(jobs, session.alias, REBUILD) as lock:
        targets = TargetIndexes(session, replica_seconds)
        return _Rebuild(session, source, jobs, lock, targets).run(rejects, engine)


class _Rebuild:
    """One run, with what its steps share."""

    def __init__(
        self,
        session: IndexSession,
        source: ProductSource,
        jobs: JobsIndex,
        lock: Lock,
        targets: TargetIndexes,
    ) -> None:
        self._session = session
        self._source = source
        self._jobs = jobs
        self._lock = lock
        self._targets = targets
        self._stats = RebuildStats()
        self._learner = VocabularyLearner()
        self._encoder = session.encoders.current
        self._moment = source.moment_ms  # before it is read: a file may be replaced meanwhile

    def run(self, rejects_path: Path, engine: Engine) -> RebuildReport:
        started = time.monotonic()
        session, indexes = self._session, self._session.indexes
        live = indexes.find_live()
        target = self._targets.open(self._source.describe(), live)
        index = target.index
        with RejectFile(rejects_path) as rejects:
            try:
                if live and target.resumed and self._source.is_changing:
                    with self._catch_up(index, live) as catch_up:
                        catch_up.copy_changes()  # what was deleted since is not read again
                self._fill(target, rejects, engine)
                check_rejects(self._source.name, rejects, self._stats.indexed, session.settings)
                check_unreadable(self._source.name, self._source.stats, live, session.settings)
                copied = self._finish(index, live)
            except DoubtfulCatalogue:
                raise
            except (CatalogueError, _UnfitIndex):
                with suppress(AttuneError):
                    indexes.delete(index.name)
                raise
        for name in set(target.reuse) - {live.name if live else ""}:
            indexes.delete(name)
        removed = indexes.delete_old(session.settings.keep_previous)
        self._delete_tombstones()
        stats, seconds = self._stats, time.monotonic() - started
        return RebuildReport(
            index=index.name,
            alias=session.alias,
            model=self._encoder.version,
            indexed=stats.indexed,
            encoded=stats.encoded,
            changes_copied=copied,
            rejected=rejects.rejected,
            duplicates=rejects.duplicates,
            seconds=round(seconds, 3),
            products_per_second=round(stats.indexed / seconds, 1),
            encoding_share=round(min(1.0, stats.encoding_seconds / max(stats.seconds, 1e-9)), 3),
            bytes=self._targets.measure_size(index.name),
            catalogue=self._source.stats.as_json(),
            resumed=target.resumed,
            kept=tuple(
                other.name for other in indexes.list_indexes() if other.complete and other.name != index.name
            ),
            removed=removed,
        )

    def _fill(self, target: RebuildTarget, rejects: RejectFile, engine: Engine) -> None:
        """Write every product of the source."""
        session, source, stats = self._session, self._source, self._stats
        client, settings, retry = session.client, session.settings, session.retry
        index = target.index.name
        load_target = LoadTarget(index, settings.vectors, self._moment, target.reuse, target.resumed)
        loader = Loader(client, self._encoder, load_target, retry, session.pictures)
        began = time.perf_counter()
        with IdSet() as ids:
            batches = split_batches(source.read(ids), settings.batch)
            for loaded in engine(loader, batches):
                retry.check_stop()
                self._lock.check()
                stats.add(loaded, rejects)
                for item in loaded.batch.items:
                    self._learner.add(item.product)
                share = loaded.batch.items[-1].share if loaded.batch.items else 0.0
                session.on_progress(stats.indexed, share)
            stats.seconds = time.perf_counter() - began
            refresh_index(client, index, retry)
            changed = scan_documents(client, index, CHANGED_QUERY, retry, source=False)
            stats.newer = sum(document.id in ids for document in changed)
        if not stats.indexed:
            why = f" (first: {rejects.first}); see {rejects.path}" if rejects.first else ": it is empty"
            raise CatalogueError(f"{source.name} holds no usable product{why}")

    def _finish(self, index: ManagedIndex, live: ManagedIndex | None) -> int:
        """Check the index, copy later changes to it, and point the alias at it. Return the changes copied."""
        session, source = self._session, self._source
        client, retry, indexes = session.client, session.retry, session.indexes
        version = self._stats.highest if source.has_versions else self._moment
        replaced = live.name if live else ""
        changes = {
            "version": version,
            REPLACED: replaced,
            VOCABULARY: self._learner.learn().to_text(),
            **source.describe_reading(),
        }
        index = indexes.update_metadata(index, **changes)
        self._check_content(index)
        copied = 0
        with ExitStack() as stack:
            catch_up = stack.enter_context(self._catch_up(index, live)) if live else None
            copied += catch_up.copy_changes() if catch_up else 0
            refresh_index(client, index.name, retry)
            if live and not source.is_partial:
                share = session.settings.min_share
                self._refuse(describe_shrinkage(client, index.name, live.name, share, retry))
            self._targets.make_ready(index.name)
            with hold_lock(self._jobs, session.alias, WRITING, wait=True) as writing:
                copied += catch_up.copy_changes() if catch_up else 0
                refresh_index(client, index.name, retry)
                self._lock.check()
                writing.check()
                indexes.point_at(index.name)
        indexes.update_metadata(index, state=COMPLETE)
        return copied

    def _catch_up(self, index: ManagedIndex, live: ManagedIndex) -> CatchUp:
        since = self._source.changes_since(self._stats.highest, self._moment)
        target = CopyTarget(
            index.name, self._encoder, self._session.settings.vectors, since, self._session.pictures
        )
        return CatchUp(self._session, self._jobs, live, target)

    def _check_content(self, index: ManagedIndex) -> None:
        expected = ExpectedContent(
            products=self._stats.indexed - self._stats.newer,
            model=self._encoder.version,
            samples=self._stats.samples,
        )
        problems = find_problems(self._session.client, index.name, expected, self._session.retry)
        self._refuse("; ".join(problems[:5]))

    def _refuse(self, problem: str) -> None:
        if problem:
            raise _UnfitIndex(
                f"the new index does not pass the sanity checks: {problem}. "
                f"Alias {self._session.alias} stays as it was"
            )

    def _delete_tombstones(self) -> None:
        """Delete tombstones that every index in use already reflects."""
        moments = [index.version for index in self._session.indexes.list_indexes() if index.version]
        if moments and all(map(is_timestamp, moments)):
            self._jobs.delete_tombstones(self._session.alias, min(moments))


class _UnfitIndex(IndexingError):
    """A new index does not pass the sanity checks."""
