import time

from prometheus_client.parser import text_string_to_metric_families

from plugin_api.search.query.request import PlainRequest, SearchCall, parse_call
from plugin_api.search.response import RERANKED, SHED, SKIPPED, TIMEOUT, Report, Took
from plugin_api.sidecar.telemetry.metrics import REASONS, Metrics, reason_class


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
    metrics.searched(Report(RERANKED, "v1", "", 100, Took(1.5, 9.0, 1.0)), 0.012)
    metrics.searched(Report(RERANKED, "v1", "", 40, Took(1.5, 9.0, 1.0, 3.0)), 0.012)
    metrics.searched(Report(TIMEOUT, "v1", "scoring passed the deadline of 5 ms"), 0.4)
    metrics.searched(
        Report(SHED, "v1", "16 searches are being reranked (sidecar.max_concurrent_reranks)"), 0.1
    )
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
        metrics.searched(Report(SKIPPED, "v1", f"anything {number}"), 0.1)
        metrics.passed(f"METHOD{number}", 200 + number % 5, 0.1)
    shown = samples(metrics)
    assert len(shown) - before < 30
    assert shown["attune_passed_seconds_count method=other status=2xx"] == 1000


def test_reasons_that_searches_really_give_have_their_classes() -> None:
    def found(body: bytes, **params: str) -> str:
        request = parse_call(SearchCall("shop", body, params))
        assert isinstance(request, PlainRequest)
        return reason_class(request.reason)

    query = b'"query": {"match": {"title": "mouse"}}'
    assert found(b"{%s}" % query, scroll="1m") == "own_order"
    assert found(b'{%s, "sort": ["price"]}' % query) == "own_order"
    assert found(b'{%s, "size": 0}' % query) == "no_hits"
    assert found(b'{%s, "size": -1}' % query) == "bad_page"
    assert found(b'{"query": {"match_all": {}}}') == "no_text"
    assert found(b'{%s, "ext": {"attune": {"rerank": false}}}' % query) == "not_asked"
    assert found(b"{") == "unread_body"
    assert len({name for _, name in REASONS}) < 20


def test_counting_is_cheap() -> None:
    metrics = Metrics(["v1"])
    report = Report(RERANKED, "v1", "", 100, Took(1.5, 9.0, 1.0, 3.0))
    began = time.perf_counter()
    for _ in range(2000):
        metrics.searched(report, 0.012)
    assert (time.perf_counter() - began) / 2000 < 0.0005  # 0.00001 measured where nothing else runs
