"""How far a long job is: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

LINE_SECONDS = 10.0
"""Plain lines come this far apart."""


class JobProgress:
    """Progress on standard error, with records per second. Hidden, it prints nothing."""

    def __init__(self, doing: str, hidden: bool = False, terminal: bool | None = None) -> None:
        self._doing = doing
        self._hidden = hidden
        self._bar = sys.stderr.isatty() if terminal is None else terminal
        self._began = self._said = time.monotonic()
        self._progress = Progress(
            TextColumn(doing),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[records]:,}"),
            TextColumn("{task.fields[rate]:,.0f}/s"),
            TextColumn("time left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=hidden or not self._bar,
            transient=True,
        )
        self._task = self._progress.add_task(doing, total=1.0, records=0, rate=0.0)

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
        rate = records / max(now - self._began, 1e-9)
        self._progress.update(self._task, completed=share, records=records, rate=rate)
        if not self._bar and now - self._said >= LINE_SECONDS:
            self._said = now
            self.say(f"{self._doing}: {records:,} done, {share:.0%}, {rate:,.0f}/s")

    def waiting(self, why: str, seconds: float) -> None:
        """Say that OpenSearch is waited for."""
        self.say(f"waiting for OpenSearch, trying again in {seconds:.1f} s ({why})")

    def say(self, line: str) -> None:
        """Print one line beside the bar."""
        if self._hidden:
            return
        if self._bar:
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line, err=True)
