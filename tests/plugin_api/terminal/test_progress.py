import io
import itertools

import pytest

from plugin_api.terminal import JobProgress, StageProgress, output_console, task_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal_on_stderr(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Call it in the test itself: between fixtures and test pytest sets standard error anew."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stderr", terminal)
    return terminal


def test_a_terminal_gets_a_bar_with_rate_and_share(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_on_stderr(monkeypatch)
    with JobProgress("indexing") as progress:
        progress.show(500, 0.5)
        progress.waiting("no answer", 1.0)
    shown = terminal.getvalue()
    assert "indexing" in shown
    assert "50%" in shown
    assert "500" in shown
    assert "waiting for OpenSearch, next attempt in 1.0 s (no answer)" in shown


def test_a_hidden_job_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for terminal in (True, False):
        with JobProgress("indexing", hidden=True, terminal=terminal, line_seconds=0.0) as progress:
            progress.show(500, 0.5)
            progress.waiting("no answer", 1.0)
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_there_are_plain_lines_at_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    with JobProgress("indexing", terminal=False, line_seconds=3600.0) as progress:
        progress.show(1, 0.1)
    with JobProgress("indexing", terminal=False, line_seconds=0.0) as progress:
        progress.show(2000, 0.5)
        progress.waiting("counting: no answer", 1.5)
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("indexing: 2,000 done, 50%, ")
    assert second == "waiting for OpenSearch, next attempt in 1.5 s (counting: no answer)"


def test_stages_are_lines_at_every_tenth_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress(terminal=False) as stages:
        report = stages("encoding")
        for done in range(101):
            report(done, 100)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split("min  ")[1] for line in err.splitlines()] == [
        f"encoding: {done} of 100" for done in range(0, 101, 10)
    ]


def test_stages_are_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_on_stderr(monkeypatch)
    with StageProgress(terminal=True) as stages:
        for stage, done in itertools.product(("encoding", "training"), (1, 2)):
            stages(stage)(done, 2)
    assert "encoding" in terminal.getvalue()
    assert "2 of 2" in terminal.getvalue()


def test_a_task_shows_its_name_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = terminal_on_stderr(monkeypatch)
    with task_progress("unpacking", 2) as advance:
        advance(1)
    assert "unpacking" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_output_that_goes_to_no_terminal_has_a_fixed_width() -> None:
    assert output_console().width == 100
    assert output_console(130).width == 130
