"""Reads what is stored of orders, and what an alias says of the products in them."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

from mappings.settings import ShopperSettings
from mappings.types import JsonObject
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EVENT_INDEXES
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.product_counts import read_text
from reranker.behaviour.purchases import Purchase
from reranker.training.clicks.click_log import ACTIONS, ActionKind

_PAGE = 5_000
_KEEP_ALIVE = "5m"


def read_product_kinds(
    requests: ClusterRequests, alias: str, settings: ShopperSettings
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each product's id with its type and maker."""
    names = [settings.type_field, settings.maker_field]
    for hit in scan_hits(requests, alias, {"query": {"match_all": {}}, "_source": names}):
        source = hit.get("_source", {})
        yield hit["_id"], (read_text(source, names[0]), read_text(source, names[1]))


def read_actions(requests: ClusterRequests, *kinds: ActionKind) -> Iterator[Purchase]:
    """Yield every purchase, or other action of these kinds, that events tell of. Users are pseudonyms.

    What was done on one day, of no order, is one order.
    """
    names = [name for name, action in ACTIONS.items() if action in kinds]
    source = ["timestamp", "client_id", "user_id", "event_attributes"]
    for hit in scan_hits(
        requests, EVENT_INDEXES, {"query": {"terms": {"action_name": names}}, "_source": source}
    ):
        event = hit["_source"]
        attributes = event.get("event_attributes", {})
        product = attributes.get("object", {}).get("object_id", "")
        if product:
            day = datetime.fromisoformat(event["timestamp"]).timestamp() / SECONDS_A_DAY
            shopper = event.get("user_id") or event["client_id"]
            yield Purchase(shopper, product, str(attributes.get("order_id") or int(day)), day)


def scan_hits(requests: ClusterRequests, index: str, search: JsonObject) -> Iterator[JsonObject]:
    """Yield every hit of a search, as of now."""
    requests.ask("POST", f"/{quote(index, safe='*,')}/_refresh?allow_no_indices=true&ignore_unavailable=true")
    target = f"/{quote(index, safe='*,')}/_search/point_in_time?keep_alive={_KEEP_ALIVE}"
    status, opened = requests.ask("POST", target, also=(400, 404))  # 400: no index has such a name
    if status != 200 or not opened.get("pit_id"):
        return
    point = opened["pit_id"]
    after: list[object] | None = None
    try:
        while True:
            body = {
                **search,
                "size": _PAGE,
                "pit": {"id": point, "keep_alive": _KEEP_ALIVE},
                "sort": [{"_shard_doc": "asc"}],
                **({"search_after": after} if after else {}),
            }
            hits = requests.ask("POST", "/_search", body)[1]["hits"]["hits"]
            yield from hits
            if len(hits) < _PAGE:
                return
            after = hits[-1]["sort"]
    finally:
        requests.ask("DELETE", "/_search/point_in_time", {"pit_id": [point]}, also=(404,))
