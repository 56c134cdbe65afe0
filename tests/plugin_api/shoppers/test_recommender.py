import json
import time
from typing import Any

import msgspec

from mappings.settings import Settings, ShopperSettings
from plugin_api.shoppers.behaviour_store import MODELS
from plugin_api.shoppers.profile_store import USERS, pack_profile
from plugin_api.shoppers.recommend_call import RecommendCall
from plugin_api.shoppers.recommender import Recommender
from reranker.behaviour.counts import Profile, add_purchases
from reranker.behaviour.recommendation import RecommendationKind
from tests.fakes.json_client import JsonClient

HITS = {"hits": {"hits": [{"_id": "tea", "_source": {"title": "Tea"}, "matched_queries": []}]}}


class TeaShop(JsonClient):
    """An index of one product, whose orders were not counted. `lists` are the bodies of lists of searches."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: list[bytes] = []

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        if method == "GET":
            return 404, {}
        if target.endswith("/_msearch"):
            self.lists.append(body)
            return 200, {"responses": [HITS] * len(body.splitlines()[1::2])}
        return 200, HITS


def test_a_source_written_over_several_lines_stays_one_search() -> None:
    shop = TeaShop()
    source = msgspec.Raw(b'{\n  "includes": ["title"]\n}')
    answer = Recommender(shop, Settings()).recommend(
        RecommendCall(kind=RecommendationKind.TRENDING, source=source), {}
    )
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["tea"]
    lines = shop.lists[-1].splitlines()
    assert json.loads(lines[1])["_source"] == {"includes": ["title"]}
    assert len(lines) == 2


def test_a_long_history_is_answered_by_three_requests() -> None:
    shop = LongHistory()
    settings = Settings(shoppers=ShopperSettings(key="secret"))
    answer = Recommender(shop, settings).recommend(RecommendCall(user="anna", size=1), {})
    assert answer["ext"]["attune"]["known_products"] == 150
    assert shop.paths == ["profile", "model", "_msearch", "_msearch"]
    candidates, kinds = json.loads(shop.lists[0].splitlines()[1]), json.loads(shop.lists[0].splitlines()[3])
    assert "knn" not in json.dumps(candidates["query"])
    assert len(kinds["query"]["ids"]["values"]) == 50  # those that are no candidates by themselves
    filtered = RecommendCall(user="anna", size=1, filter=msgspec.Raw(b'{"term": {"available": true}}'))
    Recommender(shop, settings).recommend(filtered, {})
    kinds = json.loads(shop.lists[2].splitlines()[3])
    assert len(kinds["query"]["ids"]["values"]) == 150


class LongHistory(TeaShop):
    """The tea shop, and a shopper who bought 150 products."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        if f"/{USERS}/" not in target:
            self.paths.append("model" if f"/{MODELS}/" in target else target.rpartition("/")[2])
            return super().answer(method, target, body)
        self.paths.append("profile")
        profile = add_purchases(Profile(), [f"p{number}" for number in range(150)], time.time() / 86_400 - 3)
        return 200, {"_source": pack_profile(profile), "_seq_no": 1, "_primary_term": 1}
