"""Translate the client's exceptions into IndexingError or ClusterDown."""

from collections.abc import Iterator
from contextlib import contextmanager

from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, TransportError

from mappings.errors import ClusterDown, IndexingError


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Raise IndexingError or ClusterDown for the client's exceptions. `doing` says what the block does."""
    try:
        yield
    except ConnectionTimeout as error:
        raise IndexingError(
            f"OpenSearch took too long {doing}: raise opensearch.timeout_seconds or lighten its load"
        ) from error
    except NoConnection as error:
        raise ClusterDown(f"OpenSearch stopped answering while {doing}: {error.error}") from error
    except TransportError as error:
        hint = ": check opensearch.user and opensearch.password" if error.status_code in (401, 403) else ""
        raise IndexingError(
            f"OpenSearch refused {doing}: {error.status_code} {innermost_reason(error.info)}{hint}"
        ) from error


def innermost_reason(error: object) -> str:
    """Return the innermost reason of an OpenSearch error object."""
    if isinstance(error, dict):
        inner = error.get("caused_by") or error.get("error")
        if isinstance(inner, dict):
            return innermost_reason(inner)
        return str(error.get("reason") or inner or error)
    return str(error)
