"""A full rebuild: catalogue → new index → alias.

Reading, encoding and writing each run ahead of the next stage. Searches see the old index whole until the
new one is complete and verified, then the new one whole; the old one is kept to go back to.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.change.plan import TIMES
from indexer.rebuild.loading import Batch, Loaded, Loader, Target, batches_of, load_here
from indexer.rebuild.product_source import Supply
from indexer.rebuild.sanity_checks import Expected, problems, shrunk
from indexer.rebuild.stats import Tally
from indexer.rebuild.target import Begun, NewIndex
from indexer.sources.rejects import RejectFile
from indexer.store.alias import COMPLETE, REPLACED, Aliases, MadeIndex
from indexer.store.catch_up import CHANGED, CatchUp
from indexer.store.encoder import ProductEncoder
from indexer.store.id_set import SeenIds
from indexer.store.jobs_index import JobsIndex, open_jobs
from indexer.store.lock import Lock, locked
from indexer.store.retry import Patience
from indexer.store.scan import every, refresh
from mappings.errors import AttuneError, CatalogueError, IndexingError
from mappings.settings import IndexSettings

REBUILD = "rebuild"
WRITING = "writing"
"""What an alias has locks on: one rebuild at a time, and one writer to the live index at a time."""

Engine = Callable[[Loader, Iterator[Batch]], Iterator[Loaded]]
"""Where batches are loaded: in this process (`load_here`) or on others."""


@dataclass(frozen=True, slots=True)
class IndexJob:
    """What to index and where to."""

    supply: Supply
    alias: str
    rejects: Path
    settings: IndexSettings


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: products in the new index, and how much of the work is done, 0..1."""

    indexed: int
    share: float


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run did.

    Of the `indexed` products `encoded` were encoded; the others had vectors, or stood in the index that a
    killed run left (`resumed`). `brought` are changes that came since the catalogue was made. `bytes` is the
    index's size on disk, `seconds` wall-clock time of the whole run, and `encoding_share` the part of the
    time of reading, encoding and writing in which the encoder was at work. `kept` can be gone back to.
    """

    index: str
    alias: str
    model: str
    indexed: int
    encoded: int
    brought: int
    rejected: int
    duplicates: int
    seconds: float
    products_per_second: float
    encoding_share: float
    bytes: int
    resumed: bool = False
    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def run_index_job(
    job: IndexJob,
    client: OpenSearch,
    encoder: ProductEncoder,
    on_progress: Callable[[Progress], None] = lambda _: None,
    patience: Patience | None = None,
    engine: Engine = load_here,
) -> IndexReport:
    """Index a catalogue into a new index and point the alias at it when everything is written and verified.

    A run that is killed or loses OpenSearch leaves its index, and the next run of the same job goes on with
    it. One whose catalogue is of no use, or whose index does not pass the verification, removes it. The
    alias stays as it was either way. Raises CatalogueError for a file without one usable product, JobRunning
    where another rebuild of the alias is at work, IndexingError, ClusterDown, ModelError, and SettingsError
    for a bad alias.
    """
    patience = patience or Patience(job.settings.retry_seconds)
    aliases = Aliases(client, job.alias, patience)
    aliases.check()
    jobs = open_jobs(client, patience)
    with locked(jobs, job.alias, REBUILD) as lock:
        return _Rebuild(job, client, encoder, aliases, jobs, lock, patience).run(on_progress, engine)


class _Rebuild:
    """One run, with all that its steps share."""

    def __init__(
        self,
        job: IndexJob,
        client: OpenSearch,
        encoder: ProductEncoder,
        aliases: Aliases,
        jobs: JobsIndex,
        lock: Lock,
        patience: Patience,
    ) -> None:
        self._job = job
        self._client = client
        self._encoder = encoder
        self._aliases = aliases
        self._jobs = jobs
        self._lock = lock
        self._patience = patience
        self._tally = Tally()
        self._moment = job.supply.moment_ms  # before it is read: a file may be replaced meanwhile
        self._new = NewIndex(client, aliases, encoder, job.settings, patience)

    def run(self, on_progress: Callable[[Progress], None], engine: Engine) -> IndexReport:
        started = time.monotonic()
        live = settled(self._aliases)
        begun = self._new.begin(self._job.supply.note(), live)
        index = begun.index
        with RejectFile(self._job.rejects) as rejects:
            try:
                if live and begun.resumed and self._job.supply.changing:
                    with self._to_come(index, live) as to_come:
                        to_come.bring()  # what was deleted since is not read again
                self._fill(begun, rejects, on_progress, engine)
                brought = self._finish(index, live)
            except (CatalogueError, _Unfit):
                with suppress(AttuneError):
                    self._aliases.delete(index.name)
                raise
        for name in set(begun.reuse) - {live.name if live else ""}:
            self._aliases.delete(name)
        removed = self._aliases.drop_old(self._job.settings.keep_previous)
        self._forget()
        tally, seconds = self._tally, time.monotonic() - started
        return IndexReport(
            index=index.name,
            alias=self._job.alias,
            model=self._encoder.version,
            indexed=tally.indexed,
            encoded=tally.encoded,
            brought=brought,
            rejected=rejects.rejected,
            duplicates=rejects.duplicates,
            seconds=round(seconds, 3),
            products_per_second=round(tally.indexed / seconds, 1),
            encoding_share=round(min(1.0, tally.encoding_seconds / max(tally.seconds, 1e-9)), 3),
            bytes=self._new.size(index.name),
            resumed=begun.resumed,
            kept=tuple(of.name for of in self._aliases.made() if of.complete and of.name != index.name),
            removed=removed,
        )

    def _fill(
        self,
        begun: Begun,
        rejects: RejectFile,
        on_progress: Callable[[Progress], None],
        engine: Engine,
    ) -> None:
        """Write every product of the catalogue."""
        supply, tally = self._job.supply, self._tally
        index = begun.index.name
        target = Target(index, self._job.settings.vectors, self._moment, begun.reuse, begun.resumed)
        loader = Loader(self._client, self._encoder, target, self._patience)
        began = time.perf_counter()
        with SeenIds() as seen:
            batches = batches_of(supply.items(seen), self._job.settings.batch)
            for loaded in engine(loader, batches):
                self._lock.check()
                tally.note(loaded, rejects)
                share = loaded.batch.items[-1].share if loaded.batch.items else 0.0
                on_progress(Progress(tally.indexed, share))
            tally.seconds = time.perf_counter() - began
            refresh(self._client, index, self._patience)
            changed = every(self._client, index, CHANGED, self._patience, source=False)
            tally.newer = sum(of.id in seen for of in changed)
        if not tally.indexed:
            why = f" (first: {rejects.first}); see {rejects.path}" if rejects.first else ": it is empty"
            raise CatalogueError(f"{supply.name} holds no usable product{why}")

    def _finish(self, index: MadeIndex, live: MadeIndex | None) -> int:
        """Verify the index, bring it what changed meanwhile, and point the alias at it."""
        job, highest = self._job, self._tally.highest
        version = highest if job.supply.versioned else self._moment
        index = self._aliases.note(index, **{"version": version, REPLACED: live.name if live else ""})
        self._verify(index)
        brought = 0
        with ExitStack() as stack:
            to_come = stack.enter_context(self._to_come(index, live)) if live else None
            brought += to_come.bring() if to_come else 0
            refresh(self._client, index.name, self._patience)
            if live and not job.supply.partial:
                share = job.settings.min_share
                self._unfit(shrunk(self._client, index.name, live.name, share, self._patience))
            self._new.make_ready(index.name)
            with locked(self._jobs, job.alias, WRITING, wait=True) as writing:
                brought += to_come.bring() if to_come else 0
                refresh(self._client, index.name, self._patience)
                self._lock.check()
                writing.check()
                self._aliases.point(index.name)
        self._aliases.note(index, state=COMPLETE)
        return brought

    def _to_come(self, index: MadeIndex, live: MadeIndex) -> CatchUp:
        since = self._job.supply.since(self._tally.highest, self._moment)
        return CatchUp(
            self._client, self._jobs, self._job.alias, live, index.name, since, self._encoder,
            self._job.settings.vectors, self._patience,
        )  # fmt: skip

    def _verify(self, index: MadeIndex) -> None:
        expected = Expected(
            products=self._tally.indexed - self._tally.newer,
            model=self._encoder.version,
            samples=self._tally.samples,
        )
        wrong = problems(self._client, index.name, expected, self._patience)
        self._unfit("; ".join(wrong[:5]))

    def _unfit(self, wrong: str) -> None:
        if wrong:
            raise _Unfit(
                f"the new index does not pass the verification: {wrong}. "
                f"Alias {self._job.alias} stays as it was"
            )

    def _forget(self) -> None:
        """Forget deletes that no index in use could still lack."""
        moments = [of.version for of in self._aliases.made() if of.version]
        if moments and all(moment > TIMES for moment in moments):
            self._jobs.forget_buried(self._job.alias, min(moments))


class _Unfit(IndexingError):
    """An index that does not pass its verification."""


def settled(aliases: Aliases) -> MadeIndex | None:
    """Return the live index, as complete: a run may have been killed after it moved the alias."""
    live = aliases.live()
    return live if live is None or live.complete else aliases.note(live, state=COMPLETE)
