"""UBI logs from the cluster: the indexes `ubi_queries` and `ubi_events` of OpenSearch's UBI plugin."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import NotFoundError, TransportError
from opensearchpy.helpers import scan
from opensearchpy.helpers.errors import ScanError

from mappings.errors import ClusterDown, LabelsError
from mappings.types import JsonObject
from reranker.training.clicks.click_log import ClickLog, parse_action, parse_search

_QUERIES = "ubi_queries"
_EVENTS = "ubi_events"

_OWN_QUERIES, _OWN_EVENTS = "attune-queries-*", "attune-events-*"
"""Attune's own: what `attune events`, the collector and `POST /_attune/events` stored."""

_QUERY_FIELDS = (
    "query_id",
    "client_id",
    "user_id",
    "user_query",
    "timestamp",
    "query_response_hit_ids",
    "query_response_object_ids",
)
_EVENT_FIELDS = (
    "action_name",
    "query_id",
    "client_id",
    "user_id",
    "timestamp",
    "event_attributes.object.object_id",
    "event_attributes.object.internal_id",
    "event_attributes.position.ordinal",
)
_SHOPPER_FIELDS = ("application", "event_id", "event_attributes.order_id")
"""Fields that say who did it, and in which order, beside those that a click log has."""

_BATCH = 1000
_TIME = "strict_date_time"


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
        (
            parse_search(_name_client(s), at)
            for at, s in _scan_index(client, queries, _body(_QUERY_FIELDS, since, until))
        ),
        (
            parse_action(_name_client(s), at)
            for at, s in _scan_index(client, events, _body(_EVENT_FIELDS, since, until))
        ),
    )


def choose_click_indexes(client: OpenSearch) -> tuple[str, str]:
    """Return the indexes of queries and of events that a click log is read from: Attune's own where they are.

    Raises ClusterDown where OpenSearch does not answer.
    """
    try:
        has_own = client.indices.exists(index=_OWN_QUERIES, allow_no_indices=False)
    except NoConnection as error:
        raise ClusterDown(f"OpenSearch does not answer: {error.error}") from error
    return (_OWN_QUERIES, _OWN_EVENTS) if has_own else (_QUERIES, _EVENTS)


def _name_client(source: JsonObject) -> JsonObject:
    """Return a document whose client is the user that is logged in, where it names no browser."""
    return source if source.get("client_id") else {**source, "client_id": source.get("user_id", "")}


def read_shopper_documents(
    client: OpenSearch, since: datetime | None = None
) -> Iterator[tuple[str, JsonObject]]:
    """Yield the documents of both indexes, from `since` on, each with its index and id.

    A document without an `event_id` gets its index and id as one, so that it is known when it is read again.
    Raises as the iterators of `read_ubi_cluster` do.
    """
    for index, names in ((_EVENTS, _EVENT_FIELDS), (_QUERIES, _QUERY_FIELDS)):
        for where, source in _scan_index(client, index, _body((*names, *_SHOPPER_FIELDS), since, None)):
            yield where, {"event_id": where, **source}


def _body(fields: Sequence[str], since: datetime | None, until: datetime | None) -> JsonObject:
    bounds = {
        key: time.astimezone(UTC).isoformat(timespec="milliseconds")
        for key, time in (("gte", since), ("lt", until))
        if time
    }
    query: JsonObject = {"range": {"timestamp": {**bounds, "format": _TIME}}} if bounds else {"match_all": {}}
    return {"query": query, "_source": list(fields)}


def _scan_index(client: OpenSearch, index: str, body: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Yield an index's documents, each with its index and id."""
    try:
        for hit in scan(client, query=body, index=index, size=_BATCH):
            yield f"{hit['_index']}/{hit['_id']}", hit.get("_source") or {}
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
