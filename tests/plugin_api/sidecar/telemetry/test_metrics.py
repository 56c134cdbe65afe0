import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from plugin_api.search.reasons import Cause, Reason, RerankStatus
from plugin_api.search.report import RerankReport, StageTimes
from plugin_api.sidecar.telemetry.metrics import Metrics

TOOK = StageTimes(1.5, 9.0, 1.0)


def reranked(window: int, took: StageTimes) -> RerankReport:
    return RerankReport(RerankStatus.RERANKED, "v1", window=window, took_ms=took)


def not_reranked(cause: Cause) -> RerankReport:
    return RerankReport(cause.reason.status, "v1", cause.reason, cause.sentence)


def samples(metrics: Metrics) -> dict[str, float]:
    """Return what is exposed: name and labels → value."""
    text = metrics.exposition().decode()
    return {
        " ".join(
            (sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items())))
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_searches_are_counted_and_timed_by_stage() -> None:
    metrics = Metrics(["v1", "v2"])
    metrics.searched(reranked(100, TOOK), 0.012)
    metrics.searched(reranked(40, StageTimes(1.5, 9.0, 1.0, 3.0)), 0.012)
    late = Reason.DEADLINE.because(stage="scoring", milliseconds=5)
    metrics.searched(not_reranked(late), 0.4)
    metrics.searched(not_reranked(Reason.BUSY.because(limit=16)), 0.1)
    shown = samples(metrics)
    assert shown["attune_search_seconds_count rerank_status=reranked"] == 2
    assert shown["attune_search_seconds_count rerank_status=timeout"] == 1
    assert shown["attune_search_seconds_count rerank_status=shed"] == 1
    assert shown["attune_unranked_total reason=deadline rerank_status=timeout"] == 1
    assert shown["attune_unranked_total reason=busy rerank_status=shed"] == 1
    assert shown["attune_stage_seconds_count stage=search"] == 2
    assert shown["attune_stage_seconds_count stage=fetch"] == 1
    assert shown["attune_stage_seconds_sum stage=search"] == 0.018
    assert shown["attune_window_sum"] == 140
    assert shown["attune_model version=v1"] == shown["attune_model version=v2"] == 1


def test_what_callers_send_makes_no_new_series() -> None:
    metrics = Metrics(["v1"])
    before = len(samples(metrics))
    for number in range(1000):
        cause = Reason.UNSUPPORTED_QUERY.because(type=f"anything {number}")
        metrics.searched(not_reranked(cause), 0.1)
        metrics.passed(f"METHOD{number}", 200 + number % 5, 0.1)
    shown = samples(metrics)
    assert len(shown) - before < 30
    assert shown["attune_passed_seconds_count method=other status=2xx"] == 1000


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_label(reason: Reason) -> None:
    metrics = Metrics(["v1"])
    metrics.searched(RerankReport(reason.status, "v1", reason, "because"), 0.1)
    label = f"attune_unranked_total reason={reason.value} rerank_status={reason.status.value}"
    assert samples(metrics)[label] == 1


def test_counting_is_cheap() -> None:
    metrics = Metrics(["v1"])
    report = reranked(100, StageTimes(1.5, 9.0, 1.0, 3.0))
    began = time.perf_counter()
    for _ in range(2000):
        metrics.searched(report, 0.012)
    assert (time.perf_counter() - began) / 2000 < 0.0005  # 0.00001 measured where nothing else runs
