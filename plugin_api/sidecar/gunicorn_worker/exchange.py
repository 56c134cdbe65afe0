"""One request and its answer on a client's connection, as a worker's threads carry it out."""

import json
import logging
import re
import socket
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from typing import Any

from gunicorn.config import Config
from gunicorn.http import errors, wsgi
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

from mappings.errors import ClusterDown
from plugin_api.sidecar.gunicorn_worker.client_stream import ClientBody, ClientStream, SlowClient

LOGGER = logging.getLogger("attune.http")

WITHOUT_CERTIFICATE = ("/_attune/health", "/_attune/ready")
"""What answers a client without a certificate where one is asked for: orchestrators' probes have none."""

REFUSALS: tuple[tuple[type[Exception], int, str], ...] = (
    (errors.LimitRequestLine, 414, "the request line is too long"),
    (errors.LimitRequestHeaders, 431, "the request has too many headers, or one is too long"),
    (errors.ExpectationFailed, 417, "the only expectation that can be met is 100-continue"),
    (errors.UnsupportedTransferCoding, 400, "the only transfer encoding known here is chunked"),
    (errors.ObsoleteFolding, 400, "a header goes on over several lines"),
    (errors.InvalidHeaderName, 400, "a header's name is none, or has a space or an underscore"),
    (errors.InvalidHeader, 400, "a header is malformed, or contradicts another"),
    (errors.ParseException, 400, "this is no HTTP/1.1 request"),
)
"""What is said of a request that can't be parsed, never quoting it: it may hold a password."""

KINDS = {401: "security_exception", 503: "cluster_down_exception"}
"""OpenSearch's names for what is wrong, by status."""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Outcome(Enum):
    """What becomes of the connection."""

    KEEP = "another request may follow"
    CLOSE = "it is closed"
    SLOW = "the client reads slowly: `finish` sends the rest, in a thread that can wait"


class Response(wsgi.Response):  # type: ignore[misc]  # gunicorn is untyped
    """gunicorn's response, without headers that would not be there, or would be twice, without Attune."""

    def default_headers(self) -> list[str]:
        """Return the headers that every response has."""
        dated = any(name.lower() == "date" for name, _ in self.headers)
        unwanted = ("Server:", "Date:") if dated else ("Server:",)
        return [line for line in super().default_headers() if not line.startswith(unwanted)]


class Exchange:
    """One request: parsed, handed to the application, answered."""

    def __init__(
        self, cfg: Config, sock: socket.socket, client: object, server: object, received: bytes, patient: bool
    ) -> None:
        self._cfg, self._sock, self._client, self._server = cfg, sock, client, server
        self._arrived = time.monotonic()
        self._stream = ClientStream(sock, patient)
        self._parser = RequestParser(cfg, self._stream, client)
        self._parser.unreader.unread(received)
        self._answer: Iterable[bytes] = ()
        self._response: Response | None = None

    def begin(self, application: Application, keep_alive: bool) -> Outcome:
        """Parse and answer the request, or refuse it. Nothing is raised."""
        return self._guarded(lambda: self._begin(application, keep_alive))

    def finish(self) -> Outcome:
        """Send the rest of an answer that is read slowly. Nothing is raised."""
        return self._guarded(self._finish)

    def left_over(self) -> bytes:
        """What was received beyond this request."""
        taken: bytes = self._parser.unreader.take_buffered()
        return taken

    def _begin(self, application: Application, keep_alive: bool) -> Outcome:
        request: Request = next(self._parser)
        if not request.uri.startswith("/") or "#" in request.uri or request.method == "CONNECT":
            # Targets of forward proxies, tunnels, and fragments, which no client sends to a server.
            raise errors.InvalidRequestLine("target")
        if self._cfg.ca_certs and request.path not in WITHOUT_CERTIFICATE and not _certificate(self._sock):
            self._refuse(401, "a client certificate is needed (sidecar.client_ca)")
            return Outcome.CLOSE
        expected, request._expected_100_continue = request._expected_100_continue, False
        response, environ = wsgi.create(
            request, self._stream, self._client, self._server, self._cfg, response_class=Response
        )
        self._response = response
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = ClientBody(request, self._stream, expected, response.force_close)
        environ["attune.arrived"] = self._arrived
        if not keep_alive or "close" in re.split(r"[\s,]+", environ.get("HTTP_CONNECTION", "").lower()):
            response.force_close()
        self._answer = application(environ, response.start_response)
        self._iterator = iter(self._answer)
        return self._send()

    def _send(self) -> Outcome:
        assert self._response is not None
        for piece in self._iterator:
            self._response.write(piece)
            if self._stream.pending:
                return Outcome.SLOW
        self._response.close()
        if self._stream.pending:
            return Outcome.SLOW
        return self._after(self._response)

    def _finish(self) -> Outcome:
        self._stream.flush()
        return self._send()

    def _after(self, response: Response) -> Outcome:
        self._stream.may_read = False  # what the application did not read of the body is not waited for
        if response.should_close() or not self._parser.finish_body():
            return Outcome.CLOSE
        return Outcome.KEEP

    def _guarded(self, step: Callable[[], Outcome]) -> Outcome:
        outcome = Outcome.CLOSE
        try:
            outcome = step()
        except SlowClient as error:
            self._refuse(408, str(error))
        except errors.ParseException as error:
            self._refuse(*next((status, said) for kind, status, said in REFUSALS if isinstance(error, kind)))
        except ClusterDown as error:  # in the middle of its answer
            self._refuse(503, str(error))
        except (OSError, StopIteration) as error:
            LOGGER.debug("a client is gone: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001  whatever the application lets through, one client's request ends
            where = traceback.extract_tb(error.__traceback__)[-1]
            # Not its message: that may quote what the client sent.
            LOGGER.error("%s at %s:%s", type(error).__name__, where.filename, where.lineno)
            self._refuse(500, "the sidecar failed to answer; its log has the place")
        if outcome is not Outcome.SLOW:
            self._close_answer()
        return outcome

    def _refuse(self, status: int, reason: str) -> None:
        if self._response is not None and self._response.headers_sent:
            LOGGER.warning("an answer was cut short: %s", reason)
            return
        LOGGER.warning("refused a request with %s: %s", status, reason)
        with suppress(OSError):
            self._stream.sendall(refusal(status, reason))

    def _close_answer(self) -> None:
        close = getattr(self._answer, "close", None)
        self._answer = ()
        if close is not None:
            close()


def refusal(status: int, reason: str) -> bytes:
    """A whole HTTP response in OpenSearch's error shape, after which the connection is closed."""
    kind = KINDS.get(status, "illegal_argument_exception")
    cause = {"type": kind, "reason": reason}
    body = json.dumps({"error": {"root_cause": [cause], **cause}, "status": status}).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _certificate(sock: socket.socket) -> bool:
    """Whether the client has shown a certificate; one that does not hold ends the handshake."""
    return bool(getattr(sock, "getpeercert", dict)())
