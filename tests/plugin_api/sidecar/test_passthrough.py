from collections.abc import Mapping
from typing import Any

import pytest
from flask import Flask

from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.search.answer import Answer
from plugin_api.sidecar.passthrough import (
    FORWARDING,
    UNDERSCORED,
    Forwarding,
    forward,
    make_wsgi_response,
    read_wsgi_headers,
    read_wsgi_target,
)


class Recorder:
    """An OpenSearchClient that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, str], bytes]] = []

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        self.sent.append((method, target, dict(headers), body))
        return OpenSearchResponse(207, (("x-a", "1"), ("x-a", "2")), b"onetwo")


def environ(**more: Any) -> dict[str, Any]:
    return {"REQUEST_METHOD": "PUT", "RAW_URI": "/shop/_doc/a%2Fb?q=%20", **more}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("/", "/"),
        ("/shop//caf%c3%A9/%2F?q=%20&&a=b?c", "/shop//caf%c3%A9/%2F?q=%20&&a=b?c"),
        ("//shop/_search", "//shop/_search"),
        ("/shop/_search?", "/shop/_search?"),
        ("http://sidecar:8080/shop/_search?q=a%2Fb", "/shop/_search?q=a%2Fb"),
        ("http://sidecar:8080", "/"),
        ("http://sidecar:8080?pretty", "/?pretty"),
    ],
)
def test_the_target_is_what_came(raw: str, expected: str) -> None:
    assert read_wsgi_target({"RAW_URI": raw}) == expected
    assert read_wsgi_target({"REQUEST_URI": raw}) == expected


def test_headers_of_the_connection_stay_here_and_all_others_go_on() -> None:
    came = environ(
        HTTP_HOST="sidecar:8080",
        HTTP_EXPECT="100-continue",
        HTTP_CONNECTION="keep-alive, X-Hop",
        HTTP_X_HOP="1",
        HTTP_KEEP_ALIVE="timeout=5",
        HTTP_TRANSFER_ENCODING="chunked",
        HTTP_TE="trailers",
        HTTP_UPGRADE="h2c",
        HTTP_AUTHORIZATION="Basic abc",
        HTTP_X_OPAQUE_ID="7",
        HTTP_ACCEPT_ENCODING="gzip",
        CONTENT_TYPE="application/json",
        CONTENT_LENGTH="2",
    )
    assert read_wsgi_headers(came) == {
        "authorization": "Basic abc",
        "x-opaque-id": "7",
        "accept-encoding": "gzip",
        "content-type": "application/json",
    }
    assert read_wsgi_headers(environ(CONTENT_TYPE="", CONTENT_LENGTH="")) == {}


def test_a_header_with_an_underscore_is_another_than_that_with_a_hyphen() -> None:
    came = environ(HTTP_X_NAME="hyphen", **{UNDERSCORED: [("x_name", "underscore")]})
    assert read_wsgi_headers(came) == {"x-name": "hyphen", "x_name": "underscore"}


def test_text_in_headers_is_utf8() -> None:
    came = environ(HTTP_X_OPAQUE_ID="Jürgen".encode().decode("latin-1"))
    assert read_wsgi_headers(came) == {"x-opaque-id": "Jürgen"}


def test_a_request_goes_on_as_it_came_and_its_answer_comes_back_so() -> None:
    recorder = Recorder()
    with Flask("test").test_request_context():
        answer = forward(recorder, environ(HTTP_COOKIE="a=b"), b"\x00\xff\n", (("x-more", "3"),))
    assert recorder.sent == [("PUT", "/shop/_doc/a%2Fb?q=%20", {"cookie": "a=b"}, b"\x00\xff\n")]
    assert answer.status_code == 207
    assert answer.headers.getlist("x-a") == ["1", "2"]
    assert answer.headers["x-more"] == "3"
    assert answer.data == b"onetwo"


def test_a_server_that_can_passes_it_through_by_itself() -> None:
    recorder, forwarding = Recorder(), Forwarding()
    forward(recorder, environ(**{FORWARDING: forwarding}), b"body", (("x-more", "3"),))
    assert recorder.sent == []
    assert forwarding.headers == (("x-more", "3"),)


def test_an_answers_headers_are_its_own_alone() -> None:
    with Flask("test").test_request_context():
        whole = make_wsgi_response(Answer(200, b"12", (("x-a", "1"), ("x-a", "2"))))
        streamed = make_wsgi_response(Answer(404, iter([b"1", b"2"]), (("content-type", "text/plain"),)))
    assert list(whole.headers) == [("x-a", "1"), ("x-a", "2"), ("Content-Length", "2")]
    assert list(streamed.headers) == [("content-type", "text/plain")]
    assert (streamed.status_code, list(streamed.iter_encoded())) == (404, [b"1", b"2"])
