"""An ASGI application that says what reached it, observed as the sidecar is."""

import json
import os
from contextlib import AsyncExitStack
from urllib.parse import parse_qs

from flask import Flask

from mappings.settings import SidecarSettings
from plugin_api.opensearch.memory_budget import MemoryBudget
from plugin_api.search.answer import Answer
from plugin_api.search.reasons import RerankStatus
from plugin_api.search.report import RerankReport, StageTimes
from plugin_api.sidecar.api_keys import require_key
from plugin_api.sidecar.serving.asgi import (
    THROUGH,
    Application,
    Receive,
    Scope,
    Send,
    make_refusal,
    read_target,
    respond,
)
from plugin_api.sidecar.serving.threads import FlaskThreads
from plugin_api.sidecar.telemetry.metrics import Metrics
from plugin_api.sidecar.telemetry.middleware import Observer
from plugin_api.sidecar.telemetry.tracing import Tracing


def echo_app(settings: SidecarSettings, stack: AsyncExitStack) -> Application:
    """Return the application. Its metrics are at `/_attune/metrics`, for one of the settings' keys."""
    tracing = Tracing(settings.tracing_endpoint) if settings.tracing_endpoint else None
    if tracing:
        stack.callback(tracing.close)
    observer = Observer(Metrics(["v1"]), tracing)
    app = Flask("echo")
    require_key(app, settings.api_keys, "echo")
    observer.add_route(app, int)
    threads = FlaskThreads(app.wsgi_app, settings.threads, settings.max_body_bytes)

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith("/_attune/"):
            if path in ("/_attune/health", "/_attune/ready"):
                await respond(send, Answer(200, b'{"status": "alive"}'))
                return
            if path != "/_attune/metrics":
                await respond(send, make_refusal(404, "no such route"))
                return
            account = MemoryBudget(0).open_account()
            answer = await threads.answer(scope, b"", receive, account)
            assert answer.body is not None
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})
            return
        scope["state"][THROUGH] = True
        arguments = parse_qs(scope["query_string"].decode("latin-1"))
        if path == "/crash":
            raise SystemError("secret in a message")
        if path == "/big":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(int(arguments["blocks"][0])):
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        if path == "/whole":
            await respond(send, Answer(200, b"y" * int(arguments["size"][0])))
            return
        if path == "/unread":
            await respond(send, Answer(200, b"not read"))
            return
        if path == "/searched":
            times = StageTimes(1.0, 5.0, 2.0, 3.0)
            observer.searched(RerankReport(RerankStatus.RERANKED, "v1", window=100, took_ms=times), 0.012)
        body, size, more = b"", 0, True
        while more:
            message = await receive()
            more, size = message["more_body"], size + len(message["body"])
            body += b"" if path == "/count" else message["body"]
        if path == "/count":
            await respond(send, Answer(200, str(size).encode()))
            return
        pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        seen = {
            "method": scope["method"],
            "uri": read_target(scope),
            "body": body.decode("latin-1"),
            "headers": {name.title(): value for name, value in pairs},
            "scheme": scope["scheme"],
            "pid": os.getpid(),
        }
        await respond(send, Answer(200, json.dumps(seen).encode()))

    return observer.around(echo)
