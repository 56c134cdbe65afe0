"""What reaches OpenSearch, and what clients can't do to each other, through a whole sidecar."""

import gzip
import http.client
import json
import random
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes.certificates import Authority
from tests.fakes.echo_server import (
    PROMPT_SECONDS,
    Server,
    connected,
    echo_server,
    in_flight,
    status_of,
    talk,
    wait_until,
)
from tests.fakes.faulty_cluster import FaultyCluster, faulty_cluster
from tests.plugin_api.sidecar.test_through_the_sidecar import CLOSE, PROGRAM, Cluster, a_cluster, before

MOUSE = json.dumps({"query": {"match": {"title": "mouse"}}}).encode()


@pytest.fixture(scope="module")
def cluster() -> Iterator[FaultyCluster]:
    with faulty_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def sidecar(cluster: FaultyCluster) -> Iterator[Server]:
    settings = cluster.settings(deadline_ms=20_000)
    with echo_server(
        replace(settings, sidecar=replace(settings.sidecar, threads=4)), PROGRAM, quiet=True
    ) as server:
        yield server


@pytest.fixture(scope="module")
def recorder() -> Iterator[Cluster]:
    with a_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def recorded(recorder: Cluster) -> Iterator[Server]:
    with echo_server(before(recorder), PROGRAM) as server:
        yield server


def search(
    server: Server, body: bytes = MOUSE, path: str = "/shop/_search", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Send a search; return its status, the parsed answer, and the headers, names in lower case."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        kind = {"Content-Type": "application/json"}
        connection.request("POST", path, body, kind | {k.replace("__", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    named = {name.lower(): value for name, value in response.getheaders()}
    if named.get("content-encoding") == "gzip":
        content = gzip.decompress(content)
    return response.status, json.loads(content), named


def outcome(answer: Any) -> str:
    return str(answer["ext"]["attune"]["rerank_status"])


@pytest.mark.parametrize(
    "target",
    ["/shop/_doc/a%0Ab", "/shop/%5Fsearch", "/shop/_doc/1?x=1;y=2&z", "/%5fsearch", "/_doc/%e4?q=%zz"],
)
def test_targets_reach_opensearch_as_they_were_written(
    recorded: Server, recorder: Cluster, target: str
) -> None:
    assert status_of(talk(recorded.port, f"GET {target} HTTP/1.1\r\n".encode() + CLOSE)) == 200
    assert recorder.heads[-1][0] == f"GET {target} HTTP/1.1"


def test_headers_with_underscores_reach_opensearch_beside_those_with_hyphens(
    recorded: Server, recorder: Cluster
) -> None:
    names = b"session_id: a\r\nsession-id: b\r\nopendistro_security_impersonate_as: c\r\n"
    typed = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(MOUSE)
    for request in (
        b"GET /shop/_doc/1 HTTP/1.1\r\n" + names + CLOSE,
        b"POST /shop/_search?scroll=1m HTTP/1.1\r\n" + names + typed + CLOSE + MOUSE,
        b"POST /shop/_search HTTP/1.1\r\n" + names + typed + CLOSE + MOUSE,
    ):
        talk(recorded.port, request)
        came = {name.lower(): value for name, value in recorder.heads[-1][1]}
        assert came["session_id"] == "a"
        assert came["session-id"] == "b"
        assert came["opendistro_security_impersonate_as"] == "c"


def test_a_client_of_http_1_0_gets_no_chunks(recorded: Server, recorder: Cluster) -> None:
    response = talk(recorded.port, b"GET /shop/_doc/1 HTTP/1.0\r\nAccept-Encoding: gzip\r\nX-A: b\r\n\r\n")
    assert status_of(response) == 200
    assert b"chunked" not in response
    assert recorder.headers["x-a"] == "b"
    assert recorder.headers.get("accept-encoding", "identity") == "identity"


def test_parameters_may_be_separated_by_semicolons(sidecar: Server) -> None:
    _, answer, _ = search(sidecar, path="/shop/_search?size=1;from=1")
    assert outcome(answer) == "reranked"
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["b"]


def test_answers_are_compressed_for_who_accepts_it(cluster: FaultyCluster, sidecar: Server) -> None:
    aggregations = {"query": {"match": {"title": "mouse"}}, "ext": {"padding": "x" * 2000}}
    body = json.dumps({**aggregations, "size": 3}).encode()
    plain = search(sidecar, body)
    for accepted in ("gzip", "br;q=1.0, gzip;q=0.8"):
        status, answer, headers = search(sidecar, body, Accept__Encoding=accepted)
        assert (status, outcome(answer)) == (200, "reranked")
        assert answer["hits"] == plain[1]["hits"]
        assert (headers.get("content-encoding") == "gzip") == (len(json.dumps(answer)) > 1024)
    assert "content-encoding" not in search(sidecar, body, Accept__Encoding="gzip;q=0, br")[2]


def test_a_body_of_several_gzip_members_is_one_search(sidecar: Server) -> None:
    packed = gzip.compress(MOUSE[:20]) + gzip.compress(MOUSE[20:])
    _, answer, _ = search(sidecar, packed, Content__Encoding="gzip")
    assert outcome(answer) == "reranked"


def test_a_search_beyond_the_limit_goes_on_as_it_came(cluster: FaultyCluster) -> None:
    settings = cluster.settings()
    small = replace(settings, sidecar=replace(settings.sidecar, max_body_bytes=1000))
    with echo_server(small, PROGRAM) as server:
        for chunked in (False, True):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            body: Any = iter([MOUSE, b" " * 2000]) if chunked else MOUSE + b" " * 2000
            connection.request(
                "POST", "/shop/_search", body, {"Content-Type": "application/json"}, encode_chunked=chunked
            )
            response = connection.getresponse()
            assert response.getheader("x-attune-rerank-reason-code") == "body_too_large"
            assert [hit["_id"] for hit in json.loads(response.read())["hits"]["hits"]] == ["a", "b", "c"]
            connection.close()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"POST /shop/_search HTTP/1.1\r\nContent-Type: application/json\r\n", MOUSE),
        (
            b"POST /shop/_msearch?pre_filter_shard_size=1 HTTP/1.1\r\nContent-Type: application/x-ndjson\r\n",
            b"{}\n" + MOUSE + b"\n",
        ),
    ],
    ids=["in threads", "passed through"],
)
def test_who_hangs_up_holds_nobody_up(
    cluster: FaultyCluster, sidecar: Server, head: bytes, body: bytes
) -> None:
    cluster.held.clear()  # from here on OpenSearch does not answer
    try:
        asked = cluster.asked.count("gather")
        with ExitStack() as stack:
            for _ in range(4):  # as many as there are threads
                sock = stack.enter_context(connected(sidecar.port))
                sock.sendall(head + b"Host: shop\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            wait_until(lambda: cluster.asked.count("gather") == asked + 4)
            assert healthy(sidecar)
        wait_until(lambda: in_flight(sidecar) == 1, 15)  # the question itself: all others were given up
    finally:
        cluster.held.set()
    assert outcome(search(sidecar)[1]) == "reranked"


def test_half_sent_requests_hold_nobody_up(sidecar: Server) -> None:
    half = b"POST /shop/_search HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(connected(sidecar.port)).sendall(half)
        assert healthy(sidecar)
        assert outcome(search(sidecar)[1]) == "reranked"


def test_bodies_that_are_never_finished_take_little_memory(sidecar: Server) -> None:
    (worker,) = psutil.Process(sidecar.process.pid).children()
    before_all = worker.memory_info().rss
    head = b"POST /shop/_search HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n"
    head += b"Content-Type: application/json\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(40):
            sock = stack.enter_context(connected(sidecar.port))
            sock.settimeout(0.5)
            sock.sendall(head)
            try:
                for _ in range(80):
                    sock.sendall(b" " * 100_000)
            except TimeoutError:
                pass  # the sidecar takes no more of it for now
        assert worker.memory_info().rss - before_all < 250_000_000
        assert outcome(search(sidecar)[1]) == "reranked"


FUZZ = (
    b"",
    b"\x16\x03\x01\x02\x00\x01",
    b"GET / HTTP/1.1\r\n",
    b"POST /shop/_search HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /_attune/health HTTP/1.1\r\nHost: a\r\n\r\n",
)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_ten_thousand_broken_connections_kill_nothing(
    cluster: FaultyCluster, tmp_path: Path, secure: bool
) -> None:
    settings = cluster.settings(deadline_ms=20_000)
    context = None
    if secure:
        authority = Authority(tmp_path, "shop")
        signed = authority.sign("sidecar")
        tls = {"tls_certificate": str(signed.certificate), "tls_key": str(signed.key)}
        settings = replace(settings, sidecar=replace(settings.sidecar, **tls))  # type: ignore[arg-type]
        context = ssl.create_default_context(cafile=str(authority.certificate))
    chance = random.Random(7)
    with echo_server(settings, PROGRAM, quiet=True) as server:
        (worker,) = psutil.Process(server.process.pid).children()
        for number in range(5000):
            sock = socket.socket()
            if number % 2:  # reset, maybe before it is accepted
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.connect(("127.0.0.1", server.port))
            sent = chance.choice(FUZZ) if number % 3 else chance.randbytes(chance.randrange(200))
            if sent:
                sock.sendall(sent)
            sock.close()
        response = talk(server.port, b"GET /_attune/health HTTP/1.1\r\n" + CLOSE, context=context)
        assert status_of(response) == 200
        assert worker.is_running()
        assert [child.pid for child in psutil.Process(server.process.pid).children()] == [worker.pid]


def healthy(server: Server) -> bool:
    """Tell whether the health check is answered while its predecessors still hold their connections."""
    response = talk(server.port, b"GET /_attune/health HTTP/1.1\r\n" + CLOSE, PROMPT_SECONDS)
    return status_of(response) == 200
