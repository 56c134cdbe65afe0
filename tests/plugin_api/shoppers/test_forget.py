import pytest

from mappings.errors import BadRequest
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EventStore
from plugin_api.shoppers.forget import forget_shopper
from plugin_api.shoppers.pseudonyms import has_opted_out
from tests.fakes.shopper_cluster import ShopperCluster

NOW = 1_800_000_000.0


def _events(user: str) -> list[dict[str, object]]:
    click = {
        "action_name": "click",
        "event_attributes": {"object": {"object_id": "tea"}},
        "timestamp": NOW * 1000,
    }
    return [
        {**click, "user_id": user},
        {**click, "client_id": f"{user}s browser", "user_id": user},
        {"user_query": "tea", "client_id": user, "timestamp": NOW * 1000},
    ]


def test_nothing_of_a_forgotten_shopper_is_left_and_all_of_others() -> None:
    cluster = ShopperCluster()
    requests = ClusterRequests(cluster, {})
    store = EventStore(requests, "key", 400)
    store.store(_events("anna") + _events("ben"), NOW)
    report = forget_shopper(requests, "key", "anna")
    assert (report.profiles_removed, report.events_removed, report.queries_removed) == (1, 2, 1)
    assert report.documents_left == 0
    assert len(cluster.sources("attune-*")) == 4  # ben's events, query and profile
    assert forget_shopper(requests, "key", "anna").events_removed == 0


def test_forgetting_needs_the_key() -> None:
    with pytest.raises(BadRequest, match=r"shoppers\.key"):
        forget_shopper(ClusterRequests(ShopperCluster(), {}), "", "anna")


@pytest.mark.parametrize(
    ("headers", "opted_out"),
    [
        ({"X-Attune-Personal": "off"}, True),
        ({"Sec-GPC": "1"}, True),
        ({"dnt": "1"}, True),
        ({"DNT": "0"}, False),
        ({"X-Attune-Personal": "on"}, False),
        ({}, False),
    ],
)
def test_opting_out(headers: dict[str, str], opted_out: bool) -> None:
    assert has_opted_out(headers) is opted_out
