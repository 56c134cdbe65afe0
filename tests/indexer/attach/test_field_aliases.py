import pytest

from indexer.attach.field_aliases import list_aliases
from indexer.catalogue.field_map import FieldMap
from mappings.types import JsonObject

MAPPINGS: JsonObject = {
    "properties": {
        "name": {"type": "text", "fields": {"raw": {"type": "keyword"}, "de": {"type": "text"}}},
        "sku": {"type": "keyword"},
        "price": {"properties": {"amount": {"type": "scaled_float", "scaling_factor": 100}}},
        "sale": {"type": "double"},
        "offers": {"type": "nested", "properties": {"price": {"type": "double"}}},
    }
}


@pytest.mark.parametrize(
    ("title", "price", "aliases"),
    [
        (("name",), ("price.amount",), {"title": "name", "price": "price.amount"}),
        (("sku", "name.de"), ("offers.price", "sale"), {"title": "name.de", "price": "sale"}),
        (("sku",), ("offers.price",), {}),
        (("lost",), ("price",), {}),
        ((), (), {}),
    ],
)
def test_a_field_of_the_right_type_gets_an_alias_unless_it_is_nested(
    title: tuple[str, ...], price: tuple[str, ...], aliases: dict[str, str]
) -> None:
    made = list_aliases(MAPPINGS, FieldMap(id="_id", title=title, price=price))
    assert made == {name: {"type": "alias", "path": path} for name, path in aliases.items()}


def test_a_price_in_cents_is_not_compared_with_one_in_the_shops_unit() -> None:
    assert list_aliases(MAPPINGS, FieldMap(id="_id", price=("sale",), price_scale=0.01)) == {}
