"""An HTTP answer, before the web framework sends it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from plugin_api.opensearch.client import Headers
from plugin_api.opensearch.raw_json import dumps

JSON_TYPE = "application/json; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers. The body is complete, or comes in chunks; header names are in lower case."""

    status: int
    body: bytes | Iterator[bytes]
    headers: Headers = (("content-type", JSON_TYPE),)

    def read(self) -> bytes:
        """Return the body, read to its end."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)

    def json(self) -> Any:
        """Return the body as parsed JSON."""
        return msgspec.json.decode(self.read())


def error_answer(status: int, kind: str, reason: str) -> Answer:
    """Return an error in OpenSearch's shape."""
    cause = {"type": kind, "reason": reason}
    return Answer(status, dumps({"error": {"root_cause": [cause], **cause}, "status": status}))
