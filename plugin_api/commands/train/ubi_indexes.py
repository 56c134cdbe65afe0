"""UBI logs from the cluster: the indexes `ubi_queries` and `ubi_events` of OpenSearch's UBI plugin."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import NotFoundError, TransportError
from opensearchpy.helpers import scan
from opensearchpy.helpers.errors import ScanError

from mappings.errors import ClusterDown, LabelsError
from mappings.types import JsonObject
from reranker.training.clicks.click_log import ClickLog, UnusableRecord, parse_action, parse_search

_QUERIES = "ubi_queries"
_EVENTS = "ubi_events"

_QUERY_FIELDS = (
    "query_id",
    "client_id",
    "user_query",
    "timestamp",
    "query_response_hit_ids",
    "query_response_object_ids",
)
_EVENT_FIELDS = (
    "action_name",
    "query_id",
    "client_id",
    "timestamp",
    "event_attributes.object.object_id",
    "event_attributes.object.internal_id",
    "event_attributes.position.ordinal",
)
_BATCH = 1000
_TIME = "strict_date_time"

_Record = TypeVar("_Record")


def read_ubi_cluster(
    client: OpenSearch,
    since: datetime | None = None,
    until: datetime | None = None,
    queries: str = _QUERIES,
    events: str = _EVENTS,
) -> ClickLog:
    """Open the log that the cluster has, from `since` on and before `until`.

    A time without a zone is local.

    Both indexes are scrolled as the log's iterators are read. That raises LabelsError where an index is
    missing, closed to this user or can't be read whole, ClusterDown where OpenSearch does not answer.
    """
    return ClickLog(
        _read(client, queries, _body(_QUERY_FIELDS, since, until), parse_search),
        _read(client, events, _body(_EVENT_FIELDS, since, until), parse_action),
    )


def _body(fields: Sequence[str], since: datetime | None, until: datetime | None) -> JsonObject:
    bounds = {
        key: time.astimezone(UTC).isoformat(timespec="milliseconds")
        for key, time in (("gte", since), ("lt", until))
        if time
    }
    query: JsonObject = {"range": {"timestamp": {**bounds, "format": _TIME}}} if bounds else {"match_all": {}}
    return {"query": query, "_source": list(fields)}


def _read(
    client: OpenSearch,
    index: str,
    body: JsonObject,
    parse: Callable[[Mapping[str, object], str], _Record | UnusableRecord],
) -> Iterator[_Record | UnusableRecord]:
    try:
        for hit in scan(client, query=body, index=index, size=_BATCH):
            yield parse(hit.get("_source") or {}, f"{hit['_index']}/{hit['_id']}")
    except NotFoundError as error:
        raise LabelsError(
            f"the cluster has no index {index}: log searches with OpenSearch's UBI plugin, "
            "or give the log's two files"
        ) from error
    except NoConnection as error:
        raise ClusterDown(f"OpenSearch stopped answering while reading {index}: {error.error}") from error
    except TransportError as error:
        hint = ": check opensearch.user and opensearch.password" if error.status_code in (401, 403) else ""
        raise LabelsError(
            f"OpenSearch refused reading {index}: {error.status_code} {error.error}{hint}"
        ) from error
    except ScanError as error:
        raise LabelsError(
            f"{index} can't be read whole: {error}. Try again when all its shards answer"
        ) from error
