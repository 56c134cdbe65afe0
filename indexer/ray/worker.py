"""What an actor of Ray's does with a batch: encode and write it, by a client and a model of its own."""

import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa
from opensearchpy import OpenSearch

from indexer.rebuild.loading import Batch, Loaded, Loader, Target
from indexer.store.encoder import ProductEncoder
from indexer.store.retry import Patience
from mappings.errors import AttuneError, IndexingError, ModelMismatch

PARENT_SECONDS = 2.0
"""How often a worker looks whether its cluster is there."""

BATCH_TRIES = 5
"""How often a batch is begun: one may kill every worker that it meets."""


class Work:
    """What every actor makes its loader of. No dataclass: Ray shows what those hold, as the password here."""

    def __init__(
        self,
        connect: Callable[[], OpenSearch],
        encoder: Callable[[int], ProductEncoder],
        threads: int,
        model: str,
        target: Target,
        seconds: float,
    ) -> None:
        self._connect = connect
        self._encoder = encoder
        self._threads = threads
        self._model = model
        self._target = target
        self._seconds = seconds

    def loader(self, waiting: Callable[[str, float], None]) -> Loader:
        """Connect and load the model. Raises ModelMismatch where it is another than the driver's."""
        encoder = self._encoder(self._threads)
        if encoder.version != self._model:
            raise ModelMismatch(
                f"a Ray worker has model {encoder.version}, this job {self._model}: "
                "its folder must hold the same files on all machines"
            )
        return Loader(self._connect(), encoder, self._target, Patience(self._seconds, waiting))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an actor says of a batch: loaded, or failed for good. Neither where nothing was to be done."""

    loaded: Loaded | None = None
    error: Exception | None = None


class Encode:
    """One actor of the pool: its own client and model, loaded once."""

    def __init__(
        self, work: Work, waiting: Callable[[str, float], None], tries: Callable[[int], int]
    ) -> None:
        self._tries = tries
        self._encoding = threading.Lock()
        self._loader: Loader | None = None
        self._failed: Exception | None = None
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        try:
            self._loader = work.loader(waiting)
        except Exception as error:  # noqa: BLE001  goes to the driver; raised here, Ray would only try again
            self._failed = _portable(error)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Encode and write batches."""
        batches = zip(rows["number"].to_pylist(), rows["content"].to_pylist(), strict=True)
        done = [pickle.dumps(self._done(number, content)) for number, content in batches]
        return pa.table({"number": rows["number"], "content": pa.array(done, pa.large_binary())})

    def _done(self, number: int, content: bytes) -> Outcome:
        if self._loader is None:
            return Outcome(error=self._failed)
        if not content:
            return Outcome()
        batch: Batch = pickle.loads(content)
        if self._tries(number) > BATCH_TRIES:
            first = batch.items[0].line if batch.items else "?"
            return Outcome(
                error=IndexingError(
                    f"{BATCH_TRIES} Ray workers died at the {len(batch.items)} products from line {first}, "
                    "or at what they had beside them. Give them more memory, or set index.batch lower"
                )
            )
        try:
            with self._encoding:
                prepared = self._loader.prepared(batch)
            return Outcome(replace(self._loader.written(prepared), batch=Batch(())))
        except Exception as error:  # noqa: BLE001  goes to the driver
            return Outcome(error=_portable(error))


def _end_with(parent: int) -> None:
    """End this process when the cluster's on this machine has ended: now and then Ray leaves one behind."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """Return an error as it can travel, and say where it came from, unless it says all itself."""
    if not isinstance(error, AttuneError):
        error.add_note("in a Ray worker:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  whatever its class may do
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
