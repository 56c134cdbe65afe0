"""A full rebuild: catalogue → new index → alias.

Reading, encoding and writing each run ahead of the next stage. Searches see the old index whole until the
new one is complete and verified, then the new one whole; the old one is kept to go back to.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.alias import BUILDING, COMPLETE, META, REPLACED, STATE, Aliases, MadeIndex, index_name
from indexer.catch_up import CHANGED, CatchUp
from indexer.encoder import ProductEncoder
from indexer.jobs_index import JobsIndex, now_ms, open_jobs
from indexer.loading import Batch, Loaded, Loader, Target, batches_of, load_here
from indexer.lock import Lock, locked
from indexer.patience import Patience
from indexer.records import Reject
from indexer.rejects import RejectFile
from indexer.seen import SeenIds
from indexer.stored import every
from indexer.supplies import Supply
from indexer.verification import Expected, problems, shrunk
from mappings.client import index_body
from mappings.errors import AttuneError, CatalogueError, IndexingError
from mappings.settings import IndexSettings
from mappings.types import JsonObject

REBUILD = "rebuild"
WRITING = "writing"
"""What an alias has locks on: one rebuild at a time, and one writer to the live index at a time."""

TIMES = 100_000_000_000
"""Versions from here on are milliseconds since 1970 (this is in 1973), those below are counts."""

SAMPLES = 100
REPLICA_SECONDS = 60
"""How long copies are waited for before searches move to the index; a cluster without room has none."""

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


@dataclass(slots=True)
class _Tally:
    """What was counted on the way."""

    indexed: int = 0
    encoded: int = 0
    newer: int = 0
    highest: int = 0
    seconds: float = 0.0
    encoding_seconds: float = 0.0
    batches: int = 0
    samples: dict[str, str] = field(default_factory=dict)

    def sample(self, product_id: str, content: str) -> None:
        """Keep some products of all batches, each as likely as any other (reservoir sampling)."""
        self.batches += 1
        if len(self.samples) >= SAMPLES:
            if random.randrange(self.batches) >= SAMPLES:
                return
            self.samples.pop(random.choice(list(self.samples)))
        self.samples[product_id] = content


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
    patience = patience or Patience(job.settings.patience_seconds)
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
        self._tally = _Tally()
        self._moment = job.supply.moment_ms  # before it is read: a file may be replaced meanwhile

    def run(self, on_progress: Callable[[Progress], None], engine: Engine) -> IndexReport:
        started = time.monotonic()
        live = settled(self._aliases)
        index, resumed, reuse = self._begun(live)
        with RejectFile(self._job.rejects) as rejects:
            try:
                if live and resumed and self._job.supply.changing:
                    with self._to_come(index, live) as to_come:
                        to_come.bring()  # what was deleted since is not read again
                self._fill(index, reuse, resumed, rejects, on_progress, engine)
                brought = self._finish(index, live)
            except (CatalogueError, _Unfit):
                with suppress(AttuneError):
                    self._aliases.delete(index.name)
                raise
        for name in set(reuse) - {live.name if live else ""}:
            self._aliases.delete(name)
        removed = self._aliases.drop_old(self._job.settings.keep)
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
            bytes=self._size(index.name),
            resumed=resumed,
            kept=tuple(of.name for of in self._aliases.made() if of.complete and of.name != index.name),
            removed=removed,
        )

    def _begun(self, live: MadeIndex | None) -> tuple[MadeIndex, bool, tuple[str, ...]]:
        """Return the index to fill, whether a run before began it, and the indexes whose vectors can be used.

        These are the live one and, of those that other runs left unfinished, as one from a database that is
        never the same twice, the fullest; what else was left is deleted.
        """
        note = self._note()
        left = [of for of in self._aliases.made() if not of.complete and not (live and of.name == live.name)]
        same = next((of for of in left if _begun_by(of.note) == note), None)
        others = [of for of in left if of is not same]
        useful = sorted(filter(self._fits, others), key=self._fullness)[-1:]
        for of in others:
            if of not in useful:
                self._aliases.delete(of.name)
        reuse = tuple(of.name for of in ([live] if live and self._fits(live) else []) + useful)
        if same:
            self._refresh(same.name)
            return same, True, reuse
        name = index_name(self._job.alias, now_ms())
        body = index_body(self._encoder.dimension, self._job.settings)
        body["mappings"]["_meta"] = {META: note}
        loading = {"refresh_interval": "-1", "number_of_replicas": 0}
        body["settings"]["index"] |= loading

        def create() -> None:
            if not self._client.indices.exists(index=name):  # an answer may have been lost
                self._client.indices.create(index=name, body=body)

        self._patience.call(f"creating index {name}", create)
        return MadeIndex(name, note, ()), False, reuse

    def _fullness(self, index: MadeIndex) -> int:
        self._refresh(index.name)
        counted = self._patience.call("counting", lambda: self._client.count(index=index.name))
        return int(counted["count"])

    def _fits(self, index: MadeIndex) -> bool:
        """Whether an index has vectors such as this run makes."""
        same_kind = index.note.get("vectors") == self._job.settings.vectors
        return index.model == self._encoder.version and same_kind

    def _note(self) -> JsonObject:
        note = {
            "alias": self._job.alias,
            STATE: BUILDING,
            "model": self._encoder.version,
            "dimension": self._encoder.dimension,
            "vectors": self._job.settings.vectors,
            "engine": self._job.settings.engine,
            "shards": self._job.settings.shards,
            **self._job.supply.note(),
        }
        normal: JsonObject = json.loads(json.dumps(note))  # as OpenSearch gives it back
        return normal

    def _fill(
        self,
        index: MadeIndex,
        reuse: tuple[str, ...],
        resumed: bool,
        rejects: RejectFile,
        on_progress: Callable[[Progress], None],
        engine: Engine,
    ) -> None:
        """Write every product of the catalogue."""
        supply, tally = self._job.supply, self._tally
        target = Target(index.name, self._job.settings.vectors, self._moment, reuse, resumed)
        loader = Loader(self._client, self._encoder, target, self._patience)
        began = time.perf_counter()
        with SeenIds() as seen:
            batches = batches_of(supply.items(seen), self._job.settings.batch)
            for loaded in engine(loader, batches):
                self._lock.check()
                self._note_loaded(loaded, rejects)
                share = loaded.batch.items[-1].share if loaded.batch.items else 0.0
                on_progress(Progress(tally.indexed, share))
            tally.seconds = time.perf_counter() - began
            self._refresh(index.name)
            changed = every(self._client, index.name, CHANGED, self._patience, source=False)
            tally.newer = sum(of.id in seen for of in changed)
        if not tally.indexed:
            why = f" (first: {rejects.first}); see {rejects.path}" if rejects.first else ": it is empty"
            raise CatalogueError(f"{supply.name} holds no usable product{why}")

    def _note_loaded(self, loaded: Loaded, rejects: RejectFile) -> None:
        tally = self._tally
        for reject in loaded.batch.rejects:
            rejects.write(reject)
        refused = {of.id: of.refusal for of in loaded.written if of.refusal}
        for item in loaded.batch.items:
            if item.product.id in refused:
                reason = f"OpenSearch refused the document: {refused[item.product.id]}"
                rejects.write(Reject(item.line, reason, item.raw, "document"))
        deleted = {of.id for of in loaded.written if of.stale}  # since, as the run before brought along
        tally.indexed += len(loaded.batch.items) - len(refused) - len(deleted)
        tally.encoded += loaded.encoded
        tally.encoding_seconds += loaded.encoding_seconds
        tally.highest = max([tally.highest, *(item.version or 0 for item in loaded.batch.items)])
        if loaded.sample and loaded.sample[0] not in refused.keys() | deleted:
            tally.sample(*loaded.sample)

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
            self._refresh(index.name)
            if live and not job.supply.partial:
                share = job.settings.min_share
                self._unfit(shrunk(self._client, index.name, live.name, share, self._patience))
            self._restore(index.name)
            with locked(self._jobs, job.alias, WRITING, wait=True) as writing:
                brought += to_come.bring() if to_come else 0
                self._refresh(index.name)
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

    def _restore(self, index: str) -> None:
        """Give the index the settings of one that is searched, and its replicas."""
        settings = {"refresh_interval": None, "number_of_replicas": self._job.settings.replicas}

        def restore() -> None:
            self._client.indices.put_settings(index=index, body={"index": settings})
            self._client.indices.flush(index=index)

        self._patience.call(f"restoring settings of {index}", restore)
        if self._job.settings.replicas:
            params = {"wait_for_status": "green", "timeout": f"{REPLICA_SECONDS}s", "ignore": 408}
            self._patience.call(
                f"waiting for replicas of {index}",
                lambda: self._client.cluster.health(
                    index=index, params=params | {"request_timeout": REPLICA_SECONDS + 10}
                ),
            )

    def _refresh(self, index: str) -> None:
        self._patience.call(f"refreshing {index}", lambda: self._client.indices.refresh(index=index))

    def _size(self, index: str) -> int:
        stats = self._patience.call(
            f"measuring {index}", lambda: self._client.indices.stats(index=index, metric="store")
        )
        return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])

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


def _begun_by(note: JsonObject) -> JsonObject:
    """Return what an unfinished index noted when it was begun."""
    return {name: value for name, value in note.items() if name not in ("version", REPLACED)}
