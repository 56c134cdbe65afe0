import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection

from mappings.errors import ClusterDown, LabelsError
from plugin_api.commands.ubi_indexes import choose_click_indexes, read_shopper_documents, read_ubi_cluster
from reranker.training.clicks.click_log import LoggedAction, LoggedSearch, UnusableRecord
from tests.fakes.memory_connection import ClientRequest, open_client

QUERIES = [{"query_id": f"q{i}", "user_query": "hub", "query_response_hit_ids": ["7"]} for i in range(3)]
EVENTS = [
    {"action_name": "click", "query_id": "q0", "event_attributes": {"object": {"object_id": "7"}}},
    {"query_id": "q0"},
]


class Log:
    """OpenSearch's scroll over the UBI indexes, two documents a page; `refuse` is (index, status)."""

    def __init__(self) -> None:
        self.indexes = {"ubi_queries": QUERIES, "ubi_events": EVENTS}
        self.refuse: dict[str, int] = {}
        self.failed_shards = 0
        self.bodies: list[dict[str, Any]] = []
        self.cleared: list[str] = []
        self.pages: dict[str, list[list[dict[str, Any]]]] = {}

    def answer(self, request: ClientRequest) -> tuple[int, Any]:
        body = json.loads(request.body or b"{}")
        if request.method == "DELETE":
            self.cleared += body["scroll_id"]
            return 200, {}
        if request.path == "/_search/scroll":
            index = body["scroll_id"]
        else:
            index = request.path.split("/")[1]
            self.bodies.append(body)
            status = self.refuse.get(index, 200 if index in self.indexes else 404)
            if status == 0:
                raise NoConnection("N/A", "connection refused", OSError())
            if status != 200:
                return status, {"error": {"type": "refused"}}
            hits = [
                {"_index": index, "_id": f"d{i}", "_source": source}
                for i, source in enumerate(self.indexes[index])
            ]
            self.pages[index] = [hits[:2], hits[2:]]
        page = self.pages[index].pop(0) if self.pages[index] else []
        shards = {"total": 2, "successful": 2 - self.failed_shards, "skipped": 0}
        return 200, {"_scroll_id": index, "_shards": shards, "hits": {"hits": page}}


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def client(log: Log) -> OpenSearch:
    return open_client(log.answer)


def test_reads_both_indexes_to_their_end(client: OpenSearch, log: Log) -> None:
    found = read_ubi_cluster(client)
    searches = list(found.searches)
    assert [s.query_id for s in searches if isinstance(s, LoggedSearch)] == ["q0", "q1", "q2"]
    click, unusable = found.actions
    assert isinstance(click, LoggedAction)
    assert click.ids == ("7",)
    assert unusable == UnusableRecord("ubi_events/d1", "no action_name")
    assert log.cleared == ["ubi_queries", "ubi_events"]
    assert all(body["query"] == {"match_all": {}} for body in log.bodies)
    assert "query" not in log.bodies[0]["_source"]


def test_attunes_own_events_are_read_where_they_are(client: OpenSearch, log: Log) -> None:
    assert choose_click_indexes(client) == ("ubi_queries", "ubi_events")
    own = ("attune-queries-*", "attune-events-*")
    log.indexes |= {own[0]: [{**QUERIES[0], "user_id": "anna"}], own[1]: EVENTS}
    assert choose_click_indexes(client) == own
    [search] = read_ubi_cluster(client, queries=own[0], events=own[1]).searches
    assert isinstance(search, LoggedSearch)
    assert search.client == "anna"


def test_reads_a_span_of_time_from_indexes_of_other_names(client: OpenSearch, log: Log) -> None:
    log.indexes = {"shop_queries": QUERIES, "shop_events": EVENTS}
    since, until = (
        datetime(2026, 1, 2, tzinfo=UTC),
        datetime(2026, 2, 1, 12, tzinfo=timezone(timedelta(hours=2))),
    )
    found = read_ubi_cluster(client, since, until, "shop_queries", "shop_events")
    assert (len(list(found.searches)), len(list(found.actions))) == (3, 2)
    bounds = {"gte": "2026-01-02T00:00:00.000+00:00", "lt": "2026-02-01T10:00:00.000+00:00"}
    assert [body["query"] for body in log.bodies] == 2 * [
        {"range": {"timestamp": {**bounds, "format": "strict_date_time"}}}
    ]


@pytest.mark.parametrize(
    ("status", "error", "part"),
    [
        (404, LabelsError, "no index ubi_queries: log searches with OpenSearch's UBI plugin"),
        (403, LabelsError, "refused reading ubi_queries: 403 .*check opensearch.user"),
        (500, LabelsError, "refused reading ubi_queries: 500"),
        (0, ClusterDown, "stopped answering while reading ubi_queries"),
    ],
)
def test_refusals_say_what_was_read(
    client: OpenSearch, log: Log, status: int, error: type[Exception], part: str
) -> None:
    log.refuse["ubi_queries"] = status
    with pytest.raises(error, match=part):
        list(read_ubi_cluster(client).searches)


def test_a_log_that_lacks_a_shard_is_refused(client: OpenSearch, log: Log) -> None:
    log.failed_shards = 1
    with pytest.raises(LabelsError, match="ubi_events can't be read whole"):
        list(read_ubi_cluster(client).actions)


def test_shoppers_documents_are_known_again_by_their_ids(client: OpenSearch, log: Log) -> None:
    log.indexes["ubi_queries"] = [{**QUERIES[0], "event_id": "own"}]
    found = list(read_shopper_documents(client, datetime(2026, 1, 2, tzinfo=UTC)))
    assert [where for where, _ in found] == ["ubi_events/d0", "ubi_events/d1", "ubi_queries/d0"]
    assert [document["event_id"] for _, document in found] == ["ubi_events/d0", "ubi_events/d1", "own"]
    assert all("user_id" in body["_source"] and "range" in body["query"] for body in log.bodies)
