"""The log: one line for each request, as text or JSON, on standard error. It quotes nothing that is secret.

No header but the request's ids, no body, no value of a URL's parameters, no id of a shopper, and no message
of an exception.
"""

import logging
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from urllib.parse import unquote

import msgspec

from plugin_api.sidecar.telemetry.log_writer import LogWriter

_LOGGER = logging.getLogger("attune.request")
PATH_CHARACTERS, ID_CHARACTERS = 512, 128
_SHOPPERS = "/_attune/users/"
QUIET = ("/_attune/health", "/_attune/ready", "/_attune/metrics")
"""Asked every few seconds by machines: their successes are not logged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of a request. `sent` is in bytes, `ms` until the last of them was sent."""

    method: str
    path: str
    parameters: tuple[str, ...]
    status: int
    ms: float
    sent: int
    request_id: str
    opaque_id: str = ""
    rerank_status: str = ""


def entry(
    method: str,
    target: str,
    status: int,
    seconds: float,
    sent: int,
    request_id: str,
    opaque_id: str,
    rerank_status: str,
) -> Entry:
    """Make an entry of what came, shortened, without the values of parameters."""
    path, _, query = target.partition("?")
    names = tuple(dict.fromkeys(part.partition("=")[0] for part in query.split("&") if part))
    return Entry(
        method,
        hide_shopper(path)[:PATH_CHARACTERS],
        tuple(name[:ID_CHARACTERS] for name in names[:20]),
        status,
        round(seconds * 1000, 1),
        sent,
        request_id[:ID_CHARACTERS],
        opaque_id[:ID_CHARACTERS],
        rerank_status,
    )


def hide_shopper(path: str) -> str:
    """Return the path of a request without the id of a shopper, however it is percent-encoded."""
    return f"{_SHOPPERS}*" if unquote(path).startswith(_SHOPPERS) else path


def write(said: Entry) -> None:
    """Log a request."""
    if said.path in QUIET and said.status < 400:
        return
    _LOGGER.info("", extra={"entry": said})


def configure(log_format: str) -> None:
    """Have everything that is logged in this process written in one format."""
    handler = LogWriter(sys.stderr.fileno())
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _LOGGER.setLevel(logging.INFO)
    # Its warnings quote addresses whole, and what they tell of is raised as well.
    logging.getLogger("opensearch").setLevel(logging.CRITICAL)


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {"time": _time(record), "level": record.levelname}
        said = getattr(record, "entry", None)
        if said is not None:
            line |= {name: value for name, value in asdict(said).items() if value not in ("", ())}
        else:
            line |= {"logger": record.name, "message": record.getMessage()}
            if record.exc_info:
                line["exception"] = _exception(record)
        return msgspec.json.encode(line).decode()


class TextLines(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or several where an exception is told."""
        said = getattr(record, "entry", None)
        if said is None:
            lines = f"{_time(record)} {record.levelname} {_printable(record.getMessage())}"
            return f"{lines}\n{_exception(record)}" if record.exc_info else lines
        parameters = f"?{'&'.join(said.parameters)}" if said.parameters else ""
        words = [
            _time(record),
            said.method,
            said.path + parameters,
            str(said.status),
            f"{said.ms}ms",
            f"{said.sent}B",
            said.rerank_status,
            f"request={said.request_id}",
            f"opaque={said.opaque_id}" if said.opaque_id else "",
        ]
        return _printable(" ".join(word for word in words if word))


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _exception(record: logging.LogRecord) -> str:
    """Where an exception came from and what kind it is; its message may quote what a client sent."""
    if not isinstance(record.exc_info, tuple) or record.exc_info[0] is None:
        return ""
    frames = "".join(traceback.format_tb(record.exc_info[2]))
    return f"{frames}{record.exc_info[0].__name__}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
