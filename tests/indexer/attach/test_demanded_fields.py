from dataclasses import replace
from typing import Any

import pytest

from indexer.attach.demanded_fields import end_copying, list_copied, map_demanded_fields
from indexer.catalogue.field_map import FieldMap
from mappings.errors import IndexingError
from mappings.types import JsonObject

AMOUNT: JsonObject = {"type": "scaled_float", "scaling_factor": 100, "copy_to": ["all"]}
VARIANTS: JsonObject = {
    "type": "nested",
    "dynamic": "strict",
    "properties": {"sku": {"type": "keyword"}, "price": {"properties": {"amount": AMOUNT}}},
}
MAPPINGS: JsonObject = {
    "properties": {
        "name": {"type": "text", "fields": {"raw": {"type": "keyword"}, "de": {"type": "text"}}},
        "sku": {"type": "keyword"},
        "price": {"properties": {"amount": {"type": "scaled_float", "scaling_factor": 100}}},
        "sale": {"type": "double"},
        "offers": {"type": "nested", "properties": {"price": {"type": "double"}}},
        "variants": VARIANTS,
    }
}
NESTED = FieldMap(id="_id", price=("variants.price.amount",))
COPIES: JsonObject = {"type": "double", "ignore_malformed": True}


def mappings_with(**properties: Any) -> JsonObject:
    return {"properties": {**MAPPINGS["properties"], **properties}}


@pytest.mark.parametrize(
    ("title", "price", "aliases"),
    [
        (("name",), ("price.amount",), {"title": "name", "price": "price.amount"}),
        (("sku", "name.de"), ("offers.price", "sale"), {"title": "name.de", "price": "sale"}),
        (("lost",), ("price",), {}),
        ((), (), {}),
    ],
)
def test_a_field_of_the_right_type_gets_an_alias_unless_it_is_nested(
    title: tuple[str, ...], price: tuple[str, ...], aliases: dict[str, str]
) -> None:
    made = map_demanded_fields(MAPPINGS, FieldMap(id="_id", title=title, price=price))
    assert made.own == {name: {"type": "alias", "path": path} for name, path in aliases.items()}
    assert made.shops == {}


def test_a_price_in_nested_documents_is_copied_and_all_else_of_the_field_stays() -> None:
    made = map_demanded_fields(MAPPINGS, NESTED)
    assert made.own == {"price": COPIES}
    amount = AMOUNT | {"copy_to": ["all", "attune.price"]}
    changed = VARIANTS | {
        "properties": VARIANTS["properties"] | {"price": {"properties": {"amount": amount}}}
    }
    assert made.shops == {"variants": changed}
    after = mappings_with(**made.shops)
    assert list_copied(after) == ["variants.price.amount"]
    assert map_demanded_fields(after, NESTED).shops == {}
    assert end_copying(after) == {"variants": VARIANTS}
    assert end_copying(MAPPINGS) == {}


def test_what_an_earlier_field_map_left_is_used_or_refused() -> None:
    copying = mappings_with(
        attune={"properties": {"price": COPIES}}, **map_demanded_fields(MAPPINGS, NESTED).shops
    )
    sale = {"sale": {"type": "double", "copy_to": ["attune.price"]}}
    changed = map_demanded_fields(copying, replace(NESTED, price=("sale",))).shops
    assert changed == {"variants": VARIANTS, **sale}
    assert map_demanded_fields(copying, replace(NESTED, price=())).shops == {"variants": VARIANTS}
    detached = mappings_with(attune={"properties": {"price": COPIES}})
    assert map_demanded_fields(detached, replace(NESTED, price=("sale",))).shops == sale
    alias = mappings_with(attune={"properties": {"price": {"type": "alias", "path": "sale"}}})
    with pytest.raises(IndexingError, match="is an alias of sale, and can't become a copy"):
        map_demanded_fields(alias, NESTED)


def test_a_price_in_cents_is_not_compared_with_one_in_the_shops_unit() -> None:
    cents = FieldMap(id="_id", price=("sale",), price_scale=0.01)
    assert map_demanded_fields(MAPPINGS, cents).own == {}
