import pytest

from indexer.catalogue.records import Record, Reject
from indexer.clicks.product_names import read_product_names
from mappings.errors import CatalogueError

RECORDS = [
    Record(1, {"id": 1, "ean": ["0409", " 0410 "]}, "", 0.2),
    Record(2, {"id": "2", "ean": 8710103291398.0}, "", 0.4),
    Reject(3, "broken JSON"),
    Record(4, {"id": "3", "ean": ["0410", "2", None]}, "", 0.8),
    Record(5, {"id": "4"}, "", 0.9),
    Record(6, {"ean": "0500"}, "", 1.0),
]


def test_products_go_by_what_is_theirs_alone() -> None:
    assert read_product_names(iter(RECORDS), "id", "ean") == {"0409": "1", "8710103291398": "2"}


def test_a_column_without_values_is_refused() -> None:
    with pytest.raises(CatalogueError, match=r"in the column gtin: clicks\.id_column"):
        read_product_names(iter(RECORDS), "id", "gtin")
