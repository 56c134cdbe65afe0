import io
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from flask import Flask

from mappings.errors import BadRequest
from plugin_api.opensearch.client import CHUNK_BYTES, StreamedResponse
from plugin_api.search.answer import Answer
from plugin_api.sidecar.passthrough import forward, request_body, request_headers, target, wsgi_response


class Recorder:
    """An OpenSearchClient that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, str], bytes]] = []

    def stream(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] = b""
    ) -> StreamedResponse:
        whole = body if isinstance(body, bytes) else b"".join(body)
        self.sent.append((method, target, dict(headers), whole))
        return StreamedResponse(207, (("x-a", "1"), ("x-a", "2")), iter([b"one", b"two"]))


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
    assert target({"RAW_URI": raw}) == expected
    assert target({"REQUEST_URI": raw}) == expected


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
    assert request_headers(came) == {
        "authorization": "Basic abc",
        "x-opaque-id": "7",
        "accept-encoding": "gzip",
        "content-type": "application/json",
        "content-length": "2",
    }
    assert request_headers(environ(CONTENT_TYPE="", CONTENT_LENGTH="")) == {}


@pytest.mark.parametrize("more", [{}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "0"}])
def test_without_a_body_none_is_read(more: dict[str, str]) -> None:
    for end in (False, True):
        come = environ(**more, **{"wsgi.input": None, "wsgi.input_terminated": end})
        assert request_body(come) == b""


def test_a_body_of_known_length_is_read_no_further() -> None:
    data = b"x" * (2 * CHUNK_BYTES + 3)
    came = environ(CONTENT_LENGTH=str(len(data)), **{"wsgi.input": io.BytesIO(data + b"the next request")})
    parts = list(request_body(came))
    assert b"".join(parts) == data  # type: ignore[arg-type]
    assert [len(part) for part in parts] == [CHUNK_BYTES, CHUNK_BYTES, 3]  # type: ignore[arg-type]


def test_a_chunked_body_is_read_to_its_end() -> None:
    came = environ(
        HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input": io.BytesIO(b"all"), "wsgi.input_terminated": True}
    )
    assert list(request_body(came)) == [b"all"]


def test_half_a_body_is_not_taken_for_a_whole() -> None:
    came = environ(CONTENT_LENGTH="10", **{"wsgi.input": io.BytesIO(b"half")})
    with pytest.raises(BadRequest, match="ended 6 bytes early"):
        list(request_body(came))


def test_a_request_goes_on_as_it_came_and_its_answer_comes_back_so() -> None:
    recorder = Recorder()
    came = environ(HTTP_COOKIE="a=b", CONTENT_LENGTH="3", **{"wsgi.input": io.BytesIO(b"\x00\xff\n")})
    answer = forward(recorder, came, request_body(came))  # type: ignore[arg-type]
    assert recorder.sent == [
        ("PUT", "/shop/_doc/a%2Fb?q=%20", {"cookie": "a=b", "content-length": "3"}, b"\x00\xff\n")
    ]
    assert (answer.status, answer.headers) == (207, (("x-a", "1"), ("x-a", "2")))
    assert b"".join(answer.body) == b"onetwo"  # type: ignore[arg-type]


def test_an_answers_headers_are_its_own_alone() -> None:
    with Flask("test").test_request_context():
        whole = wsgi_response(Answer(200, b"12", (("x-a", "1"), ("x-a", "2"))))
        streamed = wsgi_response(Answer(404, iter([b"1", b"2"]), (("content-type", "text/plain"),)))
    assert list(whole.headers) == [("x-a", "1"), ("x-a", "2"), ("Content-Length", "2")]
    assert list(streamed.headers) == [("content-type", "text/plain")]
    assert (streamed.status_code, list(streamed.iter_encoded())) == (404, [b"1", b"2"])
