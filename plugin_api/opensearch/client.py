"""What searching and passing through need of OpenSearch, and what it answers.

opensearch-py, which the commands use, reads answers whole, parses them and signs in as one user: a proxy may
do none of that.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode

from mappings.settings import OpenSearchSettings

Headers = tuple[tuple[str, str], ...]

NO_ANSWER = "OpenSearch, or what stands before it, answered a search with what is no answer to one"


@dataclass(frozen=True, slots=True)
class OpenSearchResponse:
    """An answer, its body read to the end. `headers` are end-to-end, names in lower case."""

    status: int
    headers: Headers
    body: bytes


class OpenSearchClient(Protocol):
    """Requests as a caller makes them: bytes in, bytes out, with the caller's credentials in the headers.

    `target` is path and query string, percent-encoded. HttpClient is one.
    """

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        """Send a request that only reads, and read its answer; `accept-encoding` is ignored.

        It is sent again where a connection that was kept open turns out to be closed. Without
        `timeout_seconds` this waits for as long as OpenSearch takes.
        Raises ClusterDown, BadRequest for what can't be sent, and TimeoutError.
        """


def encode_credentials(settings: OpenSearchSettings) -> dict[str, str]:
    """Return the headers by which Attune's own commands sign in; callers of the sidecar bring their own."""
    if not settings.user:
        return {}
    credentials = b64encode(f"{settings.user}:{settings.password}".encode()).decode()
    return {"authorization": f"Basic {credentials}"}


def append_query(path: str, params: Mapping[str, str]) -> str:
    """Return a request's target: the path, and the parameters where there are any."""
    return f"{path}?{urlencode(params)}" if params else path
