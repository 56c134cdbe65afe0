"""What counting says of a product, under `attune.behaviour` of its document."""

import base64
import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from mappings import fields
from mappings.product_key import ProductKey
from mappings.types import JsonObject
from plugin_api.opensearch.doc_values import read_binary
from reranker.behaviour.recommendation import Candidate
from reranker.behaviour.shop_counts import ShopCounts
from reranker.encoders.codec import StoredForm, read_form, unpack_vectors
from reranker.types import Floats

BEHAVIOUR = "attune.behaviour"
"""Field of a product's counts."""

POPULARITY = f"{BEHAVIOUR}.popularity"
RECENT = f"{BEHAVIOUR}.recent"
BY_SHOPPERS = f"{BEHAVIOUR}.by_shoppers"
BY_ORDERS = f"{BEHAVIOUR}.by_orders"
PACKED = f"{BEHAVIOUR}.packed"
"""All of it in one binary value: OpenSearch reads 150 of them in the time of a few `_source`s."""

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
                        "prior": {"type": "half_float", "index": False},
                        "packed": {"type": "binary", "doc_values": True},
                    },
                }
            }
        }
    }
}
"""Addition to a product index's mapping."""

CANDIDATE_FIELDS = (fields.KEY, PACKED)
"""Doc values by which a hit is read as a candidate."""

VECTOR_FIELDS = (*CANDIDATE_FIELDS, fields.TOKENS)
"""The same, with its vector: a tenth of the time that vectors in `_source` take."""

_LEAST = 0.001
_KEY_BYTES = 4
"""Bytes by which a product is known in another's counts. Of a million, two in ten thousand share theirs."""

_NUMBERS = struct.Struct("<ffe")
"""Popularity, recent purchases and the share of buyers who bought again."""

_WEIGHT = struct.Struct(f"<{_KEY_BYTES}sB")
"""A product's key and the code of its weight."""

_MOST_WEIGHT, _STEPS = 2.0, 16
_WEIGHTS = [_MOST_WEIGHT * 2 ** (-code / _STEPS) for code in range(256)]
"""Weight of each code: within 2.2 % of what was packed."""


class _PackedCounts(msgspec.Struct, frozen=True, array_like=True):
    """What PACKED holds, as MessagePack."""

    type: str
    maker: str
    numbers: bytes
    by_shoppers: bytes
    by_orders: bytes
    borrowed: bool = False


_NOT_COUNTED = _PackedCounts("", "", bytes(_NUMBERS.size), b"", b"")


@lru_cache(100_000)
def digest_product(product: str) -> bytes:
    """Return what a product is called in another's packed counts."""
    return hashlib.blake2b(product.encode(), digest_size=_KEY_BYTES).digest()


@lru_cache(100_000)
def make_product_key(product: str) -> str:
    """Return what a product is called in another's counts: 6 characters, whatever its id holds."""
    return base64.urlsafe_b64encode(digest_product(product)).rstrip(b"=").decode()


def build_product_counts(shop: ShopCounts, priors: Mapping[str, float]) -> dict[str, JsonObject]:
    """Return product id → its `attune.behaviour`, for products that somebody bought or clicked.

    `priors` say what each one's popularity adds in searches.
    """
    shoppers, orders = shop.by_shoppers.by_target(), shop.by_orders.by_target()
    ids = shop.product_ids
    counts: dict[str, JsonObject] = {product: {"prior": round(prior, 2)} for product, prior in priors.items()}
    for product, row in shop.rows.items():
        if shop.popularity[row] <= 0:
            continue
        popularity, recent = (
            max(round(float(shares[row]), 3), _LEAST) for shares in (shop.popularity, shop.recent)
        )
        by_shoppers = {ids[source]: weight for source, weight in shoppers.get(row, {}).items()}
        by_orders = {ids[source]: weight for source, weight in orders.get(row, {}).items()}
        packed = _PackedCounts(
            shop.types[row],
            shop.makers[row],
            _NUMBERS.pack(popularity, recent, float(shop.reorder[row])),
            _pack_weights(by_shoppers),
            _pack_weights(by_orders),
        )
        counts[product] = {
            **counts.get(product, {}),
            "popularity": popularity,
            "recent": recent,
            "by_shoppers": _name_weights(by_shoppers),
            "by_orders": _name_weights(by_orders),
            "packed": _encode(packed),
        }
    return counts


def lend_neighbours(
    counts: JsonObject, kinds: tuple[str, str], neighbours: Mapping[str, float]
) -> JsonObject:
    """Return counts of a product that few have bought, with neighbours that are like it.

    `counts` may be empty; `kinds` are its type and maker.
    """
    packed = _read_packed(base64.b64decode(counts["packed"])) if "packed" in counts else _NOT_COUNTED
    lent = msgspec.structs.replace(
        packed, type=kinds[0], maker=kinds[1], by_shoppers=_pack_weights(neighbours), borrowed=True
    )
    return {**counts, "by_shoppers": _name_weights(neighbours), "packed": _encode(lent)}


def _name_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Return weights as OpenSearch finds candidates by them: one digit is enough."""
    return {
        make_product_key(product): float(f"{weight:.1g}")
        for product, weight in weights.items()
        if weight >= _LEAST
    }


def _pack_weights(weights: Mapping[str, float]) -> bytes:
    """Return weights as candidates are scored by them."""
    return b"".join(
        _WEIGHT.pack(digest_product(product), _encode_weight(weight))
        for product, weight in weights.items()
        if weight >= _LEAST
    )


def read_candidates(hits: Sequence[JsonObject], names: Mapping[bytes, str]) -> list[Candidate]:
    """Return hits that have CANDIDATE_FIELDS as candidates, but for those that tell no id.

    `names` maps the digests of the products that matter to their ids. With VECTOR_FIELDS, candidates have
    their vectors too. Raises ModelError for vectors that can't be read.
    """
    return [
        _read_candidate(product, _read_counts(hit), names, vector)
        for hit, vector in zip(hits, read_hit_vectors(hits), strict=True)
        if (product := read_hit_id(hit))
    ]


def _read_candidate(
    product: str, counts: _PackedCounts, names: Mapping[bytes, str], vector: Floats | None
) -> Candidate:
    popularity, recent, reorder = _NUMBERS.unpack(counts.numbers)
    return Candidate(
        product,
        counts.type,
        counts.maker,
        popularity,
        recent,
        reorder,
        _read_weights(counts.by_shoppers, names),
        _read_weights(counts.by_orders, names),
        vector,
        counts.borrowed,
    )


def read_hit_id(hit: Mapping[str, object]) -> str:
    """Return the id of a hit: its `_id`, or the one in its `attune.key`; empty where it has neither."""
    if "_id" in hit:
        return str(hit["_id"])
    key = ProductKey.unpack(_read_binary(hit, fields.KEY))
    return key.id if key else ""


def _read_counts(hit: Mapping[str, object]) -> _PackedCounts:
    stored = _read_binary(hit, PACKED)
    return _read_packed(stored) if stored else _NOT_COUNTED


def _read_packed(packed: bytes) -> _PackedCounts:
    return msgspec.msgpack.decode(packed, type=_PackedCounts)


def _encode(packed: _PackedCounts) -> str:
    return base64.b64encode(msgspec.msgpack.encode(packed)).decode()


def _read_binary(hit: Mapping[str, object], field: str) -> bytes:
    """Return a binary doc value of a hit; empty where it has none."""
    values = _object(hit.get("fields")).get(field)
    return read_binary(values if isinstance(values, list) else None)


def _read_weights(packed: bytes, names: Mapping[bytes, str]) -> dict[str, float]:
    return {names[key]: _WEIGHTS[code] for key, code in _WEIGHT.iter_unpack(packed) if key in names}


def _encode_weight(weight: float) -> int:
    return min(max(round(_STEPS * math.log2(_MOST_WEIGHT / weight)), 0), 255)


def read_hit_vectors(hits: Sequence[JsonObject]) -> list[Floats | None]:
    """Return the unit vector of each hit, None where it has none. Raises ModelError where it is cut short."""
    stored = [_read_binary(hit, fields.TOKENS) for hit in hits]
    rows: dict[StoredForm, list[int]] = {}
    for row, each in enumerate(stored):
        if each:
            rows.setdefault(read_form(each), []).append(row)
    vectors: list[Floats | None] = [None] * len(hits)
    for alike in rows.values():
        for row, vector in zip(alike, unpack_vectors([stored[row] for row in alike]), strict=True):
            vectors[row] = vector
    return vectors


def read_text(source: Mapping[str, object], path: str) -> str:
    """Return the text at a dotted path of a document; the first of a list; empty where there is none."""
    value: object = source
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, list):
        value = value[0] if value else None
    return str(value) if isinstance(value, str | int | float) else ""


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
