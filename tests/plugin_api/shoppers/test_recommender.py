import json
from collections.abc import Mapping
from typing import Any

import msgspec

from mappings.settings import Settings
from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.shoppers.recommend_call import RecommendCall
from plugin_api.shoppers.recommender import Recommender
from reranker.behaviour.recommendation import RecommendationKind

HITS = {"hits": {"hits": [{"_id": "tea", "_source": {"title": "Tea"}}]}}


class TeaShop:
    """An index of one product, whose orders were not counted. `lists` are the bodies of lists of searches."""

    def __init__(self) -> None:
        self.lists: list[bytes] = []

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        answer: dict[str, Any] = HITS
        if method == "GET":
            return OpenSearchResponse(404, (), b"{}")
        if target.endswith("/_msearch"):
            self.lists.append(body)
            answer = {"responses": [HITS] * len(body.splitlines()[1::2])}
        return OpenSearchResponse(200, (), json.dumps(answer).encode())


def test_a_source_written_over_several_lines_stays_one_search() -> None:
    shop = TeaShop()
    source = msgspec.Raw(b'{\n  "includes": ["title"]\n}')
    answer = Recommender(shop, Settings()).recommend(
        RecommendCall(kind=RecommendationKind.TRENDING, source=source), {}
    )
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["tea"]
    (lines,) = [body.splitlines() for body in shop.lists]
    assert json.loads(lines[1])["_source"] == {"includes": ["title"]}
    assert len(lines) == 2
