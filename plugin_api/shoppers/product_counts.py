"""What counting says of a product, under `attune.behaviour` of its document."""

import base64
import hashlib
from collections.abc import Mapping

import numpy as np

from mappings import fields
from mappings.types import JsonObject
from reranker.behaviour.recommendation import Candidate
from reranker.behaviour.shop_counts import ShopCounts
from reranker.encoders.codec import normalise

BEHAVIOUR = "attune.behaviour"
"""Field of a product's counts."""

POPULARITY = f"{BEHAVIOUR}.popularity"
RECENT = f"{BEHAVIOUR}.recent"
BY_SHOPPERS = f"{BEHAVIOUR}.by_shoppers"
BY_ORDERS = f"{BEHAVIOUR}.by_orders"

COUNTS_MAPPING: JsonObject = {
    "properties": {
        fields.ATTUNE: {
            "properties": {
                "behaviour": {
                    "dynamic": False,
                    "properties": {
                        "popularity": {"type": "rank_feature"},
                        "recent": {"type": "rank_feature"},
                        "by_shoppers": {"type": "rank_features"},
                        "by_orders": {"type": "rank_features"},
                    },
                }
            }
        }
    }
}
"""Addition to a product index's mapping."""

_LEAST = 0.001


def make_product_key(product: str) -> str:
    """Return what a product is called in another's counts: 8 characters, whatever its id holds."""
    return base64.urlsafe_b64encode(hashlib.blake2b(product.encode(), digest_size=6).digest()).decode()


def build_product_counts(shop: ShopCounts) -> dict[str, JsonObject]:
    """Return product id → its `attune.behaviour`, for products that somebody bought."""
    shoppers, orders = shop.by_shoppers.by_target(), shop.by_orders.by_target()
    keys = [make_product_key(product) for product in shop.product_ids]

    def name(weights: Mapping[int, float]) -> dict[str, float]:
        return {keys[row]: round(weight, 3) for row, weight in weights.items() if weight >= _LEAST}

    return {
        product: {
            "popularity": round(max(float(shop.popularity[row]), _LEAST), 3),
            "recent": round(max(float(shop.recent[row]), _LEAST), 3),
            "reorder": round(float(shop.reorder[row]), 3),
            "by_shoppers": name(shoppers.get(row, {})),
            "by_orders": name(orders.get(row, {})),
        }
        for product, row in shop.rows.items()
        if shop.popularity[row] > 0
    }


def read_candidate(
    hit: Mapping[str, object], names: Mapping[str, str], type_field: str, maker_field: str
) -> Candidate:
    """Return a hit as a candidate; `names` maps the keys of the products that matter to their ids."""
    source = _object(hit.get("_source"))
    own = _object(source.get(fields.ATTUNE))
    counts = _object(own.get("behaviour"))
    vector = own.get("vector")
    return Candidate(
        str(hit["_id"]),
        read_text(source, type_field),
        read_text(source, maker_field),
        _number(counts.get("popularity")),
        _number(counts.get("recent")),
        _number(counts.get("reorder")),
        _weights(counts.get("by_shoppers"), names),
        _weights(counts.get("by_orders"), names),
        normalise(np.asarray(vector, dtype=np.float32)) if isinstance(vector, list) and vector else None,
    )


def read_text(source: Mapping[str, object], path: str) -> str:
    """Return the text at a dotted path of a document; the first of a list; empty where there is none."""
    value: object = source
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, list):
        value = value[0] if value else None
    return str(value) if isinstance(value, str | int | float) else ""


def _weights(value: object, names: Mapping[str, str]) -> dict[str, float]:
    return {names[key]: _number(weight) for key, weight in _object(value).items() if key in names}


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
