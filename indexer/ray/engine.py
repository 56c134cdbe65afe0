"""A rebuild's batches on a Ray cluster: Ray Data moves them through a pool of actors.

    driver ── numbered batches ──▶ feed ──▶ reading task ── Ray Data ──▶ actors: encode, write to OpenSearch
       ▲                                                                             │
       └──────────────────── outcomes: what was written, refused, counted ───────────┘

The driver reads, cleans and finds duplicates, in one pass; vectors never come back to it. It hands out a
batch only when one before has come back: nothing grows with the catalogue, however far ahead Ray would read.
An actor that dies is started again and its batches are repeated; versions make that harmless. The feed keeps
a batch until its outcome has come, because Ray also repeats the reading task, from its beginning.

This module needs Ray (extra `ray`): import it where the engine was asked for.
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

from indexer.ray.feed import AT_A_TIME, QUEUED, Batches, Flow, begin, tell
from indexer.ray.worker import Encode, Outcome, Work
from indexer.rebuild.loading import Batch, Loaded, Loader
from indexer.store.encoder import ProductEncoder
from mappings.errors import IndexingError, SettingsError

CONNECT_SECONDS = 10.0

OBJECT_STORE_BYTES = 512_000_000
"""Shared memory of a cluster of our own: batches on their way, some hundred kilobytes each."""


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Loads batches on the cluster at `address`; empty starts one on this machine and ends it.

    `connect` and `encoder` are called once in every actor, `encoder` with the threads it may use: what the
    actors need must be importable there, and a model's folder be at the same place. `workers` of 0 takes all
    cores, `threads` of 0 what the cores give each. `say` is told of workers that died.
    """

    connect: Callable[[], OpenSearch]
    encoder: Callable[[int], ProductEncoder]
    workers: int = 0
    threads: int = 0
    address: str = ""
    say: Callable[[str], None] = lambda _: None

    def __call__(self, loader: Loader, batches: Iterator[Batch]) -> Iterator[Loaded]:
        """Yield what became of the batches, in their order. Raises IndexingError where Ray gives up."""
        try:
            with _cluster(self.address, self.workers, self.threads) as pool:
                work = Work(
                    self.connect,
                    self.encoder,
                    pool.threads,
                    loader.model,
                    loader.target,
                    loader.patience.seconds,
                )
                with Flow(batches, loader.patience, self.say, pool.workers) as flow:
                    for loaded in flow.outcomes(_outcomes(flow.feed, work, pool)):
                        # Seconds of all actors together are to be compared with those of the job.
                        yield replace(loaded, encoding_seconds=loaded.encoding_seconds / pool.workers)
        except RayError as error:
            lines = str(error).strip().splitlines()
            why = " … ".join(dict.fromkeys([lines[0].strip(), lines[-1].strip()])) if lines else repr(error)
            raise IndexingError(f"Ray gave up: {why}. The same command goes on where it was") from error


@dataclass(frozen=True, slots=True)
class _Pool:
    """Actors, and cores of each."""

    workers: int
    threads: int


def _outcomes(feed: Any, work: Work, pool: _Pool) -> Iterator[tuple[int, Outcome]]:
    """Run the actors; yield number and outcome of each batch, as they come."""
    rows = read_datasource(Batches(feed), num_cpus=0, override_num_blocks=1).map_batches(
        Encode,
        fn_constructor_args=(work, partial(tell, feed), partial(begin, feed)),
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(
            size=pool.workers,
            max_tasks_in_flight_per_actor=AT_A_TIME + QUEUED,
            max_concurrent_calls_per_actor=AT_A_TIME,
            enable_true_multi_threading=True,
        ),
        num_cpus=pool.threads,
    )
    context = rows.context
    context.target_max_block_size = 1  # each row goes on as it comes, none waits for others
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # the console's; Ray's own files stay as they are
            handler.setLevel(logging.ERROR)
    for table in rows.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for number, content in zip(table["number"].to_pylist(), table["content"].to_pylist(), strict=True):
            yield number, pickle.loads(content)


@contextmanager
def _cluster(address: str, workers: int, threads: int) -> Iterator[_Pool]:
    """Be on a cluster: the one this process is on already, the one at `address`, or one of our own."""
    if ray.is_initialized():
        yield _pool_on_cluster(workers, threads)
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _handlers_kept(), _silent():
        if address:
            _join(address, quiet)
            pool = _pool_on_cluster(workers, threads)
        else:
            pool = _pool(os.cpu_count() or 1, os.cpu_count() or 1, workers, threads)
            ray.init(
                "local",
                num_cpus=pool.workers * pool.threads,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
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
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(
            f"no Ray cluster can be joined at RAY_ADDRESS={address}: {error}. Is it up, and are "
            "RAY_AUTH_MODE and its token the cluster's? Without RAY_ADDRESS one is started on this machine"
        ) from error


def _pool_on_cluster(workers: int, threads: int) -> _Pool:
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    cores = [of for of in cores if of] or [1]
    return _pool(sum(cores), min(cores), workers, threads)


def _pool(cores: int, smallest: int, workers: int, threads: int) -> _Pool:
    """Share cores out; an actor must fit the smallest machine."""
    workers = workers or max(1, cores // (threads or 1))
    return _Pool(workers, threads or max(1, min(smallest, cores // workers)))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray's core, which is no Python, from printing to standard error; what fails is raised."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep our own handling of signals: Ray puts its own in its place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
