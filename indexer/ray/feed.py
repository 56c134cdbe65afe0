"""Batches between the driver, which reads the catalogue, and Ray Data, which moves them to the actors."""

import asyncio
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import ray
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from indexer.ray.worker import Outcome
from indexer.rebuild.loading import Batch, Loaded
from indexer.store.retry import Patience
from mappings.errors import IndexingError

AT_A_TIME = 2
"""Batches at work in one actor: one is encoded while one is written."""

QUEUED = 1
"""Batches that wait at each actor, so that it never does."""


class Flow:
    """Hands batches to the feed, as many at a time as the actors need, and puts outcomes in their order."""

    def __init__(
        self, batches: Iterator[Batch], patience: Patience, say: Callable[[str], None], workers: int
    ) -> None:
        self.feed = ray.remote(Feed).options(num_cpus=0, scheduling_strategy=_beside_driver()).remote()
        self._batches = batches
        self._patience = patience
        self._say = say
        self._room = threading.Semaphore((AT_A_TIME + QUEUED + 1) * workers)
        self._out: dict[int, Batch] = {}
        self._count = 0
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Flow":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(RayError):  # the whole cluster may be gone
            ray.kill(self.feed)

    def outcomes(self, found: Iterator[tuple[int, Outcome]]) -> Iterator[Loaded]:
        """Yield what became of the batches, in their order. Raises what any step on the way raised."""
        arrived: dict[int, Loaded] = {}
        turn = 0
        with closing(found):  # type: ignore[type-var]  # a generator
            for number, outcome in found:
                if outcome.error:
                    raise outcome.error
                if number not in self._out or outcome.loaded is None:
                    continue  # repeated
                arrived[number] = replace(outcome.loaded, batch=self._out.pop(number))
                self.feed.done.remote(number)
                while loaded := arrived.pop(turn, None):
                    turn += 1
                    self._room.release()
                    yield loaded
        if self._error:
            raise self._error
        if turn != self._count:
            raise IndexingError(f"Ray returned {turn} of {self._count} batches: run the job again")

    def _run(self) -> None:
        try:
            for batch in self._batches:
                while not self._room.acquire(timeout=0.5):
                    self._listen()
                    if self._stop.is_set():
                        return
                self._out[self._count] = batch
                ray.get(self.feed.put.remote(self._count, pickle.dumps(_slim(batch))))
                self._count += 1
                if self._stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  raised again in the driver
            self._error = error
        finally:
            self.feed.close.remote(self._count)
        while not self._stop.wait(0.5):
            self._listen()

    def _listen(self) -> None:
        try:
            waits, again = ray.get(self.feed.said.remote())
            for why, seconds in waits:
                self._patience.waiting(why, seconds)
            for number in again:
                self._say(f"a Ray worker died: batch {number + 1} is loaded again")
        except RayError as error:
            self._error = self._error or error
            self._stop.set()


class Feed:
    """Batches between driver and reading task, by number, in a process of their own beside the driver."""

    def __init__(self) -> None:
        self._batches: dict[int, bytes] = {}
        self._begun: dict[int, int] = {}
        self._count = 0
        self._end: int | None = None
        self._waits: list[tuple[str, float]] = []
        self._again: list[int] = []
        self._changed = asyncio.Condition()

    async def put(self, number: int, batch: bytes) -> None:
        """Bring one batch; numbers follow one another."""
        async with self._changed:
            self._batches[number] = batch
            self._count = number + 1
            self._changed.notify_all()

    async def take(self, number: int) -> bytes | None:
        """Wait for a batch; None after the last. One whose outcome has come is empty: nobody needs it."""
        async with self._changed:
            await self._changed.wait_for(lambda: number < self._count or self._end is not None)
            if self._end is not None and number >= self._end:
                return None
            return self._batches.get(number, b"")

    async def begin(self, number: int) -> int:
        """Return how often a batch has been begun, this time included."""
        self._begun[number] = tries = self._begun.get(number, 0) + 1
        if tries > 1:
            self._again.append(number)
        return tries

    async def done(self, number: int) -> None:
        """Forget a batch."""
        self._batches.pop(number, None)
        self._begun.pop(number, None)

    async def close(self, end: int) -> None:
        """Say how many batches there are."""
        async with self._changed:
            self._end = end
            self._changed.notify_all()

    async def wait(self, why: str, seconds: float) -> None:
        """Note that an actor waits for OpenSearch."""
        self._waits = [*self._waits[-9:], (why, seconds)]

    async def said(self) -> tuple[list[tuple[str, float]], list[int]]:
        """Return waits for OpenSearch and batches begun again, since the last time."""
        waits, again, self._waits, self._again = self._waits, self._again, [], []
        return waits, again


class Batches(Datasource):  # type: ignore[misc]  # Ray has no types
    """The feed as a source of Ray Data: one task that yields a row a batch."""

    def __init__(self, feed: Any) -> None:
        super().__init__()
        self._feed = feed

    @property
    def supports_distributed_reads(self) -> bool:
        """Return that the task belongs beside the driver, as the feed does."""
        return False

    def estimate_inmemory_data_size(self) -> int | None:
        """Return that nobody knows."""
        return None

    def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[Any]:  # noqa: ARG002
        """Return the one task."""
        feed = self._feed

        def read() -> Iterator[pa.Table]:
            number = 0
            while (batch := ray.get(feed.take.remote(number))) is not None:
                yield pa.table({"number": [number], "content": pa.array([batch], pa.large_binary())})
                number += 1

        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(read, unknown)]


def tell(feed: Any, why: str, seconds: float) -> None:
    """Tell the driver, from an actor, that OpenSearch is waited for."""
    feed.wait.remote(why, seconds)


def begin(feed: Any, number: int) -> int:
    """Return, in an actor, how often a batch has been begun, this time included."""
    tries: int = ray.get(feed.begin.remote(number))
    return tries


def _beside_driver() -> Any:
    """The machine that the driver is on."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _slim(batch: Batch) -> Batch:
    """Return a batch without what only the driver needs."""
    return Batch(tuple(replace(item, raw="") for item in batch.items))
