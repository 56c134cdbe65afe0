"""The preview shop, with profiles of shoppers."""

import json
import time
from collections.abc import Mapping

from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.shoppers.behaviour_store import MODELS
from plugin_api.shoppers.profile_store import USERS, pack_profile
from plugin_api.shoppers.pseudonyms import hash_shopper
from reranker.behaviour.counts import Profile, add_purchases, add_texts, add_views
from tests.fakes.preview_shop import PreviewShop, shipped_model

KEY = "secret"


class ShopWithProfiles(PreviewShop):
    """The preview shop, with profiles by pseudonym; `broken` answers for them with an error."""

    def __init__(self) -> None:
        super().__init__(shipped_model())
        self.profiles: dict[str, Profile] = {}
        self.broken = False
        self.profile_reads = 0

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        if target.startswith(f"/{MODELS}/"):
            return OpenSearchResponse(404, (), b"{}")
        if not target.startswith(f"/{USERS}/_doc/"):
            return super().request(method, target, headers, body, timeout_seconds)
        self.profile_reads += 1
        if self.broken:
            raise TimeoutError("OpenSearch did not answer in time")
        profile = self.profiles.get(target.rpartition("/")[2])
        if profile is None:
            return OpenSearchResponse(404, (), b'{"found": false}')
        answer = {"_source": pack_profile(profile), "_seq_no": 1, "_primary_term": 1}
        return OpenSearchResponse(200, (), json.dumps(answer).encode())

    def remember(self, user: str, *products: str) -> None:
        """Make a shopper who bought products five times."""
        profile = Profile()
        today = time.time() / 86_400
        for week in range(5):
            profile = add_purchases(profile, products, today - 7 * week)
        self.profiles[hash_shopper(KEY, user)] = profile

    def show(self, user: str, *products: str) -> None:
        """Make a shopper who viewed products just now, and bought nothing."""
        self.profiles[hash_shopper(KEY, user)] = add_views(Profile(), products, time.time() / 86_400)

    def read_texts(self, user: str, *texts: str) -> None:
        """Make a shopper who just searched for texts, and did nothing else."""
        self.profiles[hash_shopper(KEY, user)] = add_texts(Profile(), texts, time.time() / 86_400)
