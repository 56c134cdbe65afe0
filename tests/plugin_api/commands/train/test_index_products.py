"""The products that `attune train --index` reads."""

import pytest

from mappings.errors import CatalogueError
from plugin_api.commands.train.sources import read_index
from tests.fakes.memory_opensearch import open_memory


def test_products_of_an_attached_index_are_read_by_its_field_map() -> None:
    client, _ = open_memory()
    record = {"model": "m", "dimension": 4, "vectors": "byte", "fields": {"id": "_id", "title": "name"}}
    client.indices.create(index="shop", body={"mappings": {"_meta": {"attune": {"attached": record}}}})
    with pytest.raises(CatalogueError, match="index shop holds no product with a title or a description"):
        read_index(client, "shop")
    for number, source in enumerate(({"name": "Mug"}, {"price": 3}, {"name": "Cup"})):
        client.index(index="shop", id=str(number), body=source)
    assert [(product.id, product.title) for product in read_index(client, "shop")] == [
        ("0", "Mug"),
        ("2", "Cup"),
    ]
