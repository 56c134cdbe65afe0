"""nginx in front: what goes where, that it goes as it came, and what slow, large and many clients can do."""

import hashlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from tests.fakes.certificates import Authority
from tests.integration.deployment.nginx import SECONDS, connect, handshake, nginx_container, receive, send
from tests.integration.stack import ROOT, address

SIDECAR, OPENSEARCH = 8080, 9200


@dataclass(frozen=True)
class Front:
    """nginx in front of an origin that is both sidecar and OpenSearch, on a port each."""

    network: Network
    url: str
    origin: str

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        """What the origin says of a request that came to it through nginx."""
        status, found = self.answer(method, path, body, **headers)
        assert status == 200, found
        return found

    def received(self, name: str) -> int:
        """How much of a body has reached the origin so far."""
        return int(requests.get(f"{self.origin}/received/{name}", timeout=SECONDS).json()["received"])

    def answer(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=SECONDS)
        connection.request(method, path, body or None, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text else None


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came about"


def origin_container(network: Network, *aliases: str) -> DockerContainer:
    """Return the origin, not started."""
    container = DockerContainer("python:3.11-slim").with_network(network).with_network_aliases(*aliases)
    container.with_volume_mapping(str(ROOT / "tests/fakes/origin.py"), "/origin.py")
    container.with_command(f"python /origin.py {SIDECAR} {OPENSEARCH}").with_kwargs(init=True)
    return container.with_exposed_ports(OPENSEARCH).waiting_for(LogMessageWaitStrategy("serving"))


@pytest.fixture(scope="module")
def front(images: None) -> Iterator[Front]:
    with (
        Network() as network,
        origin_container(network, "sidecar", "opensearch") as origin,
        nginx_container(network, CONNECTIONS_PER_ADDRESS="2000", CLIENT_SECONDS="2") as nginx,
    ):
        yield Front(network, address(nginx, 8080), address(origin, OPENSEARCH))


SEARCHES = [
    "/_search",
    "/shop/_search",
    "/shop/_search/",
    "/shop,other*/_search?size=3&q=a%20b",
    "/_msearch",
    "/shop/_msearch",
    "/shop/_search/template",
    "/_msearch/template",
    "/shop/%5Fsearch",
    "/shop/_%73earch",
    "/%5f%6dsearch",
    "/%3Cshop-%7Bnow%2Fd%7D%3E/_search",
]
OWN_ROUTES = [
    "/_attune",
    "/_attune/health",
    "/%5Fattune/openapi.json",
    "/v1/rerank",
    "/v2/rerank",
    "/v1/embeddings",
    "/rerank",
]
STRAIGHT = [
    "/",
    "/_bulk",
    "/shop/_bulk",
    "/shop/_doc/1",
    "/shop/_doc/a%2Fb",
    "/shop/_doc/a%2F_search",
    "/shop/_doc/_search/x",
    "/shop/_count",
    "/_search/scroll",
    "/_search/point_in_time",
    "/_search/pipeline/p",
    "/_searchable",
    "/shop/_searches",
    "/v1/_doc/1",
    "/v1/_bulk",
    "/rerank/_doc/1",
    "/_attunement",
    "/_plugins/_ml/models/_search/x",
]


@pytest.mark.parametrize("path", SEARCHES)
def test_searches_go_to_the_sidecar(front: Front, path: str) -> None:
    assert front.ask("POST", path, b"{}")["port"] == SIDECAR
    assert front.ask("GET", path)["line"] == f"GET {path} HTTP/1.1"


@pytest.mark.parametrize("path", OWN_ROUTES)
def test_attunes_own_routes_go_to_the_sidecar(front: Front, path: str) -> None:
    assert front.ask("GET", path)["port"] == SIDECAR


@pytest.mark.parametrize("path", STRAIGHT)
def test_all_else_goes_straight_to_opensearch(front: Front, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        assert front.ask(method, path)["port"] == OPENSEARCH
    assert front.ask("PUT", "/shop/_search")["port"] == OPENSEARCH  # OpenSearch says what is wrong with it


@pytest.mark.parametrize(
    "path",
    [
        "/shop/_doc/a%2Fb?routing=x;y&refresh",
        "/shop/_doc/%0A",
        "/shop/_doc/%25%2B+%C3%A9",
        "/shop/_doc/..%2Fup",
        "/shop//_doc///1",
        "/shop/_search?q=a%2Fb;c+d&empty=&pretty",
        "/shop/./_doc/1",
    ],
)
def test_addresses_go_on_as_they_came(front: Front, path: str) -> None:
    assert front.ask("GET", path)["line"] == f"GET {path} HTTP/1.1"


@pytest.mark.parametrize("path", ["/shop/_search", "/_attune/health", "/shop/_doc/1"])
def test_headers_go_on_as_they_came(front: Front, path: str) -> None:
    sent = {
        "authorization": "Basic YTpi",
        "x-forwarded-for": "203.0.113.9, 10.0.0.1",
        "x-proxy-user": "ann",
        "cookie": "a=b; c=d",
        "accept-encoding": "gzip",
        "x-opaque-id": "7",
        "opendistro_security_impersonate_as": "ann",
    }
    head = f"GET {path} HTTP/1.1\r\n" + "\r\n".join(f"{name}: {value}" for name, value in sent.items())
    answer = send(front.url, head)
    arrived = {name.lower(): value for name, value in json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]}
    assert {name: arrived.get(name) for name in sent} == sent
    assert arrived["host"] == "shop.example"
    assert arrived.keys() - sent.keys() <= {"host"}


@pytest.mark.parametrize("path", ["/shop/_search", "/_attune/health", "/shop/_doc/1"])
def test_a_proxys_form_of_the_address_is_taken(front: Front, path: str) -> None:
    answer = send(front.url, f"GET http://shop.example{path}?a=b HTTP/1.1")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["line"] == f"GET {path}?a=b HTTP/1.1"


@pytest.mark.parametrize("path", ["/shop/_search", "/v1/rerank", "/shop/_bulk"])
def test_expect_100_continue_is_answered_before_the_body(front: Front, path: str) -> None:
    with connect(front.url) as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert b'"size": 2,' in receive(connection, b"}")


def test_a_large_bulk_arrives_byte_for_byte_whichever_way_it_is_sent(front: Front) -> None:
    line = b'{"index": {"_id": "1"}}\n{"title": "' + b"x" * 980 + b'"}\n'
    whole = line * 120_000  # 122 MB
    chunks = (line * 100 for _ in range(1_200))
    for body in (whole, chunks):
        answer = requests.post(f"{front.url}/_bulk", data=body, timeout=SECONDS).json()
        assert (answer["size"], answer["sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())


def test_bodies_stream_to_opensearch_while_the_client_still_sends(front: Front) -> None:
    with connect(front.url) as connection:
        connection.sendall(b"POST /_bulk HTTP/1.1\r\nhost: x\r\nx-name: up\r\ncontent-length: 200000\r\n\r\n")
        connection.sendall(b"x" * 100_000)
        eventually(
            lambda: requests.get(f"{front.origin}/received/up", timeout=SECONDS).json()["received"] > 0
        )
        connection.sendall(b"x" * 100_000)
        assert b'"size": 200000' in receive(connection, b"}")


@pytest.mark.parametrize("path", ["/shop/_search", "/shop/_doc/1", "/_attune/metrics"])
def test_answers_stream_to_the_client_while_they_are_still_made(front: Front, path: str) -> None:
    gate = path.replace("/", "-")
    response = requests.get(f"{front.url}{path}", headers={"x-wait": gate}, stream=True, timeout=SECONDS)
    assert next(response.iter_content(1)) == b"{"
    requests.post(f"{front.origin}/let-go/{gate}", timeout=SECONDS)
    assert b"".join(response.iter_content(None)).endswith(b"}")


@pytest.mark.parametrize("path", ["/shop/_search", "/_msearch", "/shop/_search/template"])
@pytest.mark.parametrize("status", [502, 503, 504])
def test_where_the_sidecar_fails_opensearch_answers_the_same_search(
    front: Front, path: str, status: int
) -> None:
    body = b'{"query": {"match_all": {}}}' + b" " * 300_000  # more than nginx keeps in memory
    found = front.ask("POST", path, body, x_status=f"{SIDECAR}={status}", authorization="Basic YTpi")
    assert (found["port"], found["line"]) == (OPENSEARCH, f"POST {path} HTTP/1.1")
    assert found["sha256"] == hashlib.sha256(body).hexdigest()
    assert ["authorization", "Basic YTpi"] in found["headers"]


def test_an_api_key_never_goes_to_opensearch(front: Front) -> None:
    assert front.answer("GET", "/_attune/metrics", x_status=f"{SIDECAR}=503")[1]["port"] == SIDECAR
    assert front.answer("POST", "/v1/rerank", b"{}", x_status=f"{SIDECAR}=502")[1]["port"] == SIDECAR


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500])
def test_errors_come_back_as_they_are(front: Front, status: int) -> None:
    for path, port in (("/shop/_search", SIDECAR), ("/shop/_doc/1", OPENSEARCH)):
        assert front.answer("GET", path, x_status=f"{port}={status}")[0] == status
        assert front.answer("GET", path, x_status=f"{port}={status}")[1]["port"] == port


def test_a_search_too_large_to_rank_goes_straight_to_opensearch(front: Front) -> None:
    assert front.ask("POST", "/shop/_search", b" " * 9_999_999)["port"] == SIDECAR
    assert front.ask("POST", "/shop/_search", b" " * 10_000_000)["port"] == OPENSEARCH


def test_slow_clients_are_let_go_and_hold_nobody_up(front: Front) -> None:
    halves = (
        b"GET /shop/_search HT",
        b"POST /shop/_search HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
        b"POST /_bulk HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
    )
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(front.url)) for _ in range(600)]
        for number, connection in enumerate(slow):
            connection.sendall(halves[number % len(halves)])
        for _ in range(50):
            assert front.ask("POST", "/shop/_search", b"{}")["port"] == SIDECAR
            assert front.ask("GET", "/shop/_doc/1")["port"] == OPENSEARCH
        for connection in slow[:30]:
            with suppress(ConnectionResetError):
                receive(connection, b"it ends")


def test_one_address_gets_no_more_connections_than_its_share(front: Front) -> None:
    with (
        nginx_container(front.network, CONNECTIONS_PER_ADDRESS="5") as few,
        ExitStack() as stack,
    ):
        url = address(few, 8080)
        for number in range(5):
            waiting = stack.enter_context(connect(url))
            waiting.sendall(
                f"GET /shop/_doc/1 HTTP/1.1\r\nhost: x\r\nx-wait: share-{number}\r\n\r\n".encode()
            )
            assert waiting.recv(65_536)
        refused = requests.get(f"{url}/shop/_doc/1", timeout=SECONDS)
        assert refused.status_code == 429
        assert refused.json()["status"] == 429
        for number in range(5):
            requests.post(f"{front.origin}/let-go/share-{number}", timeout=SECONDS)


def test_where_nothing_answers_the_error_has_opensearchs_shape(front: Front) -> None:
    with nginx_container(front.network, ATTUNE_OPENSEARCH_URL="http://nowhere:9200") as lost:
        answer = requests.get(f"{address(lost, 8080)}/shop/_doc/1", timeout=SECONDS)
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "cluster_down_exception")


def test_a_sidecar_that_moves_to_another_address_is_looked_up_again(front: Front) -> None:
    environment = {"SIDECAR_URL": f"http://moving:{SIDECAR}", "ATTUNE_OPENSEARCH_URL": "http://nowhere:9200"}

    def reaches(url: str) -> bool:
        return requests.get(f"{url}/_attune/health", timeout=SECONDS).status_code == 200

    with nginx_container(front.network, **environment) as nginx:
        url = address(nginx, 8080)
        assert not reaches(url)  # it is not there yet, and nginx started all the same
        with origin_container(front.network, "moving"):
            eventually(lambda: reaches(url))
        with origin_container(front.network, "another"), origin_container(front.network, "moving"):
            eventually(lambda: reaches(url))


def test_tls_with_the_certificate_that_is_there_now(front: Front, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "tls"
    folder.mkdir()

    def install(authority: Authority) -> None:
        signed = authority.sign("nginx")
        for source, name in ((signed.certificate, "tls.crt"), (signed.key, "tls.key")):
            (folder / name).write_bytes(source.read_bytes())
            (folder / name).chmod(0o644)

    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    install(old)
    paths = {"TLS_CERTIFICATE": "/tls/tls.crt", "TLS_KEY": "/tls/tls.key"}
    with nginx_container(front.network, {folder: "/tls"}, **paths) as nginx:
        url = address(nginx, 8080)
        with handshake(url, old.certificate) as connection:
            connection.sendall(b"POST /shop/_search HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            assert b'"port": 8080' in receive(connection, b"}")
        assert send(url, "GET / HTTP/1.1").startswith(b"HTTP/1.1 400 ")  # plain text is refused
        install(new)

        def renewed() -> bool:
            try:
                with handshake(url, new.certificate):
                    return True
            except OSError:
                return False

        eventually(renewed)
