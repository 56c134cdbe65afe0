"""An opensearch-py client whose requests a function in this process answers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from opensearchpy import Connection, OpenSearch


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request as the client sends it; `timeout_seconds` is how long the client would wait."""

    method: str
    path: str
    params: Mapping[str, Any]
    body: bytes
    headers: Mapping[str, str]
    timeout_seconds: float | None

    @property
    def target(self) -> str:
        """The path with the parameters."""
        return f"{self.path}?{urlencode(self.params)}" if self.params else self.path


AnswerRequest = Callable[[ClientRequest], tuple[int, Any]]
"""Returns the status and the JSON body of the response. It may raise an exception of opensearch-py."""


class MemoryConnection(Connection):
    """A client's only connection."""

    def __init__(self, answer: AnswerRequest, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._answer = answer

    def perform_request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
        ignore: Any = (),
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], str]:
        given = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in (params or {}).items()
        }
        status, answer = self._answer(ClientRequest(method, url, given, body or b"", headers or {}, timeout))
        text = json.dumps(answer)
        ignored = ignore if isinstance(ignore, tuple | list) else (ignore,)
        if not 200 <= status < 300 and status not in ignored:
            self._raise_error(status, "" if method == "HEAD" else text, "application/json")
        return status, {"content-type": "application/json"}, text

    def close(self) -> None:
        """Nothing is open."""


def open_client(answer: AnswerRequest) -> OpenSearch:
    """Return a client whose requests `answer` answers. It tries each once."""
    return OpenSearch("http://memory:9200", connection_class=MemoryConnection, max_retries=0, answer=answer)
