"""Logs, metrics and traces of a real server with two workers."""

import gzip
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from mappings.settings import Settings, SidecarSettings
from tests.fakes.echo_server import Server, connected, echo_server, error_of, rest_of, status_of, talk

SETTINGS = SidecarSettings(port=0, workers=2, threads=2)
SECRETS = ("Z2VoZWlt", "cookiesecret", "querysecret", "bodysecret", "keysecret", "urlsecret")


def ask(server: Server, target: str, headers: str = "", body: str = "", method: str = "GET") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{length}{headers}\r\n"
    return talk(server.port, (head + body).encode())


def echoed(response: bytes) -> dict[str, str]:
    headers: dict[str, str] = json.loads(response.partition(b"\r\n\r\n")[2])["headers"]
    return headers


def stopped(server: Server) -> str:
    """End the server and return what it has logged."""
    server.process.terminate()
    out, err = server.process.communicate(timeout=60)
    assert out == ""
    return err


def test_metrics_are_those_of_all_workers_and_their_folder_goes() -> None:
    with echo_server(replace(Settings(), sidecar=SETTINGS)) as server:
        pids, asked = set(), 0
        with ThreadPoolExecutor(8) as clients:
            while len(pids) < 2:  # the second worker may still be starting
                responses = list(clients.map(lambda _: ask(server, "/searched"), range(20)))
                asked += len(responses)
                assert asked < 5000
                pids |= {json.loads(response.partition(b"\r\n\r\n")[2])["pid"] for response in responses}
        for _ in range(5):
            values = shown_metrics(server)
            assert values["attune_search_seconds_count", "reranked"] == asked
            assert values["attune_passed_seconds_count", "GET", "2xx"] == asked
            assert values["attune_in_flight",] == 1
            assert values["attune_model", "v1"] == 1
        folders = [found for found in Path("/dev/shm").glob("attune-metrics-*") if any(
            str(pid) in file.name for pid in pids for file in found.iterdir()
        )]  # fmt: skip
        assert len(folders) == 1
        stopped(server)
        assert not folders[0].exists()


def shown_metrics(server: Server) -> dict[tuple[str, ...], float]:
    text = ask(server, "/_attune/metrics").partition(b"\r\n\r\n")[2].decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_killed_worker_is_replaced_and_what_it_counted_stays() -> None:
    with echo_server(replace(Settings(), sidecar=replace(SETTINGS, workers=1))) as server:
        pid = json.loads(ask(server, "/searched").partition(b"\r\n\r\n")[2])["pid"]
        with connected(server.port) as half_way:
            half_way.sendall(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\nabc")
            time.sleep(0.2)
            assert shown_metrics(server)["attune_in_flight",] == 2
            os.kill(pid, signal.SIGKILL)
            assert rest_of(half_way) == b""
        assert json.loads(ask(server, "/searched").partition(b"\r\n\r\n")[2])["pid"] != pid
        shown = shown_metrics(server)
        assert shown["attune_search_seconds_count", "reranked"] == 2
        assert shown["attune_in_flight",] == 1


def test_each_request_is_one_line_of_json() -> None:
    settings = replace(Settings(), sidecar=replace(SETTINGS, log_format="json", workers=1))
    with echo_server(settings) as server:
        ask(server, "/shop/_search?q=mouse&size=3", "X-Opaque-Id: web-1\r\n", "{}", "POST")
        ask(server, "/_attune/metrics")
        ask(server, "/a", "X-Request-Id: 0123456789abcdef0123456789abcdef\r\n")
        ask(server, "/crash")
        ask(server, "nonsense")
        lines = [json.loads(line) for line in stopped(server).splitlines()]
    first = lines[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first.pop("ms") >= 0
    assert first.pop("sent") > 0
    assert re.fullmatch(r"[0-9a-f]{32}", first.pop("request_id"))
    assert first == {
        "level": "INFO",
        "method": "POST",
        "path": "/shop/_search",
        "parameters": ["q", "size"],
        "status": 200,
        "opaque_id": "web-1",
    }
    assert lines[1]["request_id"] == "0123456789abcdef0123456789abcdef"
    crash = next(line for line in lines if line.get("level") == "ERROR")
    assert crash["exception"].endswith("SystemError")
    assert [line["status"] for line in lines if line.get("path") == "/crash"] == [500]
    assert lines[-1]["message"].startswith("refused a request with 400")


def test_ids_go_on_to_opensearch_and_back_and_none_is_invented_for_the_client() -> None:
    with echo_server(replace(Settings(), sidecar=SETTINGS)) as server:
        response = ask(server, "/a")
        given = echoed(response)["X-Request-Id"]
        assert f"x-request-id: {given}\r\n".encode() in response
        assert "X-Opaque-Id" not in echoed(response)
        assert echoed(ask(server, "/a"))["X-Request-Id"] != given
        assert echoed(ask(server, "/a", "X-Opaque-Id: web\r\n"))["X-Opaque-Id"] == "web"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_is_logged_whatever_is_sent(log_format: str) -> None:
    settings = replace(
        Settings(), sidecar=replace(SETTINGS, log_format=log_format, api_keys="keysecret", workers=1)
    )
    secret = (
        "Authorization: Basic Z2VoZWlt\r\nCookie: session=cookiesecret\r\nX-Api-Key: keysecret\r\n"
        "Proxy-Authorization: Bearer Z2VoZWlt\r\n"
    )
    query = "?token=querysecret&q=querysecret"
    with echo_server(settings) as server:
        for path in ("/shop/_search", "/crash", "/unread", "/_attune/metrics", "/_attune/none"):
            for method in ("GET", "POST", "PUT", "PATCH"):
                ask(server, path + query, secret, "bodysecret", method)
        ask(server, "/_attune/metrics", "Authorization: Bearer keysecret\r\n")
        ask(server, "/_attune/metrics", "Authorization: Bearer keysecre\r\n")
        for broken in (
            "Authorization Basic Z2VoZWlt\r\n",
            "Author ization: Basic Z2VoZWlt\r\n",
            "Cookie: cookie\x00cookiesecret\r\n",
            " cookiesecret\r\n",
            "Content-Length: bodysecret\r\n",
            "Transfer-Encoding: Z2VoZWlt\r\n",
            "Expect: Z2VoZWlt\r\n",
            "Cookie: cookiesecret" + "x" * 20_000 + "\r\n",
        ):
            response = ask(server, "/a" + query, broken)
            assert 400 <= status_of(response) < 500
            assert not [found for found in SECRETS if found in str(error_of(response))]
        ask(server, "http://user:urlsecret@shop/a")
        ask(server, "/" + "querysecret" * 1000)
        talk(server.port, b"querysecret\r\n\r\n")
        talk(server.port, b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nbodysecret\r\n")
        logged = stopped(server)
    assert len(logged.splitlines()) > 20
    assert [found for found in SECRETS if found in logged] == []
    assert "/shop/_search" in logged


def test_a_line_cannot_be_forged() -> None:
    with echo_server(replace(Settings(), sidecar=SETTINGS)) as server:
        ask(server, "/a%0A2026-11-24T00:00:00.000Z GET", "X-Opaque-Id: a\x85b\xa0c\r\n")
        ask(server, "/a", "X-Opaque-Id: a\x85b\xa0c\r\n")
        assert all(line.startswith("20") for line in stopped(server).splitlines())


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """An OpenTelemetry collector: its address, and the spans that it has received."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_of_requests_and_stages_reach_the_collector_under_the_callers() -> None:
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with collector() as (endpoint, spans):
        settings = replace(Settings(), sidecar=replace(SETTINGS, tracing_endpoint=endpoint, workers=1))
        with echo_server(settings) as server:
            response = ask(server, "/searched?q=querysecret", f"traceparent: {caller}\r\n")
            ask(server, "/crash")
            stopped(server)
    going = echoed(response)["Traceparent"]
    assert going.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert going != caller
    named = {span.name: span for span in spans if span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"}
    assert set(named) == {"GET", "attune.search", "encode", "search", "score", "fetch"}
    assert named["GET"].parent_span_id.hex() == "b7ad6b7169203331"
    assert named["GET"].span_id.hex() == going.split("-")[2]
    whole = named["attune.search"]
    assert whole.parent_span_id == named["GET"].span_id
    inside = [span for span in spans if span.parent_span_id == whole.span_id]
    assert [span.name for span in sorted(inside, key=lambda span: span.start_time_unix_nano)] == [
        "encode",
        "search",
        "score",
        "fetch",
    ]
    assert all(span.end_time_unix_nano <= whole.end_time_unix_nano for span in inside)
    crash = next(span for span in spans if span.name == "GET" and span.status.code == 2)
    assert crash.trace_id != named["GET"].trace_id
    assert b"querysecret" not in b"".join(span.SerializeToString() for span in spans)


def test_a_collector_that_is_gone_costs_no_request() -> None:
    nowhere = replace(SETTINGS, tracing_endpoint="http://127.0.0.1:9", workers=1)
    with echo_server(replace(Settings(), sidecar=nowhere)) as server:
        assert status_of(ask(server, "/a")) == 200
