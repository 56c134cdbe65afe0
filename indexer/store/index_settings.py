"""Create indexes, change their settings, and wait for their replicas."""

from opensearchpy import OpenSearch

from indexer.store.retry import RetryPolicy
from mappings.types import JsonObject


def create_index(client: OpenSearch, index: str, body: JsonObject, retry: RetryPolicy) -> None:
    """Create an index with these settings and mappings. One of that name is that of an earlier attempt."""

    def ask() -> None:
        if not client.indices.exists(index=index):  # an earlier attempt's answer may be lost
            client.indices.create(index=index, body=body)

    retry.call(f"creating index {index}", ask)


def put_settings(client: OpenSearch, index: str, settings: JsonObject, retry: RetryPolicy) -> None:
    """Change settings of an index, named without the prefix `index`; None restores a default."""
    retry.call(
        f"changing settings of {index}",
        lambda: client.indices.put_settings(index=index, body={"index": settings}),
    )


def wait_for_replicas(client: OpenSearch, index: str, seconds: int, retry: RetryPolicy) -> None:
    """Wait until all replicas of an index are in place, or for that long: a cluster may have no room."""
    params = {
        "wait_for_status": "green",
        "timeout": f"{seconds}s",
        "ignore": 408,
        "request_timeout": seconds + 10,
    }
    retry.call(f"waiting for replicas of {index}", lambda: client.cluster.health(index=index, params=params))
