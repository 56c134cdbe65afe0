"""A request for recommendations, as it comes."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from reranker.behaviour.recommendation import RecommendationKind

_Id = Annotated[str, Meta(max_length=512)]


class RecommendBoost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Products that a business wants higher: a `weight` of 1 is one standard deviation of all scores."""

    filter: Raw
    weight: Annotated[float, Meta(ge=-10, le=10)]


class RecommendCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "_source"}):
    """What is recommended, for whom, and among which products.

    `products` are the product, the basket, or what was viewed last, oldest first. `filter` is a query of
    OpenSearch's, or a list of them; `source` is what `_source` is in a search. `client` is what
    `ext.attune.client` is in a search, in a domain that has rules.
    """

    index: Annotated[str, Meta(max_length=255, pattern=r"^[^/?#,*\s]*$")] = ""
    kind: RecommendationKind = RecommendationKind.NEXT_PURCHASE
    user: Annotated[str, Meta(max_length=256)] = ""
    products: Annotated[list[_Id], Meta(max_length=100)] = []
    size: Annotated[int, Meta(ge=1, le=100)] = 10
    filter: Raw | UnsetType = UNSET
    exclude: Annotated[list[_Id], Meta(max_length=1_000)] = []
    boosts: Annotated[list[RecommendBoost], Meta(max_length=20)] = []
    diversity: Annotated[float, Meta(ge=0, le=1)] = 0.0
    source: Raw | UnsetType = UNSET
    client: dict[str, Any] | UnsetType = UNSET
