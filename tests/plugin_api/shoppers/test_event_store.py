from typing import Any

import pytest

from plugin_api.shoppers.cluster import ClusterRequests, ShopperStoreError
from plugin_api.shoppers.event_store import EventStore
from plugin_api.shoppers.profile_store import USERS, ProfileStore
from plugin_api.shoppers.pseudonyms import hash_shopper
from reranker.behaviour.counts import Profile
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
