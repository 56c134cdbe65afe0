import base64
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from mappings.errors import ModelError
from mappings.product_key import ProductKey
from plugin_api.shoppers.product_counts import (
    build_product_counts,
    digest_product,
    lend_neighbours,
    make_product_key,
    read_candidates,
    read_hit_id,
    read_hit_vectors,
)
from reranker.behaviour.shop_counts import count_shop
from reranker.encoders.codec import pack_product
from tests.fakes.orders import make_order_log

LOG = make_order_log()
SHOP = count_shop(LOG, [p.rstrip("0123456789") for p in LOG.product_ids], [""] * len(LOG.product_ids), 300)
COUNTS = build_product_counts(SHOP, {"sauce": 1.234, "only clicked": 0.4})


def _hit(packed: str, **more: Any) -> dict[str, Any]:
    return {"fields": {"attune.behaviour.packed": [packed.rstrip("=")]}, **more}


def test_what_is_packed_is_read_as_a_candidate() -> None:
    names = {digest_product(product): product for product in ("pasta", "tea")}
    [candidate] = read_candidates([_hit(COUNTS["sauce"]["packed"], _id="sauce")], names)
    assert (candidate.id, candidate.type, candidate.maker) == ("sauce", "sauce", "")
    row = SHOP.rows["sauce"]
    assert candidate.popularity == pytest.approx(SHOP.popularity[row], rel=1e-3)
    assert candidate.recent == pytest.approx(SHOP.recent[row], rel=1e-3)
    assert candidate.reorder == pytest.approx(SHOP.reorder[row], rel=1e-3)
    weights = SHOP.by_orders.by_target()[row]
    assert candidate.by_orders["pasta"] == pytest.approx(weights[SHOP.rows["pasta"]], rel=0.022)
    assert set(candidate.by_orders) <= {"pasta", "tea"}


def test_neighbours_can_be_lent_to_what_nobody_bought_and_to_what_few_did() -> None:
    names = {digest_product(product): product for product in ("tea", "pasta")}
    few = COUNTS["sauce"]
    for counts in ({}, few):
        lent = lend_neighbours(counts, ("teas", "maker"), {"tea": 0.02})
        assert lent["by_shoppers"] == {make_product_key("tea"): 0.02}
        [candidate] = read_candidates([_hit(lent["packed"], _id="x")], names)
        assert (candidate.borrowed, candidate.type, candidate.maker) == (True, "teas", "maker")
        assert candidate.by_shoppers == {"tea": pytest.approx(0.02, rel=0.022)}
        assert bool(candidate.by_orders) == bool(candidate.popularity) == bool(counts)


def test_what_opensearch_searches_by_is_beside_it() -> None:
    counts = COUNTS["sauce"]
    assert counts.keys() == {"popularity", "recent", "by_shoppers", "by_orders", "prior", "packed"}
    assert counts["by_orders"][make_product_key("pasta")] > 0


def test_popularity_counts_for_what_was_only_clicked_too() -> None:
    assert COUNTS["sauce"]["prior"] == 1.23
    assert COUNTS["only clicked"] == {"prior": 0.4}


def test_a_product_that_nobody_bought_has_no_counts() -> None:
    key = base64.b64encode(ProductKey("new", "d1f84f576108", "00ff00ff00ff00ff").pack()).decode()
    [candidate] = read_candidates([{"fields": {"attune.key": [key]}}], {})
    assert (candidate.id, candidate.popularity, candidate.by_shoppers) == ("new", 0, {})


def test_a_hit_that_tells_no_id_is_no_candidate() -> None:
    assert read_candidates([_hit(COUNTS["sauce"]["packed"])], {}) == []
    assert read_hit_id({"fields": {"attune.key": ["AAAA"]}}) == ""
    assert read_hit_id({"_id": "x"}) == "x"


def test_vectors_are_read_whatever_models_they_are_of() -> None:
    stored = [_pack([3, 4]), _pack([0, 1, 0]), ""]
    hits = [{"_id": str(row), "fields": {"attune.tokens": [text]}} for row, text in enumerate(stored)]
    first, second, none = (candidate.vector for candidate in read_candidates(hits, {}))
    assert first is not None
    assert second is not None
    assert first @ np.array([0.6, 0.8]) > 0.99
    assert second @ np.array([0, 1, 0]) > 0.9
    assert none is None


def test_vectors_that_are_cut_short_say_so() -> None:
    hits = [{"_id": "x", "fields": {"attune.tokens": [_pack(range(64))[:32]]}}]
    with pytest.raises(ModelError, match="cut short"):
        read_hit_vectors(hits)


def _pack(vector: Iterable[float]) -> str:
    words = [np.empty(0, np.uint32)] * 4
    packed = pack_product(np.array(list(vector), np.float32), np.zeros((1, 8), np.float32), words)
    return base64.b64encode(packed).decode()
