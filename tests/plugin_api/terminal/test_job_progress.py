import json

import pytest

from plugin_api.terminal.job_progress import JobProgress


def test_the_bar_shows_rate_and_share_and_hidden_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with JobProgress("indexing", hidden=True, terminal=True) as progress:
        progress.show(500, 0.5)
        progress.waiting("no answer", 1.0)
        task = progress._progress.tasks[0]
        assert (task.completed, task.fields["records"]) == (0.5, 500)
        assert task.fields["rate"] > 0
    assert json.dumps(capsys.readouterr()) == '["", ""]'


def test_elsewhere_than_on_a_terminal_there_are_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with JobProgress("indexing", terminal=False) as progress:
        progress.show(1, 0.1)
        monkeypatch.setattr("plugin_api.terminal.job_progress.LINE_SECONDS", 0.0)
        progress.show(2000, 0.5)
        progress.waiting("counting: no answer", 1.5)
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("indexing: 2,000 done, 50%, ")
    assert second == "waiting for OpenSearch, trying again in 1.5 s (counting: no answer)"
