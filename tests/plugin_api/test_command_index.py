import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from indexer.job import IndexReport
from indexer.job import Progress as JobProgress
from mappings.errors import AttuneError, CatalogueError, ClusterDown, SettingsError
from plugin_api.cli import attune
from plugin_api.commands.index import Bar, summary

REPORT = IndexReport("mugs-1", "mugs", "0123456789ab", 1000, 3, 2, 4.0, 250.0, 8_600_000)


def run(*arguments: str) -> None:
    CliRunner().invoke(attune, ["index", *arguments], catch_exceptions=False)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "mugs.csv"
    path.write_text("id,title\n1,Mug\n")
    return path


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_OPENSEARCH_URL", "http://localhost:9")


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("none.csv", None, CatalogueError),
        ("a.xlsx", "", CatalogueError),
        ("a.csv", "", CatalogueError),
        ("a.csv", "a,b\n", CatalogueError),
        ("a.csv", "id,title\n1,Mug\n", ClusterDown),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, name: str, text: str | None, error: type[AttuneError]
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(error) as raised:
        run(str(tmp_path / name))
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1


def test_a_wrong_map_is_wrong_use(catalogue: Path) -> None:
    (catalogue.parent / "map.toml").write_text('id = "sku"\ntitle = "title"')
    with pytest.raises(SettingsError, match="no column sku; it has id, title") as raised:
        run(str(catalogue), "--fields", str(catalogue.parent / "map.toml"))
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("arguments", [[], ["a.csv", "--limit", "0"], ["a.csv", "--colour"]])
def test_wrong_options_exit_with_two(arguments: list[str]) -> None:
    result = CliRunner().invoke(attune, ["index", *arguments])
    assert result.exit_code == 2


def test_nothing_is_left_behind_when_the_cluster_is_down(catalogue: Path) -> None:
    with pytest.raises(ClusterDown):
        run(str(catalogue))
    assert [path.name for path in catalogue.parent.iterdir()] == ["mugs.csv"]


def test_the_summary_names_the_reject_file_only_when_there_is_one() -> None:
    text = summary(REPORT, Path("mugs.csv.rejects.jsonl"))
    assert "1,000 products in 4.0 s (250 products/s) into mugs-1" in text
    assert "8.6 MB, 8.6 kB a product" in text
    assert "3 rejected, 2 duplicates; see mugs.csv.rejects.jsonl" in text
    clean = IndexReport("mugs-1", "mugs", "0123456789ab", 1000, 0, 0, 4.0, 250.0, 8_600_000)
    assert "see" not in summary(clean, Path("mugs.csv.rejects.jsonl"))


def test_the_bar_shows_rate_and_share_and_hidden_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar(hidden=True) as bar:
        bar.show(JobProgress(500, 0.5))
        task = bar._progress.tasks[0]
        assert (task.completed, task.fields["products"]) == (0.5, 500)
        assert task.fields["rate"] > 0
    assert json.dumps(capsys.readouterr()) == '["", ""]'
