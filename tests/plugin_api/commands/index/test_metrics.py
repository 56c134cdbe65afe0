from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mappings.errors import SettingsError
from plugin_api.commands.index.metrics import SUCCESS_METRIC, JobMetrics


def metrics(path: Path) -> dict[str, float]:
    families = text_string_to_metric_families(path.read_text())
    return {
        of.name.removeprefix("attune_index_") + of.labels.get("outcome", ""): of.value
        for family in families
        for of in family.samples
        if (of.labels["alias"], of.labels["job"]) == ("mugs", "rebuild")
    }


def test_a_run_is_written_down(tmp_path: Path) -> None:
    path = tmp_path / "attune.prom"
    JobMetrics(path, "mugs", "rebuild").write_success({"indexed": 10, "rejected": 1, "index": "mugs-1"})
    found = metrics(path)
    assert (found["recordsindexed"], found["recordsrejected"], found["exit_status"]) == (10, 1, 0)
    assert found["duration_seconds"] >= 0
    assert found["last_success_timestamp_seconds"] > 1.7e9
    assert [of.name for of in tmp_path.iterdir()] == ["attune.prom"]


def test_a_failure_keeps_the_last_success(tmp_path: Path) -> None:
    path = tmp_path / "attune.prom"
    JobMetrics(path, "mugs", "rebuild").write_failure(1)
    assert metrics(path)[SUCCESS_METRIC.removeprefix("attune_index_")] == 0
    JobMetrics(path, "mugs", "rebuild").write_success({})
    success = metrics(path)["last_success_timestamp_seconds"]
    JobMetrics(path, "mugs", "rebuild").write_failure(3)
    found = metrics(path)
    assert (found["last_success_timestamp_seconds"], found["exit_status"]) == (success, 3)
    assert found["last_run_timestamp_seconds"] >= success


def test_differences_are_told_and_are_no_success(tmp_path: Path) -> None:
    path = tmp_path / "attune.prom"
    JobMetrics(path, "mugs", "rebuild").write_success({"missing": 3}, 1)
    found = metrics(path)
    assert (found["recordsmissing"], found["exit_status"], found["last_success_timestamp_seconds"]) == (
        3,
        1,
        0,
    )


def test_a_file_that_cant_be_written_is_named(tmp_path: Path) -> None:
    JobMetrics(None, "mugs", "rebuild").write_success({})
    with pytest.raises(SettingsError, match=r"none/a.prom can't be written"):
        JobMetrics(tmp_path / "none" / "a.prom", "mugs", "rebuild").write_success({})
