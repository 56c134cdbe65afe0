"""A run's folder of unfinished work, beside the folder that it makes: what makes training resumable.

    FOLDER.partial/run.json   what the run is, how long it has taken so far, and what it has decided
    FOLDER.partial/...        what its stages have done
    FOLDER                    comes at the end, complete, in one step

The same run continues where it stopped. Another run is refused.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mappings.errors import ModelError
from reranker.training.run.files import read_json, write_json

_RUN = "run.json"


@dataclass
class TrainingRun:
    """A run under way. `work` is its folder, `resumed` whether an earlier process began it."""

    folder: Path
    work: Path
    identity: Mapping[str, Any]
    resumed: bool
    save_seconds: float = 45.0
    decided: dict[str, Any] = field(default_factory=dict)
    _before: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long the run has taken, earlier processes' part included up to their last checkpoint."""
        return self._before + time.monotonic() - self._started

    def decide(self, name: str, value: Any) -> Any:
        """Return what was decided under `name`, now or by an earlier process."""
        if name not in self.decided:
            self.decided[name] = value
            self.save()
        return self.decided[name]

    def save(self) -> None:
        """Write down what is decided and how long it has taken."""
        self._saved = time.monotonic()
        record = {"run": self.identity, "seconds": round(self.seconds, 1), "decided": self.decided}
        write_json(self.work / _RUN, record)

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._saved > self.save_seconds

    def finish(self, made: Path) -> None:
        """Give `made`, a folder in `work`, the name `folder`, and remove the rest.

        A folder of that name is replaced.
        """
        old = self.work / "old"
        if self.folder.exists():
            os.replace(self.folder, old)
        os.replace(made, self.folder)
        shutil.rmtree(self.work)


def locate_partial_work(folder: Path) -> Path:
    """Where the unfinished work for `folder` lies."""
    return folder.with_name(f"{folder.name}.partial")


@contextmanager
def open_run(
    folder: Path, identity: Mapping[str, Any], fresh: bool, replace: bool, save_seconds: float = 45.0
) -> Iterator[TrainingRun]:
    """Begin the run that makes `folder`, or continue it.

    `identity` tells it from others, in JSON's types only. `fresh` forgets earlier work; `replace` allows
    `folder` to be there already. Raises ModelError when it is, when another run's work is in the way, or when
    another process is at it.
    """
    if folder.exists() and not replace and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} is there already: name another --out, or --fresh to make it anew")
    work = locate_partial_work(folder)
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("w")
    except OSError as error:
        raise ModelError(f"can't write to {work}: {error.strerror}; name another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ModelError(f"another process is at {work} right now: wait for it, or stop it") from error
        if fresh:
            _clear(work)
        run = _take_up(folder, work, identity, save_seconds)
        try:
            yield run
        finally:
            with suppress(FileNotFoundError):  # finished, and gone
                run.save()


def _take_up(folder: Path, work: Path, identity: Mapping[str, Any], save_seconds: float) -> TrainingRun:
    if not (work / _RUN).is_file():
        _clear(work)
        run = TrainingRun(folder, work, identity, False, save_seconds)
        run.save()
        return run
    record = read_json(work / _RUN)
    other = [name for name in identity if record["run"].get(name) != identity[name]]
    if other:
        raise ModelError(
            f"{work} holds the work of another run (another {', another '.join(other)}): "
            "give the same command to continue it, or --fresh to start over"
        )
    return TrainingRun(folder, work, identity, True, save_seconds, record["decided"], record["seconds"])


def _clear(work: Path) -> None:
    for path in work.iterdir():
        if path.name != "lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
