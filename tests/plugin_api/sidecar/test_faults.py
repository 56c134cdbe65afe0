"""Never worse: each part is slowed, broken and killed, and OpenSearch's own hits come, with a reason."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest

from plugin_api.search.memory.circuit_breaker import FAILURES_TO_OPEN
from tests.fakes.echo_server import Server, wait_until
from tests.fakes.faulty_cluster import (
    OPEN_SECONDS,
    PIECE,
    Fault,
    FaultyCluster,
    faulty_cluster,
    sidecar_before,
)

NUMBERS = itertools.count()
OWN, RERANKED = ["a", "b", "c"], ["c", "b", "a"]
LATE = 3.0
"""Seconds; the deadline is 0.6."""

FAULTS = {
    "headers come late": (Fault(late_headers=LATE), "timeout", "did not answer within the deadline of"),
    "the body comes late": (Fault(late_body=LATE), "timeout", "did not answer within the deadline of"),
    "the body trickles": (Fault(trickles=True), "timeout", "did not answer within the deadline of"),
    "the connection breaks": (Fault(breaks_off=True), "failed", "broke the connection"),
    "the JSON ends early": (Fault(cut_short=True), "failed", ""),
    "no JSON at all": (Fault(text=b"<html>at your service</html>"), "failed", ""),
    "JSON of something else": (Fault(text=b'{"acknowledged":true}'), "failed", ""),
    "too many requests": (Fault(status=429), "failed", "OpenSearch answered 429: fault_exception: as told"),
    "an error inside": (Fault(status=500), "failed", "OpenSearch answered 500: fault_exception: as told"),
    "out of service": (Fault(status=503), "failed", "OpenSearch answered 503: fault_exception: as told"),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FaultyCluster, Server]]:
    with faulty_cluster() as cluster, sidecar_before(cluster) as server:
        yield cluster, server


@pytest.fixture
def cluster(shared: tuple[FaultyCluster, Server]) -> Iterator[FaultyCluster]:
    yield shared[0]
    shared[0].faults.clear()


@pytest.fixture
def sidecar(shared: tuple[FaultyCluster, Server], cluster: FaultyCluster) -> Server:
    return shared[1]


def mouse() -> dict[str, Any]:
    """Return a search like no other before, so that no ranking of it is cached."""
    return {"query": {"match": {"title": f"mouse {next(NUMBERS)}"}}}


def ask(
    server: Server, method: str = "POST", path: str = "/shop/_search", body: Any = None
) -> tuple[int, Any]:
    body = mouse() if body is None else body
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    return response.status, json.loads(text) if path != "/_attune/metrics" else text.decode()


def hits(answer: Any) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def report(answer: Any) -> tuple[str, str]:
    attune = answer["ext"]["attune"]
    return attune["rerank_status"], attune.get("reason", "")


def counted(server: Server, line: str) -> float:
    """The value of a metric, 0 where it is not there."""
    _, text = ask(server, "GET", "/_attune/metrics")
    return next(
        (float(found.rpartition(" ")[2]) for found in text.splitlines() if found.startswith(line)), 0.0
    )


def is_error(answer: Any, status: int) -> bool:
    cause = {key: answer["error"][key] for key in ("type", "reason")}
    return bool(answer["status"] == status and answer["error"]["root_cause"] == [cause])


def reranked_again(server: Server) -> None:
    """Without a restart."""
    status, answer = ask(server)
    assert (status, report(answer)[0], hits(answer)) == (200, "reranked", RERANKED)


@pytest.mark.parametrize("part", ["gather", "fetch", "cached"])
@pytest.mark.parametrize("how", FAULTS)
def test_reranking_that_fails_leaves_opensearchs_hits(
    cluster: FaultyCluster, sidecar: Server, how: str, part: str
) -> None:
    fault, status, reason = FAULTS[how]
    body = mouse()
    for _ in range(2 if part == "cached" else 0):
        ask(sidecar, body=body)
    cluster.faults[part] = fault
    before = counted(sidecar, f'attune_search_seconds_count{{rerank_status="{status}"}}')
    code, answer = ask(sidecar, body=body)
    assert (code, hits(answer), report(answer)[0]) == (200, OWN, status)
    assert reason in report(answer)[1]
    assert report(answer)[1]
    assert counted(sidecar, f'attune_search_seconds_count{{rerank_status="{status}"}}') == before + 1
    cluster.faults.clear()
    reranked_again(sidecar)


def test_reasons_are_counted_by_class(cluster: FaultyCluster, sidecar: Server) -> None:
    for how, name in (("headers come late", "opensearch_late"), ("out of service", "opensearch_error")):
        fault, status, _ = FAULTS[how]
        line = f'attune_unranked_total{{reason="{name}",rerank_status="{status}"}}'
        before = counted(sidecar, line)
        cluster.faults["gather"] = fault
        ask(sidecar)
        assert counted(sidecar, line) == before + 1
    cluster.faults.clear()
    reranked_again(sidecar)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_error_of_the_whole_cluster_is_its_own(
    cluster: FaultyCluster, sidecar: Server, status: int
) -> None:
    cluster.faults |= dict.fromkeys(("gather", "fetch", "first"), Fault(status=status))
    for _ in range(FAILURES_TO_OPEN + 1):
        code, answer = ask(sidecar)
        assert code == status
        assert is_error(answer, status)
        assert answer["error"]["type"] == "fault_exception"
    cluster.faults.clear()
    reranked_again(sidecar)  # it was no fault of reranking's: that never rested


def test_a_cluster_that_breaks_every_connection_is_an_error_in_its_shape(
    cluster: FaultyCluster, sidecar: Server
) -> None:
    cluster.faults |= dict.fromkeys(("gather", "fetch", "first"), Fault(breaks_off=True))
    code, answer = ask(sidecar)
    assert code == 503
    assert is_error(answer, 503)
    assert answer["error"]["type"] == "cluster_down_exception"
    cluster.faults.clear()
    reranked_again(sidecar)


def test_the_first_stage_takes_the_time_it_takes(cluster: FaultyCluster, sidecar: Server) -> None:
    cluster.faults |= {"gather": Fault(late_headers=LATE), "first": Fault(late_headers=1.0, late_body=0.5)}
    code, answer = ask(sidecar)
    assert (code, hits(answer), report(answer)[0]) == (200, OWN, "timeout")


def test_what_is_passed_through_has_no_deadline(cluster: FaultyCluster, sidecar: Server) -> None:
    cluster.faults["first"] = Fault(late_headers=1.0, late_body=0.5)
    assert ask(sidecar, "GET", "/shop/_doc/1") == (200, {"acknowledged": True})


def test_an_answer_that_breaks_off_never_looks_whole(cluster: FaultyCluster, sidecar: Server) -> None:
    cluster.faults["first"] = Fault(breaks_off=True)
    code, answer = ask(sidecar, "GET", "/shop/_doc/1")
    assert code == 503
    assert is_error(answer, 503)
    cluster.shop.other, whole = replace(cluster.shop.other, body=PIECE * 20), cluster.shop.other
    try:
        with pytest.raises(http.client.IncompleteRead):
            ask(sidecar, "GET", "/shop/_doc/1")
    finally:
        cluster.shop.other = whole


def test_a_template_that_is_rendered_late_goes_on_as_it_came(cluster: FaultyCluster, sidecar: Server) -> None:
    cluster.faults["first"] = Fault(late_headers=0.8)
    code, answer = ask(sidecar, path="/shop/_search/template", body={"source": mouse()})
    assert (code, answer) == (200, {"acknowledged": True})


def test_lists_of_searches_fall_back_one_by_one(cluster: FaultyCluster, sidecar: Server) -> None:
    cluster.faults["gather"] = Fault(status=500)
    connection = http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=30)
    lines = (b"{}\n" + json.dumps(mouse()).encode() + b"\n") * 2
    connection.request("POST", "/shop/_msearch", lines, {"Content-Type": "application/x-ndjson"})
    answers = json.loads(connection.getresponse().read())["responses"]
    connection.close()
    assert [(hits(answer), report(answer)[0]) for answer in answers] == [(OWN, "failed")] * 2


def test_what_keeps_failing_rests_and_comes_back(cluster: FaultyCluster, sidecar: Server) -> None:
    reranked_again(sidecar)
    cluster.faults["gather"] = Fault(status=500)
    for _ in range(FAILURES_TO_OPEN):
        assert report(ask(sidecar)[1])[0] == "failed"
    assert counted(sidecar, "attune_circuits_open") == 1
    asked = cluster.asked.count("gather")
    _, answer = ask(sidecar)
    assert (hits(answer), report(answer)[0]) == (OWN, "skipped")
    assert "failed 5 times in a row, the last time because OpenSearch answered 500" in report(answer)[1]
    assert cluster.asked.count("gather") == asked
    assert counted(sidecar, 'attune_unranked_total{reason="circuit_open",rerank_status="skipped"}') >= 1
    cluster.faults.clear()
    time.sleep(OPEN_SECONDS)
    reranked_again(sidecar)
    assert counted(sidecar, "attune_circuits_open") == 0


def test_a_slow_cluster_rests_as_well(cluster: FaultyCluster, sidecar: Server) -> None:
    cluster.faults["gather"] = Fault(late_headers=LATE)
    for _ in range(FAILURES_TO_OPEN):
        assert report(ask(sidecar)[1])[0] == "timeout"
    began = time.monotonic()
    _, answer = ask(sidecar)
    assert (hits(answer), report(answer)[0]) == (OWN, "skipped")
    assert time.monotonic() - began < LATE  # nothing was waited for
    cluster.faults.clear()
    time.sleep(OPEN_SECONDS)
    reranked_again(sidecar)


def test_what_is_too_much_is_shed_before_it_queues() -> None:
    with (
        faulty_cluster() as cluster,
        sidecar_before(cluster, reranks=2, deadline_ms=20_000) as server,
    ):
        reranked_again(server)
        cluster.held.clear()
        asked = cluster.asked.count("gather")
        answers: list[Any] = []
        threads = [threading.Thread(target=lambda: answers.append(ask(server)[1])) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: cluster.asked.count("gather") == asked + 2)
        for _ in range(3):
            code, answer = ask(server)
            assert (code, hits(answer), report(answer)[0]) == (200, OWN, "shed")
            assert "sidecar.max_concurrent_reranks" in report(answer)[1]
        cluster.held.set()
        for thread in threads:
            thread.join()
        assert [hits(answer) for answer in answers] == [RERANKED] * 2
        assert counted(server, 'attune_unranked_total{reason="busy",rerank_status="shed"}') == 3
        reranked_again(server)


def test_a_killed_worker_is_replaced_and_only_its_own_requests_are_lost() -> None:
    with faulty_cluster() as cluster, sidecar_before(cluster, deadline_ms=20_000) as server:
        reranked_again(server)
        (worker,) = psutil.Process(server.process.pid).children()
        cluster.held.clear()
        asked = cluster.asked.count("gather")
        lost: list[Exception] = []

        def run() -> None:
            try:
                ask(server)
            except (OSError, http.client.HTTPException) as error:
                lost.append(error)

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: cluster.asked.count("gather") == asked + 3)
        worker.kill()
        for thread in threads:
            thread.join()
        assert len(lost) == 3
        cluster.held.set()
        reranked_again(server)  # it waits in the listener's queue for the new worker


@pytest.mark.parametrize("way", ["up", "down"])
def test_bodies_of_hundreds_of_megabytes_take_no_memory(
    cluster: FaultyCluster, sidecar: Server, way: str
) -> None:
    pieces = 4600  # of 64 KB: 301 MB
    (worker,) = psutil.Process(sidecar.process.pid).children()
    before, highest = worker.memory_info().rss, 0
    connection = http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=60)
    up, down = (pieces, 0) if way == "up" else (0, pieces)
    connection.putrequest("PUT", f"/long/_doc?pieces={down}")
    connection.putheader("Content-Length", str(up * len(PIECE)))
    connection.endheaders()
    for number in range(up):
        connection.send(PIECE)
        if number % 200 == 0:
            highest = max(highest, worker.memory_info().rss)
    response = connection.getresponse()
    received = 0
    while piece := response.read(len(PIECE)):
        received += len(piece)
        if received % (200 * len(PIECE)) == 0:
            highest = max(highest, worker.memory_info().rss)
    connection.close()
    assert (response.getheader("x-came"), received) == (str(up * len(PIECE)), down * len(PIECE))
    assert highest - before < 60_000_000
    reranked_again(sidecar)
