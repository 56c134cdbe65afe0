import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from plugin_api.shoppers.cluster import ClusterRequests, ShopperStoreError
from plugin_api.shoppers.event_store import EventStore
from plugin_api.shoppers.profile_store import USERS, ProfileStore
from plugin_api.shoppers.pseudonyms import hash_shopper
from reranker.behaviour.counts import MAX_TEXTS, TEXT_CHARACTERS, Profile
from tests.fakes.shopper_cluster import ShopperCluster

NOW = 1_800_000_000.0
DAY = 86_400.0
ANNA = hash_shopper("key", "anna")


def _buy(product: str, days_ago: float = 0.0, order: str = "1", user: str = "anna") -> dict[str, Any]:
    return {
        "action_name": "purchase",
        "user_id": user,
        "timestamp": (NOW - days_ago * DAY) * 1000,
        "event_attributes": {"object": {"object_id": product}, "order_id": order},
    }


@pytest.fixture
def cluster() -> ShopperCluster:
    return ShopperCluster()


@pytest.fixture
def store(cluster: ShopperCluster) -> EventStore:
    return EventStore(ClusterRequests(cluster, {}), "key", 400)


def _profile(cluster: ShopperCluster, shopper: str = ANNA) -> Profile:
    return ProfileStore(ClusterRequests(cluster, {})).read(shopper).profile


def test_purchases_are_in_the_profile_at_once(store: EventStore, cluster: ShopperCluster) -> None:
    report = store.store([_buy("tea", 21), _buy("milk", 21), _buy("tea", 0, "2")], NOW)
    assert (report.stored, report.duplicates, report.rejected) == (3, 0, {})
    profile = _profile(cluster)
    assert profile.bought["tea"].orders == 2
    assert profile.bought["tea"].gap == 21
    assert profile.bought["milk"].orders == 1


def test_events_that_come_again_change_nothing(store: EventStore, cluster: ShopperCluster) -> None:
    store.store([_buy("tea")], NOW)
    report = store.store([_buy("tea"), _buy("tea")], NOW + 60)
    assert (report.stored, report.duplicates) == (0, 2)
    assert _profile(cluster).bought["tea"].orders == 1


def test_views_are_remembered(store: EventStore, cluster: ShopperCluster) -> None:
    click = {**_buy("tea"), "action_name": "click"}
    store.store([click, {**click, "action_name": "impression"}], NOW)
    assert list(_profile(cluster).viewed) == ["tea"]
    assert not _profile(cluster).bought


def test_a_broken_document_stops_no_other(store: EventStore, cluster: ShopperCluster) -> None:
    report = store.store([{"action_name": "click"}, _buy("tea")], NOW)
    assert report.stored == 1
    assert list(report.rejected) == [0]


def test_a_change_at_the_same_time_is_not_lost(store: EventStore, cluster: ShopperCluster) -> None:
    store.store([_buy("tea")], NOW)
    cluster.meddle = [ANNA, ANNA]
    store.store([_buy("milk", 0, "2")], NOW)
    assert set(_profile(cluster).bought) == {"tea", "milk"}


def test_endless_conflicts_are_said(store: EventStore, cluster: ShopperCluster) -> None:
    cluster.meddle = [ANNA] * 100
    with pytest.raises(ShopperStoreError, match="others change it too"):
        store.store([_buy("tea")], NOW)


def test_months_past_the_retention_are_deleted(store: EventStore, cluster: ShopperCluster) -> None:
    store.store([_buy("tea", 390), _buy("milk")], NOW)
    assert store.drop_old(NOW) == []
    later = NOW + 60 * DAY
    assert store.drop_old(later) == ["attune-events-2025.12"]
    assert [s["event_attributes"]["object"]["object_id"] for s in cluster.sources("attune-events-*")] == [
        "milk"
    ]


def test_a_profile_of_200_products_is_small(store: EventStore, cluster: ShopperCluster) -> None:
    for order in range(5):
        store.store(
            [_buy(f"10{at:05d}", 100 - order, str(order)) for at in range(60 * order, 60 * order + 60)], NOW
        )
    (source,) = cluster.sources(USERS)
    assert len(source["products"]) == 200
    assert len(str(source)) < 8_000  # before compression


def _search(text: str, days_ago: float = 0.0) -> dict[str, Any]:
    return {"user_query": text, "user_id": "anna", "timestamp": (NOW - days_ago * DAY) * 1000}


def test_queries_and_titles_viewed_are_remembered_for_a_while(
    store: EventStore, cluster: ShopperCluster
) -> None:
    click = {**_buy("tea", 1), "action_name": "click"}
    click["event_attributes"]["object"]["description"] = "Green tea,  loose 100 g"
    store.store([_search("diapers", 40), _search("herbal tea", 2), click, _search("x" * 500)], NOW)
    assert list(_profile(cluster).texts) == ["herbal tea", "Green tea, loose 100 g", "x" * TEXT_CHARACTERS]
    store.store([_search(f"tea {number}") for number in range(30)], NOW)
    assert len(_profile(cluster).texts) == MAX_TEXTS


def test_titles_are_in_no_stored_event(store: EventStore, cluster: ShopperCluster) -> None:
    click = _buy("tea") | {"action_name": "click"}
    click["event_attributes"]["object"]["description"] = "Green tea"
    store.store([click], NOW)
    assert "Green tea" not in str(cluster.sources("attune-events-*"))


def test_profiles_that_nothing_changed_in_the_retention_are_deleted(
    store: EventStore, cluster: ShopperCluster
) -> None:
    store.store([_buy("tea")], NOW)
    store.drop_old(NOW + 399 * DAY)
    assert _profile(cluster).bought
    store.drop_old(NOW + 401 * DAY)
    assert _profile(cluster) == Profile()


class _SlowCluster(ShopperCluster):
    """Requests to a path wait until `go` is set, and say so by `writes`."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.writes, self.go = threading.Event(), threading.Event()

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        if target == self.path:
            self.writes.set()
            assert self.go.wait(60)
        return super().answer(method, target, body)


def test_what_comes_while_others_write_is_written_together() -> None:
    cluster = _SlowCluster("/_bulk")
    store = EventStore(ClusterRequests(cluster, {}), "key", 400, writers=1)
    calls = [[_buy("first")], *([_buy(f"p{n}", user=f"u{n % 3}")] for n in range(9)), [_buy("p0", user="u0")]]
    with ThreadPoolExecutor(len(calls)) as pool:
        leading = pool.submit(store.store, calls[0], NOW)
        assert cluster.writes.wait(60)
        others = [pool.submit(store.store, call, NOW) for call in calls[1:]]
        while store.waiting < len(others):
            assert not leading.done()
        cluster.go.set()
        reports = [other.result(60) for other in others]
    assert cluster.requests.count(("POST", "/_bulk")) == 2
    assert sum(report.stored for report in reports) == 9
    assert sum(report.duplicates for report in reports) == 1
    assert set(_profile(cluster, hash_shopper("key", "u1")).bought) == {"p1", "p4", "p7"}


def test_writers_that_start_at_once_prepare_the_cluster_once() -> None:
    cluster = _SlowCluster(template := "/_index_template/attune-behaviour")
    store = EventStore(ClusterRequests(cluster, {}), "key", 400, writers=2)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.store, [_buy("tea")], NOW)
        assert cluster.writes.wait(60)
        second = pool.submit(store.store, [_buy("milk")], NOW)
        while store.waiting:
            assert not first.done()
        cluster.go.set()
        assert (first.result(60).stored, second.result(60).stored) == (1, 1)
    assert cluster.requests.count(("PUT", template)) == 1


class _Contended(deque[Any]):
    """A queue that looks full, because other threads take from it between a look and the next step."""

    def __bool__(self) -> bool:
        return True


def test_a_queue_that_others_empty_meanwhile_leaves_no_call_waiting(
    store: EventStore, cluster: ShopperCluster
) -> None:
    store._queue = _Contended()
    done = ThreadPoolExecutor(1).submit(store.store, [_buy("tea")], NOW)
    assert done.result(timeout=60).stored == 1


def test_a_failure_reaches_every_call_and_the_next_one_is_stored() -> None:
    cluster = ShopperCluster()
    store = EventStore(ClusterRequests(cluster, {}), "key", 400)
    cluster.meddle = [ANNA] * 8
    with pytest.raises(ShopperStoreError, match="others change it too"):
        store.store([_buy("tea")], NOW)
    assert store.store([_buy("milk")], NOW).stored == 1
