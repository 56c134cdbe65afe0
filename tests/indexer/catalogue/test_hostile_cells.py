"""Whatever a cell holds, its record is a product or a reject, soon."""

import json
import time
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item, Record
from indexer.catalogue.stats import CatalogueStats

MAP = FieldMap(
    id="id",
    title=("title",),
    description=("text",),
    category=("area",),
    price=("sale", "price"),
    sale_dates=("from",),
    currency="money",
    available=("stock",),
    image=("image",),
    url="link",
    identifiers=("sku",),
    attributes=("specs", "a_*"),
    status=("status",),
    ends=("ends",),
)
COLUMNS = (
    "title text area sale price from money stock image link sku specs a_b status ends".split()  # noqa: SIM905
)
ODD = ["1.299,00 €", "10+", "['a', 'b']", '{"a": [1]}', "2026-01-01", "[" * 200, "\ud800", "9" * 401, 10**401]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.sampled_from(ODD)
)
CELLS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(COLUMNS), CELLS))
def test_any_record_is_a_product_a_reject_or_left_out(cells: dict[str, Any]) -> None:
    records = [Record(1, {"id": "1", **cells}, "", 0.5), Record(2, {"id": "2", "title": "b"}, "", 1.0)]
    stats = CatalogueStats()
    *outcomes, last = read_products(records, MAP, stats=stats)
    assert isinstance(last, Item)
    assert last.product.title == "b"
    assert len(outcomes) + sum(count.count for count in stats.left_out.values()) == 1
    for outcome in outcomes:
        if isinstance(outcome, Item):
            price = outcome.product.price
            assert price is None or 0 <= price < 1e16
            json.dumps(asdict(outcome.product)).encode()
        else:
            assert outcome.reason


HOSTILE = [
    *(
        "<a",
        '<a b="',
        "<!--",
        "<script>",
        "&",
        "&#9",
        "&amp;",
        "[",
        "{",
        "(",
        "'",
        '"',
        ",",
        ".",
        " ",
        "1,",
        "1 ",
    ),
    *("- ", "-", "\\", "½", "a ", "https://a,", "/", "left", "=", "|", "\ufeff"),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_of_anything_in_every_field_takes_time_in_proportion(piece: str) -> None:
    def seconds(size: int) -> float:
        cell = (piece * (size // len(piece) + 1))[:size]
        record = Record(1, {"id": "1", **dict.fromkeys(COLUMNS, cell)}, "", 1.0)
        began = time.process_time()
        list(read_products([record], MAP))
        return time.process_time() - began

    few, many = min(seconds(60_000) for _ in range(2)), seconds(1_000_000)
    # 17 times the text, cut at 100,000 characters. A quadratic pattern would take 280 times as long.
    assert many < 40 * few + 0.05
