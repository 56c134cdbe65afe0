from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from indexer.catalogue.stats import CatalogueStats
from indexer.change.job import ChangesReport
from indexer.rebuild.background import EncodingSpeed
from indexer.rebuild.job import RebuildReport
from indexer.rebuild.verify import Difference, VerifyReport
from mappings.errors import AttuneError, CatalogueError, ClusterDown, SettingsError
from plugin_api.cli import attune
from plugin_api.commands.index.summary import summarize_changes, summarize_rebuild, summarize_verify

REPORT = RebuildReport("mugs-1", "mugs", "0123456789ab", 1000, 1000, 0, 3, 2, 4.0, 250.0, 0.95, 8_600_000)


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


@pytest.mark.parametrize(
    "arguments", [["a.csv", "--limit", "0"], ["a.csv", "--colour"], ["a.csv", "--follow", "0"]]
)
def test_wrong_options_exit_with_two(arguments: list[str]) -> None:
    result = CliRunner().invoke(attune, ["index", *arguments])
    assert result.exit_code == 2


def test_nothing_is_left_behind_when_the_cluster_is_down(catalogue: Path) -> None:
    with pytest.raises(ClusterDown):
        run(str(catalogue))
    assert [path.name for path in catalogue.parent.iterdir()] == ["mugs.csv"]


def test_what_does_not_go_together_is_wrong_use(catalogue: Path, tmp_path: Path) -> None:
    for arguments, why in [
        ([], "SOURCE is missing"),
        (["--reencode", str(catalogue)], "leave SOURCE out"),
        (["-"], "standard input is for changes"),
        ([str(catalogue), "--metrics", str(tmp_path / "m.txt")], "end in .prom"),
        (["--table", "products"], "ATTUNE_DATABASE_URL"),
        (["sqlite://", "--table", "a", "--query", "select 1"], "one of the two"),
    ]:
        with pytest.raises(SettingsError, match=why):
            run(*arguments)


def test_the_summary_of_a_rebuild() -> None:
    text = summarize_rebuild(REPORT, CatalogueStats(), None, Path("mugs.csv.rejects.jsonl"), None)
    assert "1,000 products in 4.0 s (250 a second) into mugs-1" in text
    assert "8.6 MB, 8.6 kB a product" in text
    assert "3 rejected, 2 duplicates; see mugs.csv.rejects.jsonl" in text
    assert "rollback" not in text
    assert "Encoded" not in text
    clean = replace(
        REPORT, rejected=0, duplicates=0, encoded=10, changes_copied=5, resumed=True, kept=("mugs-0",)
    )
    stats = CatalogueStats(records=20)
    stats.add_unreadable("price", 7, "soon")
    text = summarize_rebuild(
        clean, stats, EncodingSpeed(0.41, 0.8), Path("mugs.csv.rejects.jsonl"), Path("shop-model")
    )
    assert "see" not in text
    assert "price could not be read in 1 of 20 records" in text
    assert "encoding got 41% of what it can use" in text
    assert "continuing an unfinished run" in text
    assert "Encoded 10; the other 990 had vectors" in text
    assert "5 changes made since" in text
    assert "To return to mugs-0: attune rollback --alias mugs" in text
    assert "attune serve --model shop-model" in text


def test_the_summary_of_changes() -> None:
    report = ChangesReport("mugs-1", "mugs", "m", 10, 4, 3, 1, 2, 1, 1, 1, 5, 1, 2.0, 5.0, 3)
    text = summarize_changes(report, Path("r.jsonl"), dry=False)
    assert (
        "Applied 8 of 10 changes to mugs-1 in 2.0 s (5 a second): 4 whole products, 3 partial, 1 deleted"
        in text
    )
    assert "Skipped: 1 older than the index, 1 in it already." in text
    assert "1 rejected; see r.jsonl" in text
    assert "5 cells could not be read" in text
    assert "older than the catalogue: 3 changes without a version count" in text
    assert summarize_changes(report, Path("r.jsonl"), dry=True).startswith("Would apply 8 of 10")


def test_one_of_a_kind_is_in_the_singular() -> None:
    changes = ChangesReport("mugs-1", "mugs", "m", 1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1.0, 1.0, 1)
    text = summarize_changes(changes, Path("r.jsonl"), dry=False)
    assert "Applied 1 of 1 change to mugs-1 in 1.0 s (1 a second): 1 whole product, 0 partial" in text
    assert "1 change without a version counts as made just after it." in text
    assert "1 cell could not be read" in text
    verified = summarize_verify(
        VerifyReport("mugs-1", products=1, same=1, rejected=1, duplicates=1), dry=True
    )
    assert verified.startswith(
        "1 product in the catalogue; 1 the same in mugs-1.\nLeft out: 1 rejected, 1 duplicate."
    )
    rebuild = summarize_rebuild(
        replace(REPORT, indexed=1, encoded=1), CatalogueStats(), None, Path("r"), None
    )
    assert rebuild.startswith("Indexed 1 product in ")


def test_the_summary_of_a_comparison() -> None:
    found = VerifyReport(
        "mugs-1", products=100, same=70, newer=2, deleted=1, missing=26, extra=1, to_encode=26
    )
    found.examples = [Difference("missing", str(n), f"line {n}") for n in range(20)]
    text = summarize_verify(found, dry=False)
    assert "100 products in the catalogue; 70 the same in mugs-1, 2 changed since, 1 deleted." in text
    assert "26 missing in the index:\n  0: line 0\n" in text
    assert "  and 6 more" in text
    assert "1 only in the index" in text
    assert "add 26, change 0 and drop 1 product, and encode 26. Nothing" in summarize_verify(found, dry=True)
    equal = summarize_verify(VerifyReport("mugs-1", products=1, same=1), dry=False)
    assert equal.endswith("Catalogue and index are equal.")
    changed = summarize_verify(VerifyReport("mugs-1", products=2, newer=1, deleted=1), dry=False)
    assert changed.endswith("Catalogue and index are equal except for later changes.")
