"""Profiles in OpenSearch: one small document a shopper. It is read by id: the next read sees a change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import dumps
from plugin_api.shoppers.cluster import ClusterRequests, ShopperStoreError
from reranker.behaviour.counts import ProductCount, Profile

USERS = "attune-users"
"""Index of the profiles."""

_ATTEMPTS = 8

_USERS_BODY = {
    "settings": {
        "index": {
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            "codec": "best_compression",
            "refresh_interval": "30s",
        }
    },
    "mappings": {"dynamic": False, "properties": {"updated": {"type": "date"}}},
}


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile and the version of its document; both numbers are -1 for one that is not stored."""

    profile: Profile
    seq_no: int = -1
    primary_term: int = -1


class ProfileStore:
    """Reads and changes profiles by pseudonym. Thread-safe."""

    def __init__(self, requests: ClusterRequests) -> None:
        self._requests = requests

    def create_index(self) -> None:
        """Create the index where it is not there yet."""
        self._requests.create_index(USERS, _USERS_BODY)

    def read(self, shopper: str, timeout_seconds: float | None = None) -> StoredProfile:
        """Return a shopper's profile; an empty one where none is stored."""
        status, answer = self._requests.ask("GET", profile_path(shopper), None, (404,), timeout_seconds)
        if status == 404:
            return StoredProfile(Profile())
        return StoredProfile(unpack_profile(answer["_source"]), answer["_seq_no"], answer["_primary_term"])

    def change_all(self, changes: Mapping[str, Callable[[Profile], Profile]], updated: str) -> None:
        """Store what each shopper's change makes of the profile. Others' changes meanwhile are not lost.

        It takes two requests, however many shoppers. `updated` is an ISO 8601 time. Raises ShopperStoreError
        where others keep changing a profile.
        """
        waiting = dict(changes)
        for _ in range(_ATTEMPTS):
            if not waiting:
                return
            lines = b"".join(
                dumps(_name_version(shopper, stored))
                + b"\n"
                + dumps({**pack_profile(waiting[shopper](stored.profile)), "updated": updated})
                + b"\n"
                for shopper, stored in self._read_all(list(waiting)).items()
            )
            items = self._requests.ask("POST", f"/{USERS}/_bulk", lines)[1]["items"]
            results = [next(iter(item.values())) for item in items]
            for result in results:
                if result["status"] >= 300 and result["status"] != 409:
                    raise ShopperStoreError(f"OpenSearch refused a profile: {result['error']['reason']}")
            late = {result["_id"] for result in results if result["status"] == 409}
            waiting = {shopper: change for shopper, change in waiting.items() if shopper in late}
        if waiting:
            raise ShopperStoreError(
                f"a profile could not be changed in {_ATTEMPTS} attempts: others change it too"
            )

    def drop_old(self, oldest: str) -> int:
        """Delete the profiles that nothing changed since `oldest`, an ISO 8601 time; return how many."""
        query = {"query": {"range": {"updated": {"lt": oldest}}}}
        self._requests.ask("POST", f"/{USERS}/_refresh", also=(404,))
        target = f"/{USERS}/_delete_by_query?conflicts=proceed&refresh=true"
        status, answer = self._requests.ask("POST", target, query, also=(404,))
        return int(answer["deleted"]) if status == 200 else 0

    def _read_all(self, shoppers: Sequence[str]) -> dict[str, StoredProfile]:
        documents = self._requests.ask("POST", f"/{USERS}/_mget", {"ids": shoppers})[1]["docs"]
        return {
            document["_id"]: StoredProfile(
                unpack_profile(document["_source"]), document["_seq_no"], document["_primary_term"]
            )
            if document.get("found")
            else StoredProfile(Profile())
            for document in documents
        }


def _name_version(shopper: str, stored: StoredProfile) -> JsonObject:
    """Return the action of a bulk request that writes a profile only where it is still as it was read."""
    if stored.seq_no < 0:
        return {"create": {"_id": shopper}}
    version = {"if_seq_no": stored.seq_no, "if_primary_term": stored.primary_term}
    return {"index": {"_id": shopper, **version}}


def profile_path(shopper: str) -> str:
    """Return the path of a shopper's document, by pseudonym."""
    return f"/{USERS}/_doc/{quote(shopper, safe='')}"


def pack_profile(profile: Profile) -> JsonObject:
    """Return a profile as a document: columns, days relative to the last one."""
    day = max((count.last for count in profile.bought.values()), default=0)
    counts = list(profile.bought.values())
    return {
        "day": day,
        "products": list(profile.bought),
        "counts": [round(count.decayed, 2) for count in counts],
        "orders": [count.orders for count in counts],
        "ages": [day - count.last for count in counts],
        "spans": [count.last - count.first for count in counts],
        "viewed": list(profile.viewed),
        "views": [round(at, 3) for at in profile.viewed.values()],
        "texts": list(profile.texts),
        "read": [round(at, 3) for at in profile.texts.values()],
    }


def unpack_profile(source: JsonObject) -> Profile:
    """Return the profile that `pack_profile` made a document of."""
    day = source["day"]
    columns = (source[name] for name in ("products", "counts", "orders", "ages", "spans"))
    bought = {
        product: ProductCount(count, orders, day - age - span, day - age)
        for product, count, orders, age, span in zip(*columns, strict=True)
    }
    viewed, texts = (
        dict(zip(source[name], source[days], strict=True))
        for name, days in (("viewed", "views"), ("texts", "read"))
    )
    return Profile(bought, viewed, texts)
