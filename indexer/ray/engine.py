"""Load a rebuild's batches on a Ray cluster: Ray Data moves them through a pool of actors.

    driver ── numbered batches ──▶ queue ──▶ reading task ── Ray Data ──▶ actors: encode, write to OpenSearch
       ▲                                                                             │
       └──────────────────── outcomes: what was written, refused, counted ───────────┘

The driver reads, cleans and finds duplicates in one pass; vectors never return to it. It hands out a batch
only when an earlier one has come back: nothing grows with the catalogue, however far ahead Ray would read. An
actor that dies is started again and its batches are repeated; versions make that harmless. The queue keeps a
batch until its outcome has come, because Ray also repeats the reading task, from its beginning.

This module needs Ray (extra `ray`): import it only where the engine is used.
"""

import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ray
from opensearchpy import OpenSearch
from ray.data import ActorPoolStrategy, read_datasource
from ray.exceptions import RayError

from indexer.ray.batch_queue import (
    CONCURRENT_BATCHES,
    QUEUED_BATCHES,
    BatchDatasource,
    BatchFeeder,
    count_try,
    report_wait,
)
from indexer.ray.worker import BatchOutcome, EncodingActor, WorkerSpec
from indexer.rebuild.loading import LoadedBatch, Loader, ProductBatch
from indexer.store.encoder import ProductEncoder
from mappings.errors import IndexingError, SettingsError

_CONNECT_SECONDS = 10.0

_OBJECT_STORE_BYTES = 512_000_000
"""Shared memory of a cluster that this job starts. It holds batches of a few hundred kilobytes each."""


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Loads batches on the cluster at `address`. Without an address it starts one on this machine, and ends
    it.

    `connect` and `encoder` are called once in every actor, `encoder` with the number of threads it may use.
    What they need must be importable there, and a model's folder be at the same path. `workers` of 0 takes
    all cores, `threads` of 0 shares them out. `say` receives a line for each worker that died.
    """

    connect: Callable[[], OpenSearch]
    encoder: Callable[[int], ProductEncoder]
    workers: int = 0
    threads: int = 0
    address: str = ""
    say: Callable[[str], None] = lambda _: None

    def __call__(self, loader: Loader, batches: Iterator[ProductBatch]) -> Iterator[LoadedBatch]:
        """Yield the loaded batches, in order. Raises IndexingError where Ray gives up."""
        try:
            with _cluster(self.address, self.workers, self.threads) as pool:
                spec = WorkerSpec(
                    self.connect,
                    self.encoder,
                    pool.threads,
                    loader.model,
                    loader.target,
                    loader.retry.seconds,
                )
                with BatchFeeder(batches, loader.retry, self.say, pool.workers) as feeder:
                    for loaded in feeder.order_outcomes(_run_actors(feeder.queue, spec, pool)):
                        # The seconds of all actors together, as seconds of the job.
                        yield replace(loaded, encoding_seconds=loaded.encoding_seconds / pool.workers)
        except RayError as error:
            lines = str(error).strip().splitlines()
            why = " … ".join(dict.fromkeys([lines[0].strip(), lines[-1].strip()])) if lines else repr(error)
            raise IndexingError(f"Ray gave up: {why}. The same command goes on where it was") from error


@dataclass(frozen=True, slots=True)
class _Pool:
    """The number of actors, and of threads for each."""

    workers: int
    threads: int


def _run_actors(queue: Any, spec: WorkerSpec, pool: _Pool) -> Iterator[tuple[int, BatchOutcome]]:
    """Run the actors; yield the number and the outcome of each batch, as they come."""
    rows = read_datasource(BatchDatasource(queue), num_cpus=0, override_num_blocks=1).map_batches(
        EncodingActor,
        fn_constructor_args=(spec, partial(report_wait, queue), partial(count_try, queue)),
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(
            size=pool.workers,
            max_tasks_in_flight_per_actor=CONCURRENT_BATCHES + QUEUED_BATCHES,
            max_concurrent_calls_per_actor=CONCURRENT_BATCHES,
            enable_true_multi_threading=True,
        ),
        num_cpus=pool.threads,
    )
    context = rows.context
    context.target_max_block_size = 1  # each row moves on as it comes
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # the console's, not Ray's own files
            handler.setLevel(logging.ERROR)
    for table in rows.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for number, content in zip(table["number"].to_pylist(), table["content"].to_pylist(), strict=True):
            yield number, pickle.loads(content)


@contextmanager
def _cluster(address: str, workers: int, threads: int) -> Iterator[_Pool]:
    """Use the cluster that this process is on already, the one at `address`, or start one."""
    if ray.is_initialized():
        yield _cluster_pool(workers, threads)
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _keep_signal_handlers(), _silence_stderr():
        if address:
            _join(address, quiet)
            pool = _cluster_pool(workers, threads)
        else:
            pool = _share_cores(os.cpu_count() or 1, os.cpu_count() or 1, workers, threads)
            ray.init(
                "local",
                num_cpus=pool.workers * pool.threads,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **quiet,
            )
    try:
        yield pool
    finally:
        ray.shutdown()


def _join(address: str, quiet: dict[str, Any]) -> None:
    try:
        host, _, port = address.rpartition("://")[2].rpartition(":")
        if host and port.isdecimal():  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(
            f"the Ray cluster can't be joined at RAY_ADDRESS={address}: {error}. Is it up, and are "
            "RAY_AUTH_MODE and its token the cluster's? Without RAY_ADDRESS one is started on this machine"
        ) from error


def _cluster_pool(workers: int, threads: int) -> _Pool:
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    cores = [count for count in cores if count] or [1]
    return _share_cores(sum(cores), min(cores), workers, threads)


def _share_cores(cores: int, smallest: int, workers: int, threads: int) -> _Pool:
    """Share the cores out. An actor must fit the smallest machine."""
    workers = workers or max(1, cores // (threads or 1))
    return _Pool(workers, threads or max(1, min(smallest, cores // workers)))


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """Keep Ray's core, which is not Python, from printing to standard error.

    Its failures are raised anyway.
    """
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@contextmanager
def _keep_signal_handlers() -> Iterator[None]:
    """Keep the handler of SIGTERM: Ray installs its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
