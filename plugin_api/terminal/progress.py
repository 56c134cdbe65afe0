"""The progress of long work: bars on a terminal, and plain lines where the output is not a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextmanager
def task_progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show one task on standard error while the block runs; without a terminal, show nothing.

    Yields a function that adds to the amount done. A `total` of 0 means that the amount is unknown.
    """
    columns = [SpinnerColumn(), TextColumn("{task.description}")]
    columns += [BarColumn(), TaskProgressColumn()] if total else []
    console = Console(stderr=True)
    bar = _bar(*columns, TimeElapsedColumn(), console=console, shown=console.is_terminal)
    with bar:
        task = bar.add_task(name, total=total or None)
        yield lambda amount: bar.advance(task, amount)


class JobProgress:
    """The progress of one job on standard error, with records per second. A context manager.

    A terminal gets a bar. Elsewhere a line is printed every `line_seconds`. Hidden, it prints nothing.
    """

    def __init__(
        self, name: str, hidden: bool = False, terminal: bool | None = None, line_seconds: float = 10.0
    ) -> None:
        self._name = name
        self._hidden = hidden
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._line_seconds = line_seconds
        self._started = self._last_line = time.monotonic()
        self._progress = _bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[records]:,}"),
            TextColumn("{task.fields[rate]:,.0f}/s"),
            TextColumn("time left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            shown=self._terminal and not hidden,
        )
        self._task = self._progress.add_task(name, total=1.0, records=0, rate=0.0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, records: int, share: float) -> None:
        """Show that `records` are done, which is `share` of all, 0..1."""
        now = time.monotonic()
        rate = records / max(now - self._started, 1e-9)
        self._progress.update(self._task, completed=share, records=records, rate=rate)
        if not self._terminal and now - self._last_line >= self._line_seconds:
            self._last_line = now
            self.say(f"{self._name}: {records:,} done, {share:.0%}, {rate:,.0f}/s")

    def waiting(self, why: str, seconds: float) -> None:
        """Say that the job waits for OpenSearch, why, and how many seconds until the next attempt."""
        self.say(f"waiting for OpenSearch, next attempt in {seconds:.1f} s ({why})")

    def say(self, line: str) -> None:
        """Print one line beside the bar."""
        if self._hidden:
            return
        if self._terminal:
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line, err=True)


class StageProgress:
    """The progress of work with several stages. A context manager.

    A terminal gets a bar for each stage. Elsewhere a line is printed at every tenth of a stage, with the
    minutes since the start.
    """

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._started = time.monotonic()
        self._progress = _bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            shown=terminal,
            transient=False,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, stage: str) -> Callable[[int, int], None]:
        """Return the function that reports (done, total) of one stage. Its first call shows the stage."""
        return self._bar(stage) if self._terminal else self._lines(stage)

    def _bar(self, stage: str) -> Callable[[int, int], None]:
        task: TaskID | None = None

        def report(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = self._progress.add_task(stage, total=total)
            self._progress.update(task, completed=done, total=total)

        return report

    def _lines(self, stage: str) -> Callable[[int, int], None]:
        tenth = -1

        def report(done: int, total: int) -> None:
            nonlocal tenth
            if done * 10 // total != tenth:
                tenth = done * 10 // total
                minutes = (time.monotonic() - self._started) / 60
                click.echo(f"{minutes:5.1f} min  {stage}: {done:,} of {total:,}", err=True)

        return report


def _bar(*columns: ProgressColumn, console: Console, shown: bool, transient: bool = True) -> Progress:
    return Progress(*columns, console=console, transient=transient, disable=not shown)
