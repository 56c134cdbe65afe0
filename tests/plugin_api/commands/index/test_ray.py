"""`attune index --engine ray`: what it says where it can't go on. What it does is in tests/integration."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mappings.errors import SettingsError
from mappings.settings import Settings
from plugin_api.cli import attune
from plugin_api.commands.index.run import IndexRun
from plugin_api.commands.index.sources import IndexOptions
from plugin_api.terminal import JobProgress


@pytest.mark.parametrize("mode", ["--changes", "--verify", "--dry-run"])
def test_the_engine_is_for_rebuilds(tmp_path: Path, mode: str) -> None:
    (tmp_path / "mugs.csv").write_text("id,title\n1,Mug\n")
    with pytest.raises(SettingsError, match="--engine ray is for rebuilds"):
        CliRunner().invoke(
            attune, ["index", str(tmp_path / "mugs.csv"), mode, "--engine", "ray"], catch_exceptions=False
        )


def test_a_missing_ray_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "indexer.ray.engine", raising=False)
    monkeypatch.delitem(sys.modules, "indexer.ray.batch_queue", raising=False)
    run = IndexRun(Settings(), IndexOptions("mugs.csv", "mugs", engine="ray"))
    with pytest.raises(SettingsError, match=r"pip install 'attune\[ray\]'"):
        run._make_engine(JobProgress("indexing", hidden=True))
