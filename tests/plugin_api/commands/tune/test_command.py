import pytest
from click.testing import CliRunner

from mappings.errors import ClusterDown
from mappings.settings import TunedSettings
from plugin_api.commands.context import CommandContext
from plugin_api.commands.tune.command import tune
from plugin_api.commands.tune.table import print_tuning
from plugin_api.tuning.report import KindFigures, TriedSetting, TuningReport
from reranker.probes.choice import Verdict

KINDS = (
    KindFigures("head", 60, 0.5, 0.4, 0.6, 0.7, Verdict.BETTER),
    KindFigures("price", 40, 0.5, 0.4, 0.4, 0.4, Verdict.NOT_BETTER),
    KindFigures("size", 3, 0.5, 0.4, 0.4, 0.4, Verdict.OPEN),
)
TRIED = (TriedSetting("window", {"100": 0.6, "200": 0.65}, "100", "200"),)
REPORT = TuningReport(
    "shop", 103, 9.0, None, TunedSettings(window=200, keep_order="price"), TRIED, KINDS
)  # fmt: skip


def test_each_kind_is_told_with_its_figures_and_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    print_tuning(REPORT, recorded=True)
    printed = " ".join(capsys.readouterr().out.split())
    assert "head 60 0.500 0.400 0.600 0.700 better than keyword search" in printed
    assert "price 40 0.500 0.400 0.400 0.400 nothing better found: OpenSearch's order is kept" in printed
    assert "size 3 0.500 0.400 0.400 0.400 no difference shown" in printed
    assert "window: 100 0.600, 200 0.650" in printed
    assert "search.window = 200 search.keep_order = price" in printed
    assert "attune tune --reset --alias shop" in printed


def test_a_dry_run_says_that_nothing_changed(capsys: pytest.CaptureFixture[str]) -> None:
    print_tuning(REPORT, recorded=False)
    assert "Nothing was changed" in capsys.readouterr().out


def test_a_catalogue_that_tells_nothing_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    print_tuning(TuningReport("shop", 3, 1.0), recorded=True)
    assert "Too few queries" in capsys.readouterr().out


def test_the_record_says_what_the_report_says() -> None:
    record = REPORT.as_json()
    assert record["settings"] == {"window": 200, "keep_order": "price"}
    assert [kind["verdict"] for kind in record["kinds"]] == ["better", "not better", "open"]


def test_wrong_use_exits_with_2() -> None:
    result = CliRunner().invoke(tune, ["--dry-run", "--reset"], obj=CommandContext(None))
    assert (result.exit_code, "exclude each other" in result.stderr) == (2, True)


def test_without_a_cluster_there_is_nothing_to_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_OPENSEARCH_URL", "http://127.0.0.1:9")
    assert isinstance(CliRunner().invoke(tune, [], obj=CommandContext(None)).exception, ClusterDown)
