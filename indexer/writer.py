"""Bulk writing into a new index."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, TransportError
from opensearchpy.helpers import streaming_bulk

from mappings.errors import ClusterDown, IndexingError
from mappings.types import JsonObject

CHUNK_BYTES = 8_000_000
CHUNK_DOCUMENTS = 500
RETRIES = 6


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one document; `refusal` is OpenSearch's reason, empty where it was written."""

    id: str
    refusal: str


def create_index(client: OpenSearch, index: str, body: JsonObject) -> None:
    """Create an index with refreshes off, for loading. Raises IndexingError or ClusterDown."""
    settings = body.get("settings", {})
    unrefreshed = {**settings, "index": {**settings.get("index", {}), "refresh_interval": "-1"}}
    with opensearch_errors(f"creating index {index}"):
        client.indices.create(index=index, body={**body, "settings": unrefreshed})


def write_documents(
    client: OpenSearch, index: str, documents: Iterable[tuple[str, JsonObject]], backoff_seconds: float = 1.0
) -> Iterator[Written]:
    """Write (id, document) pairs in bulk; yield what became of each, in order.

    While OpenSearch answers 429, a chunk is tried again up to six times, after `backoff_seconds`, then
    twice that, and so on. Raises IndexingError when it stays overloaded or fails, ClusterDown when it
    stops answering.
    """
    actions = ({"_index": index, "_id": product_id, "_source": body} for product_id, body in documents)
    with opensearch_errors(f"writing to index {index}"):
        for written, answer in streaming_bulk(
            client,
            actions,
            chunk_size=CHUNK_DOCUMENTS,
            max_chunk_bytes=CHUNK_BYTES,
            raise_on_error=False,
            max_retries=RETRIES,
            initial_backoff=backoff_seconds,  # type: ignore[arg-type]  # seconds for time.sleep, fractions are fine
        ):
            item = answer["index"]
            if not written and (item["status"] == 429 or item["status"] >= 500):
                raise IndexingError(
                    f"OpenSearch can't take documents for index {index}: {_reason(item.get('error'))}. "
                    "Check its disk space, memory and load"
                )
            yield Written(item["_id"], "" if written else _reason(item.get("error")))


def finish_index(client: OpenSearch, index: str) -> int:
    """Turn refreshes back on, make everything searchable and return the index's size in bytes."""
    with opensearch_errors(f"finishing index {index}"):
        client.indices.put_settings(index=index, body={"index": {"refresh_interval": None}})
        client.indices.flush(index=index)
        client.indices.refresh(index=index)
        stats = client.indices.stats(index=index, metric="store")
        return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])


@contextmanager
def opensearch_errors(doing: str) -> Iterator[None]:
    """Turn the client's exceptions into IndexingError or ClusterDown that says what was being done."""
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
            f"OpenSearch refused {doing}: {error.status_code} {_reason(error.info)}{hint}"
        ) from error


def _reason(error: object) -> str:
    """Return the innermost reason of OpenSearch's error object."""
    if isinstance(error, dict):
        inner = error.get("caused_by") or error.get("error")
        if isinstance(inner, dict):
            return _reason(inner)
        return str(error.get("reason") or inner or error)
    return str(error)
