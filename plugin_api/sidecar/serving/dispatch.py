"""Where each request goes: the health check, the Flask app's threads, or straight through to OpenSearch."""

from dataclasses import dataclass

from flask import Flask
from werkzeug.exceptions import HTTPException, NotFound

from mappings.errors import AttuneError
from mappings.settings import SidecarSettings
from plugin_api.opensearch.session import OpenSearchSession
from plugin_api.search.answer import Answer
from plugin_api.search.reasons import Reason
from plugin_api.sidecar.app import HEALTH, PASSED, PREFIX, render_error, render_health
from plugin_api.sidecar.searches import search_kind
from plugin_api.sidecar.serving.asgi import (
    THROUGH,
    Receive,
    Scope,
    Send,
    find_header,
    make_refusal,
    respond,
)
from plugin_api.sidecar.serving.forward import RequestBody, forward_request
from plugin_api.sidecar.serving.threads import FlaskThreads, WholeAnswer

_FREE_BYTES = 65_536
"""Of a body, these don't count towards the bytes of all bodies: short searches always find a place."""

_ALL_BODIES_BYTES = 64_000_000
"""Of all bodies that a worker holds at a time."""


class Dispatcher:
    """The sidecar as an ASGI application, around the Flask app that create_app makes.

    Searches and Attune's own routes go to the app with their bodies whole; all else goes through `session`.
    """

    def __init__(self, app: Flask, session: OpenSearchSession, settings: SidecarSettings) -> None:
        self._session, self._limit = session, settings.max_body_bytes
        self._threads = FlaskThreads(app.wsgi_app, settings.threads, settings.max_body_bytes)
        self._routes = app.url_map.bind("sidecar")
        self._health = Answer(200, render_health(app))
        self._searcher = app.extensions["attune"]
        self._counted = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Raises what receiving and sending raise."""
        started = False

        async def started_send(message: dict[str, object]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._answer(scope, receive, started_send)  # type: ignore[arg-type]
        except AttuneError as error:
            if started:
                raise
            await respond(send, render_error(error))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if method == "GET" and path == HEALTH:
            await respond(send, self._health)
        elif self._is_own(path, method):
            await self._in_thread(scope, receive, send, own=True)
        elif method in ("GET", "POST") and search_kind(scope["raw_path"].decode("ascii"))[0]:
            await self._in_thread(scope, receive, send, own=False)
        else:
            await self._through(scope, RequestBody(receive), send)

    def _is_own(self, path: str, method: str) -> bool:
        if path == PREFIX or path.startswith(f"{PREFIX}/"):
            return True
        try:
            return bool(self._routes.match(path, method=method)[0] != PASSED)
        except NotFound:
            return False
        except HTTPException:
            return True

    async def _in_thread(self, scope: Scope, receive: Receive, send: Send, own: bool) -> None:
        body = _Body()
        try:
            if await self._receive_whole(scope, receive, body):
                answer = await self._threads.answer(scope, body.content, receive)
            elif own:
                reason = f"the body is larger than {self._limit} bytes (sidecar.max_body_bytes)"
                await respond(send, make_refusal(413, reason), (b"connection", b"close"))
                return
            else:
                report = self._searcher.report(Reason.BODY_TOO_LARGE.because())
                headers = [(name.encode(), value.encode()) for name, value in report.headers]
                answer = WholeAnswer(200, headers, None)
        finally:
            self._counted -= body.counted
        if answer.body is None:
            await self._through(scope, RequestBody(receive, body.content, body.more), send, answer.headers)
            return
        if answer.status not in (204, 304) and all(name != b"content-length" for name, _ in answer.headers):
            answer.headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _through(
        self, scope: Scope, body: RequestBody, send: Send, more: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        scope["state"][THROUGH] = True
        await forward_request(self._session, scope, body, send, more)

    async def _receive_whole(self, scope: Scope, receive: Receive, body: "_Body") -> bool:
        """Receive a body; return whether all of it is there, and not too large."""
        length = find_header(scope, b"content-length")
        if length.isdigit() and int(length) > self._limit:
            return False
        parts: list[bytes] = []
        size = 0
        while body.more:
            message = await receive()
            parts.append(message["body"])
            body.more, size = message["more_body"], size + len(message["body"])
            grown = max(0, size - _FREE_BYTES) - body.counted
            self._counted, body.counted = self._counted + grown, body.counted + grown
            if size > self._limit or (body.more and body.counted and self._counted > _ALL_BODIES_BYTES):
                break
        body.content = b"".join(parts)
        return size <= self._limit and not body.more


@dataclass(slots=True)
class _Body:
    """What has come of a body, whether `more` follows, and the bytes of it that count."""

    content: bytes = b""
    more: bool = True
    counted: int = 0
