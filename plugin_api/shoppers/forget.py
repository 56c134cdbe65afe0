"""Removes a shopper everywhere, and proves it by looking for them again."""

from dataclasses import asdict, dataclass

from mappings.types import JsonObject
from plugin_api.shoppers.cluster import ClusterRequests, ShopperStoreError
from plugin_api.shoppers.event_store import EVENT_INDEXES, QUERY_INDEXES
from plugin_api.shoppers.profile_store import profile_path
from plugin_api.shoppers.pseudonyms import hash_shopper

_ALLOW_NONE = "allow_no_indices=true&ignore_unavailable=true"


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was removed of a shopper, and what is left: all of it is 0 where they are forgotten."""

    profiles_removed: int
    events_removed: int
    queries_removed: int
    documents_left: int

    def as_json(self) -> JsonObject:
        """Return the report for programs."""
        return asdict(self)


def forget_shopper(requests: ClusterRequests, key: str, shopper: str) -> ForgetReport:
    """Delete a user's or client's profile, events and queries; then count what is left.

    Counts of products hold no shopper, and are counted anew by `attune count`. Raises ShopperStoreError where
    something is left, and BadRequest without a key.
    """
    pseudonym = hash_shopper(key, shopper)
    document = profile_path(pseudonym)
    status, _ = requests.ask("DELETE", f"{document}?refresh=true", also=(404,))
    removed = [_delete(requests, indexes, pseudonym) for indexes in (EVENT_INDEXES, QUERY_INDEXES)]
    remaining = sum(_count(requests, indexes, pseudonym) for indexes in (EVENT_INDEXES, QUERY_INDEXES))
    remaining += requests.ask("GET", f"{document}?_source=false", also=(404,))[0] == 200
    if remaining:
        raise ShopperStoreError(f"{remaining} documents of the shopper are left: forget them again")
    return ForgetReport(int(status != 404), removed[0], removed[1], remaining)


def _query(pseudonym: str) -> JsonObject:
    clauses = [{"term": {name: pseudonym}} for name in ("client_id", "user_id")]
    return {"query": {"bool": {"should": clauses, "minimum_should_match": 1}}}


def _delete(requests: ClusterRequests, indexes: str, pseudonym: str) -> int:
    """Delete events, also those that no search could see yet."""
    requests.ask("POST", f"/{indexes}/_refresh?{_ALLOW_NONE}")
    target = f"/{indexes}/_delete_by_query?refresh=true&conflicts=proceed&{_ALLOW_NONE}"
    _, answer = requests.ask("POST", target, _query(pseudonym))
    return int(answer["deleted"])


def _count(requests: ClusterRequests, indexes: str, pseudonym: str) -> int:
    return int(requests.ask("POST", f"/{indexes}/_count?{_ALLOW_NONE}", _query(pseudonym))[1]["count"])
