"""The way of batches from the driver, which reads the catalogue, to Ray Data, which moves them to actors."""

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

from indexer.ray.worker import BatchOutcome
from indexer.rebuild.loading import LoadedBatch, ProductBatch
from indexer.store.retry import RetryPolicy
from indexer.store.worker_thread import WorkerThread
from mappings.errors import IndexingError

CONCURRENT_BATCHES = 2
"""Batches at work in one actor: one is encoded while one is written."""

QUEUED_BATCHES = 1
"""Batches that wait at each actor, so that it never idles."""


class BatchFeeder:
    """Puts batches into a queue, as many at a time as the actors need, and yields outcomes in order.

    A context manager, used in the driver. `say` receives a line for each batch that is loaded again.
    """

    def __init__(
        self, batches: Iterator[ProductBatch], retry: RetryPolicy, say: Callable[[str], None], workers: int
    ) -> None:
        strategy = _driver_node()
        self.queue = ray.remote(BatchQueue).options(num_cpus=0, scheduling_strategy=strategy).remote()
        self._batches = batches
        self._retry = retry
        self._say = say
        self._room = threading.Semaphore((CONCURRENT_BATCHES + QUEUED_BATCHES + 1) * workers)
        self._pending: dict[int, ProductBatch] = {}
        self._count = 0
        self._error: BaseException | None = None
        self._thread = WorkerThread(self._run)

    def __enter__(self) -> "BatchFeeder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close()
        with suppress(RayError):  # the whole cluster may be gone
            ray.kill(self.queue)

    def order_outcomes(self, outcomes: Iterator[tuple[int, BatchOutcome]]) -> Iterator[LoadedBatch]:
        """Yield loaded batches in the order of the catalogue. Raises the error of any step."""
        arrived: dict[int, LoadedBatch] = {}
        turn = 0
        with closing(outcomes):  # type: ignore[type-var]  # a generator
            for number, outcome in outcomes:
                if outcome.error:
                    raise outcome.error
                if number not in self._pending or outcome.loaded is None:
                    continue  # repeated
                arrived[number] = replace(outcome.loaded, batch=self._pending.pop(number))
                self.queue.forget.remote(number)
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
                    if not self._fetch_reports() or self._thread.stopping:
                        return
                self._pending[self._count] = batch
                ray.get(self.queue.put.remote(self._count, pickle.dumps(_strip(batch))))
                self._count += 1
                if self._thread.stopping:
                    return
        except BaseException as error:  # noqa: BLE001  raised again in the driver
            self._error = error
        finally:
            self.queue.close.remote(self._count)
        while not self._thread.wait(0.5):
            if not self._fetch_reports():
                return

    def _fetch_reports(self) -> bool:
        """Pass on what actors report; return whether the queue is still there."""
        try:
            waits, repeated = ray.get(self.queue.take_reports.remote())
        except RayError as error:
            self._error = self._error or error
            return False
        for why, seconds in waits:
            self._retry.on_wait(why, seconds)
        for number in repeated:
            self._say(f"a Ray worker died: batch {number + 1} is loaded again")
        return True


class BatchQueue:
    """Batches between the driver and the reading task, by number. It runs in a process beside the driver."""

    def __init__(self) -> None:
        self._batches: dict[int, bytes] = {}
        self._tries: dict[int, int] = {}
        self._count = 0
        self._end: int | None = None
        self._waits: list[tuple[str, float]] = []
        self._repeated: list[int] = []
        self._changed = asyncio.Condition()

    async def put(self, number: int, batch: bytes) -> None:
        """Add one batch. Numbers follow one another."""
        async with self._changed:
            self._batches[number] = batch
            self._count = number + 1
            self._changed.notify_all()

    async def take(self, number: int) -> bytes | None:
        """Wait for a batch; return None after the last. A batch with an outcome is empty: nobody needs it."""
        async with self._changed:
            await self._changed.wait_for(lambda: number < self._count or self._end is not None)
            if self._end is not None and number >= self._end:
                return None
            return self._batches.get(number, b"")

    async def count_try(self, number: int) -> int:
        """Return how often loading a batch has been tried, this time included."""
        self._tries[number] = tries = self._tries.get(number, 0) + 1
        if tries > 1:
            self._repeated.append(number)
        return tries

    async def forget(self, number: int) -> None:
        """Remove a batch that has an outcome."""
        self._batches.pop(number, None)
        self._tries.pop(number, None)

    async def close(self, end: int) -> None:
        """Set the number of batches: there are no more."""
        async with self._changed:
            self._end = end
            self._changed.notify_all()

    async def report_wait(self, why: str, seconds: float) -> None:
        """Record that an actor waits for OpenSearch."""
        self._waits = [*self._waits[-9:], (why, seconds)]

    async def take_reports(self) -> tuple[list[tuple[str, float]], list[int]]:
        """Return the waits for OpenSearch and the batches tried again, since the last call."""
        waits, repeated, self._waits, self._repeated = self._waits, self._repeated, [], []
        return waits, repeated


class BatchDatasource(Datasource):  # type: ignore[misc]  # Ray has no types
    """The queue as a source of Ray Data: one task that yields a row for each batch."""

    def __init__(self, queue: Any) -> None:
        super().__init__()
        self._queue = queue

    @property
    def supports_distributed_reads(self) -> bool:
        """Return False: the task runs beside the driver, where the queue is."""
        return False

    def estimate_inmemory_data_size(self) -> int | None:
        """Return None: the size is unknown."""
        return None

    def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[Any]:  # noqa: ARG002
        """Return the one task."""
        queue = self._queue

        def read() -> Iterator[pa.Table]:
            number = 0
            while (batch := ray.get(queue.take.remote(number))) is not None:
                yield pa.table({"number": [number], "content": pa.array([batch], pa.large_binary())})
                number += 1

        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(read, unknown)]


def report_wait(queue: Any, why: str, seconds: float) -> None:
    """Report from an actor to the driver that OpenSearch is waited for."""
    queue.report_wait.remote(why, seconds)


def count_try(queue: Any, number: int) -> int:
    """Return, in an actor, how often loading a batch has been tried, this time included."""
    tries: int = ray.get(queue.count_try.remote(number))
    return tries


def _driver_node() -> Any:
    """The machine of the driver."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _strip(batch: ProductBatch) -> ProductBatch:
    """Return a batch without what only the driver needs."""
    return ProductBatch(tuple(replace(item, raw="") for item in batch.items))
