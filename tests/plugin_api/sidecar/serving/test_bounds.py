"""What a client sends without an end, or asks for and never takes, is bounded."""

import asyncio
import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest

from plugin_api.opensearch.memory_budget import FREE_BYTES, MemoryBudget
from plugin_api.sidecar.serving.guard import SlowReaders
from tests.fakes.echo_server import (
    Server,
    connected,
    echo_server,
    in_flight,
    rest_of,
    status_of,
    talk,
    wait_until,
)
from tests.fakes.faulty_cluster import Fault, FaultyCluster, faulty_cluster
from tests.plugin_api.sidecar.test_through_the_sidecar import CLOSE, PROGRAM

HOST = b"Host: shop\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"POST /shop/_search HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
MOUSE = json.dumps({"query": {"match": {"title": "mouse"}}}).encode()
SLOW = b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[FaultyCluster]:
    with faulty_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def sidecar(cluster: FaultyCluster) -> Iterator[Server]:
    with echo_server(cluster.settings(deadline_ms=20_000), PROGRAM, quiet=True) as server:
        yield server


@pytest.fixture
def hung(cluster: FaultyCluster) -> Iterator[None]:
    """OpenSearch takes half a minute for all that is no search."""
    cluster.faults["first"] = Fault(late_headers=30.0)
    yield
    cluster.faults.clear()


def flood(server: Server, start: bytes, piece: bytes) -> bytes:
    """Send a start and 100 MB of a piece, unless the server closes before; return its answer, if any."""
    with connected(server.port) as sock:
        with suppress(OSError):
            sock.sendall(start)
            for _ in range(100 * MEGABYTE // len(piece)):
                sock.sendall(piece)
        with suppress(OSError):
            return rest_of(sock)
    return b""


ENDLESS = {
    "headers": (b"GET / HTTP/1.1\r\n" + HOST, b"a:b\r\n" * 1000),
    "one header": (b"GET / HTTP/1.1\r\n" + HOST + b"a: ", b"b" * 5000),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"a:b\r\n" * 1000),
    "one trailer": (CHUNKED + b"2\r\n{}\r\n0\r\na: ", b"b" * 5000),
    "headers of the next request": (SLOW + b"GET / HTTP/1.1\r\n", b"a:b\r\n" * 1000),
    "one header of the next request": (SLOW + b"GET / HTTP/1.1\r\na: ", b"b" * 5000),
    "next requests": (SLOW, b"GET / HTTP/1.1\r\n\r\n" * 300),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_has_no_end_is_cut_off_early(sidecar: Server, hung: None, name: str) -> None:
    (worker,) = psutil.Process(sidecar.process.pid).children()
    before = worker.memory_info().rss
    start, piece = ENDLESS[name]
    answer = flood(sidecar, start, piece)
    assert not answer or status_of(answer) in (400, 431)
    assert worker.memory_info().rss - before < 20 * MEGABYTE


def test_a_hundred_headers_pass_and_a_hundred_and_one_do_not(sidecar: Server) -> None:
    for count, status in ((99, 200), (100, 431)):  # and Host
        head = b"GET /_attune/health HTTP/1.1\r\nConnection: close\r\n" + b"a:b\r\n" * (count - 1) + HOST
        assert status_of(talk(sidecar.port, head + b"\r\n")) == status


def test_who_hangs_up_behind_two_requests_leaves_nothing_in_hand(sidecar: Server, hung: None) -> None:
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connected(sidecar.port)).sendall(SLOW + SLOW)
        wait_until(lambda: in_flight(sidecar) >= 6)
    wait_until(lambda: in_flight(sidecar) == 1, 15)  # the question itself


def test_nobody_takes_all_connections_by_requests_that_last(cluster: FaultyCluster, hung: None) -> None:
    few = """
from plugin_api.sidecar.serving.protocol import ClientProtocol
ClientProtocol.most_connections = 20
"""
    settings = cluster.settings(deadline_ms=20_000)
    with echo_server(settings, few + PROGRAM, quiet=True) as server, ExitStack() as stack:
        socks = [stack.enter_context(connected(server.port)) for _ in range(40)]
        for sock in socks:
            with suppress(OSError):
                sock.sendall(SLOW)
        for _ in range(3):
            assert status_of(talk(server.port, b"GET /_attune/health HTTP/1.1\r\n" + CLOSE)) == 200


def test_large_answers_wait_for_few_readers_at_a_time() -> None:
    async def read_slowly() -> list[str]:
        readers, release, outcomes = SlowReaders(limit=3, seconds=0.05), asyncio.Event(), []

        async def reader(name: str) -> None:
            try:
                async with asyncio.timeout(60) as limit, readers.wait(limit):
                    await release.wait()
                outcomes.append(f"{name} served")
            except TimeoutError:
                outcomes.append(f"{name} cut off")

        async with asyncio.TaskGroup() as tasks:
            for name in "abc":
                tasks.create_task(reader(name))
            await asyncio.sleep(0.1)
            for name in "de":
                tasks.create_task(reader(name))
            while len(outcomes) < 2:
                await asyncio.sleep(0.01)
            release.set()
        return outcomes

    assert asyncio.run(read_slowly()) == ["a cut off", "b cut off", "c served", "d served", "e served"]


def test_a_burst_of_readers_is_served() -> None:
    async def read() -> None:
        readers = SlowReaders(limit=3, seconds=60)

        async def reader() -> None:
            async with asyncio.timeout(60) as limit, readers.wait(limit):
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(30):
                tasks.create_task(reader())

    asyncio.run(read())


def test_a_budget_of_memory_is_shared_and_given_back() -> None:
    budget = MemoryBudget(1000)
    small, large, other = (budget.open_account() for _ in range(3))
    assert small.take(FREE_BYTES)  # free
    assert large.take(FREE_BYTES + 900)
    assert not small.take(200)
    assert small.take(100)
    assert other.take(FREE_BYTES)
    large.close()
    assert not large.take(1)  # what still runs for a request that has ended holds nothing
    assert small.take(900)
    small.close()
    small.close()
    assert other.take(1000)
    assert not other.take(1)


def test_large_own_requests_are_refused_for_now_where_there_is_no_room(sidecar: Server) -> None:
    head = b"POST /v1/rerank HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 9900000\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(4):
            sock = stack.enter_context(connected(sidecar.port))
            sock.settimeout(0.5)
            with suppress(OSError):
                sock.sendall(head + b" " * 9_000_000)
        body = json.dumps({"query": "mouse", "documents": ["m" * 9_000_000]}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=20)
        with suppress(OSError):
            connection.request("POST", "/v1/rerank", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 429
        assert b"try again" in response.read()
        connection.close()
        answer = talk(
            sidecar.port,
            b"POST /shop/_search HTTP/1.1\r\n"
            + JSON
            + b"Content-Length: %d\r\n" % len(MOUSE)
            + CLOSE
            + MOUSE,
        )
        assert b'"rerank_status":"reranked"' in answer
