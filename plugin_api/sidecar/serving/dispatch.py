"""Where each request goes: the health check, the Flask app's threads, or straight through to OpenSearch."""

from dataclasses import dataclass

from flask import Flask
from werkzeug.exceptions import HTTPException, NotFound

from mappings.errors import AttuneError
from mappings.settings import SidecarSettings
from plugin_api.opensearch.memory_budget import MemoryAccount, MemoryBudget
from plugin_api.opensearch.session import OpenSearchSession
from plugin_api.search.answer import Answer
from plugin_api.search.reasons import Reason
from plugin_api.sidecar.app import HEALTH, PASSED, PREFIX, render_error, render_health
from plugin_api.sidecar.searches import longest_body, search_kind
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

_HELD_BYTES = 32_000_000
"""Of all bodies and answers that a worker holds at a time. Reading them takes several times that."""

_NO_ROOM = "the sidecar holds as many large requests as it has memory for: try again"


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
        self._budget = MemoryBudget(_HELD_BYTES)

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
            return
        is_own = self._is_own(path, method)
        kind = search_kind(scope["raw_path"].decode("ascii"))[0] if method in ("GET", "POST") else ""
        if not is_own and not kind:
            await self._through(scope, RequestBody(receive), send)
            return
        account = self._budget.open_account()
        try:
            limit = self._limit if is_own else min(self._limit, longest_body(kind))
            await self._in_thread(scope, receive, send, is_own, _Body(account, limit))
        finally:
            account.close()

    def _is_own(self, path: str, method: str) -> bool:
        if path == PREFIX or path.startswith(f"{PREFIX}/"):
            return True
        try:
            return bool(self._routes.match(path, method=method)[0] != PASSED)
        except NotFound:
            return False
        except HTTPException:
            return True

    async def _in_thread(
        self, scope: Scope, receive: Receive, send: Send, is_own: bool, body: "_Body"
    ) -> None:
        if await body.receive_whole(scope, receive):
            answer = await self._threads.answer(scope, body.content, receive, body.account)
        elif is_own:
            too_large = f"the body is larger than {self._limit} bytes (sidecar.max_body_bytes)"
            refusal = make_refusal(413, too_large) if body.is_too_large else make_refusal(429, _NO_ROOM)
            await respond(send, refusal, (b"connection", b"close"))
            return
        else:
            report = self._searcher.report(Reason.BODY_TOO_LARGE.because())
            headers = [(name.encode(), value.encode()) for name, value in report.headers]
            answer = WholeAnswer(200, headers, None)
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


@dataclass(slots=True)
class _Body:
    """What has come of a body of at most `limit` bytes, and whether `more` follows."""

    account: MemoryAccount
    limit: int
    content: bytes = b""
    more: bool = True
    is_too_large: bool = False

    async def receive_whole(self, scope: Scope, receive: Receive) -> bool:
        """Receive it; return whether all of it is there, not too large, and has found room."""
        length = find_header(scope, b"content-length")
        if length.isdigit() and int(length) > self.limit:
            self.is_too_large = True
            return False
        parts: list[bytes] = []
        size, has_room = 0, True
        while self.more and has_room and not self.is_too_large:
            message = await receive()
            parts.append(message["body"])
            self.more, size = message["more_body"], size + len(message["body"])
            self.is_too_large = size > self.limit
            has_room = self.account.take(len(message["body"]))
        self.content = b"".join(parts)
        return has_room and not self.is_too_large
