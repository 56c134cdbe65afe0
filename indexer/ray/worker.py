"""The actors of a rebuild on Ray: each encodes and writes batches with a client and a model of its own."""

import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa
from opensearchpy import OpenSearch

from indexer.rebuild.loading import LoadedBatch, Loader, LoadTarget, ProductBatch
from indexer.store.encoder import ProductEncoder
from indexer.store.retry import RetryPolicy
from mappings.errors import AttuneError, IndexingError, ModelMismatch

_PARENT_SECONDS = 2.0
"""How often an actor checks that its cluster is still there."""

_BATCH_TRIES = 5
"""How often loading a batch is tried: it may kill every actor that it meets."""


class WorkerSpec:
    """What every actor makes its loader from.

    Not a dataclass: Ray prints those, with the password in here.
    """

    def __init__(
        self,
        connect: Callable[[], OpenSearch],
        encoder: Callable[[int], ProductEncoder],
        threads: int,
        model: str,
        target: LoadTarget,
        retry_seconds: float,
    ) -> None:
        self._connect = connect
        self._encoder = encoder
        self._threads = threads
        self._model = model
        self._target = target
        self._retry_seconds = retry_seconds

    def make_loader(self, on_wait: Callable[[str, float], None]) -> Loader:
        """Connect and load the model. Raises ModelMismatch where it is another than the driver's."""
        encoder = self._encoder(self._threads)
        if encoder.version != self._model:
            raise ModelMismatch(
                f"a Ray worker has model {encoder.version}, this job {self._model}: "
                "its folder must hold the same files on all machines"
            )
        return Loader(self._connect(), encoder, self._target, RetryPolicy(self._retry_seconds, on_wait))


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """The outcome of a batch: loaded, or failed for good. Neither where there was nothing to do."""

    loaded: LoadedBatch | None = None
    error: Exception | None = None


class EncodingActor:
    """One actor of the pool. Its client and its model are made once."""

    def __init__(
        self, spec: WorkerSpec, on_wait: Callable[[str, float], None], count_try: Callable[[int], int]
    ) -> None:
        self._count_try = count_try
        self._encoding = threading.Lock()
        self._loader: Loader | None = None
        self._failure: Exception | None = None
        threading.Thread(target=_exit_with, args=(os.getppid(),), daemon=True).start()
        try:
            self._loader = spec.make_loader(on_wait)
        except Exception as error:  # noqa: BLE001  goes to the driver; raised here, Ray would only try again
            self._failure = _make_portable(error)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Encode and write batches."""
        batches = zip(rows["number"].to_pylist(), rows["content"].to_pylist(), strict=True)
        outcomes = [pickle.dumps(self._load(number, content)) for number, content in batches]
        return pa.table({"number": rows["number"], "content": pa.array(outcomes, pa.large_binary())})

    def _load(self, number: int, content: bytes) -> BatchOutcome:
        if self._loader is None:
            return BatchOutcome(error=self._failure)
        if not content:
            return BatchOutcome()
        batch: ProductBatch = pickle.loads(content)
        if self._count_try(number) > _BATCH_TRIES:
            first = batch.items[0].line if batch.items else "?"
            return BatchOutcome(
                error=IndexingError(
                    f"{_BATCH_TRIES} Ray workers died at the {len(batch.items)} products from line {first}, "
                    "or at what they had beside them. Give them more memory, or set index.batch lower"
                )
            )
        try:
            with self._encoding:
                encoded = self._loader.encode(batch)
            return BatchOutcome(replace(self._loader.write(encoded), batch=ProductBatch(())))
        except Exception as error:  # noqa: BLE001  goes to the driver
            return BatchOutcome(error=_make_portable(error))


def _exit_with(parent: int) -> None:
    """End this process when its cluster on this machine has ended. Ray sometimes leaves an actor behind."""
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os._exit(1)


def _make_portable(error: Exception) -> Exception:
    """Return an error that can be pickled, with its traceback unless its message is enough."""
    if not isinstance(error, AttuneError):
        error.add_note("in a Ray worker:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  whatever its class may do
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
