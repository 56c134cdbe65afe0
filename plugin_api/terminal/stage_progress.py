"""The progress of long stages: a bar each on a terminal, plain lines elsewhere, nothing where not wanted."""

import time
from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Report(Protocol):
    """Where one stage reports how far it is."""

    def __call__(self, done: int, total: int) -> None:
        """Note that `done` of `total` is done."""


class StageBars:
    """A bar for every stage on standard error, with the time left. A context manager."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, stage: str) -> Report:
        """Return the reporter of one stage, whose bar comes with its first report."""
        task: TaskID | None = None

        def report(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = self._progress.add_task(stage, total=total)
            self._progress.update(task, completed=done, total=total)

        return report


class StageLines:
    """Prints the progress of each stage, a line at every tenth, with the time since the start.

    They go to standard output, or with `err` to standard error.
    """

    def __init__(self, started: float, err: bool = False) -> None:
        self._started = started
        self._err = err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing to do: every line is out."""

    def __call__(self, stage: str) -> Report:
        """Return the reporter of one stage."""
        tenth = -1

        def report(done: int, total: int) -> None:
            nonlocal tenth
            if done * 10 // total != tenth:
                tenth = done * 10 // total
                minutes = (time.monotonic() - self._started) / 60
                click.echo(f"{minutes:5.1f} min  {stage}: {done:,} of {total:,}", err=self._err)

        return report
