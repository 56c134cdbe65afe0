import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.catalogue.records import Record, Reject
from indexer.sources.files import open_catalogue
from mappings.errors import CatalogueError


def read(tmp_path: Path, text: str) -> list[Record | Reject]:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    return list(open_catalogue(tmp_path / "a.json").records())


def ids(outcomes: list[Record | Reject]) -> list[object]:
    return [outcome.values["id"] if isinstance(outcome, Record) else outcome.kind for outcome in outcomes]


PRODUCTS = [{"id": 1, "title": "Mug"}, {"id": 2, "title": 'A "large" cup [}', "tags": ["a"]}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "document",
    [
        PRODUCTS,
        {"products": PRODUCTS},
        {"count": 2, "data": PRODUCTS, "next": None},
        {"shop": {"name": "x"}, "data": {"products": PRODUCTS}},
        {"items": PRODUCTS, "total": 2},
    ],
)
def test_lists_are_found_wherever_they_are(tmp_path: Path, document: object, indent: int | None) -> None:
    outcomes = read(tmp_path, json.dumps(document, indent=indent))
    assert [dict(outcome.values) for outcome in outcomes if isinstance(outcome, Record)] == PRODUCTS


@pytest.mark.parametrize("indent", [None, 1])
def test_a_large_object_with_a_list_in_it(tmp_path: Path, indent: int | None) -> None:
    products = [{"id": n, "title": f"Mug {n}", "text": "x[{" * 50} for n in range(20_000)]
    document = {"about": {"x": ["y" * 100_000]}, "data": {"products": products}, "end": [{"id": "no"}]}
    outcomes = read(tmp_path, json.dumps(document, indent=indent))
    assert ids(outcomes) == list(range(20_000))


KEYED = {"7": {"title": "Mug", "price": 9}, "B2": {"title": "Cup", "price": 5, "tags": ["a"]}}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "document", [KEYED, {"products": KEYED}, {"ok": True, "data": {"catalog": KEYED}}, {"Products": KEYED}]
)
def test_products_under_their_ids(tmp_path: Path, document: object, indent: int | None) -> None:
    outcomes = read(tmp_path, json.dumps(document, indent=indent))
    assert ids(outcomes) == ["7", "B2"]


@pytest.mark.parametrize("wrap", [dict, lambda keyed: {"shop": {"name": "x", "url": "y"}, "products": keyed}])
def test_a_large_object_of_products_under_their_ids(tmp_path: Path, wrap: Callable[[object], object]) -> None:
    products = {f"k{n}": {"title": f"Mug {n}", "price": n, "text": "x[{" * 40} for n in range(20_000)}
    products["k9"] = {"id": "own", **products["k9"]}
    outcomes = read(tmp_path, json.dumps(wrap(products), indent=1))
    assert ids(outcomes) == [f"k{n}" if n != 9 else "own" for n in range(20_000)]


def test_a_list_of_any_name_whose_elements_are_certainly_products(tmp_path: Path) -> None:
    products = [{"sku": n, "title": "Mug", "price": 9} for n in range(9_000)]
    for some in (products[:2], products):
        outcomes = read(tmp_path, json.dumps({"about": {"x": 1}, "pages": [{"no": 1}], "sortiment": some}))
        assert len(outcomes) == len(some)


@pytest.mark.parametrize(
    "envelope",
    [
        lambda product: {"node": product},
        lambda product: {"_index": "shop", "_id": product["id"], "_source": product},
        lambda product: {"id": product["id"], "type": "product", "attributes": {**product}},
        lambda product: {"msg": "OK", "data": product},
        lambda product: {"@type": "ListItem", "position": 1, "item": product},
    ],
)
def test_envelopes_are_taken_off(tmp_path: Path, envelope: Callable[[object], object]) -> None:
    outcomes = read(tmp_path, json.dumps({"data": {"products": {"edges": list(map(envelope, PRODUCTS))}}}))
    assert [dict(outcome.values) for outcome in outcomes if isinstance(outcome, Record)] == PRODUCTS


def test_mongodb_exports(tmp_path: Path) -> None:
    outcomes = read(tmp_path, '{"id": {"$oid": "65a1"}, "price": {"$numberDecimal": "9.90"}, "title": "Mug"}')
    assert isinstance(outcomes[0], Record)
    assert outcomes[0].values == {"id": "65a1", "price": "9.90", "title": "Mug"}


def test_objects_one_after_the_other(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(product, indent=1) for product in PRODUCTS)
    outcomes = read(tmp_path, text)
    assert [(outcome.line, type(outcome)) for outcome in outcomes] == [(1, Record), (5, Record)]


def test_a_product_with_a_list_is_one_product(tmp_path: Path) -> None:
    product = {"id": 1, "title": "Set", "items": [{"id": 5}, {"id": 6}]}
    assert ids(read(tmp_path, json.dumps(product, indent=1))) == [1]
    assert ids(read(tmp_path, json.dumps(product))) == [1]


def test_records_have_their_lines_and_their_text(tmp_path: Path) -> None:
    _, record = read(tmp_path, '[{"id": 1},\n\n {"id": 2}]')
    assert (record.line, record.raw) == (3, '{"id": 2}')


@pytest.mark.parametrize(
    "broken",
    [
        '{"id": 2,, "x": 1}',
        '{"id": 2 "x": [{}, 3]}',
        '{"id": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"x": "' + "y" * 1_500_000 + '"}',
        "7",
    ],
)
def test_a_broken_element_costs_itself(tmp_path: Path, broken: str) -> None:
    outcomes = read(tmp_path, f'[{{"id": 1}},\n{broken},\n{{"id": 3}}, {{"id": 4}}]')
    assert ids(outcomes) == [1, "record", 3, 4]


def test_behind_a_quote_too_many_nothing_is_read_by_guess(tmp_path: Path) -> None:
    text = '[{"id": 1}, {"id": 2, "title": "19" mug"}, {"id": 3, "title": "a"}, {"id": 4}]'
    with pytest.raises(CatalogueError, match="line 1"):
        read(tmp_path, text)


@pytest.mark.parametrize("end", ["", ",", ", {", ', {"id": 3', ', {"id": 3}'])
def test_a_document_that_is_cut_off_is_an_error(tmp_path: Path, end: str) -> None:
    with pytest.raises(CatalogueError, match="cut off"):
        read(tmp_path, '[\n{"id": 1},\n{"id": 2}' + end)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    element = json.dumps({"id": 1, "text": "x" * 1000})
    with (tmp_path / "a.json").open("w") as file:
        file.write("[" + ",\n".join([element] * 12_000) + "]")
    tracemalloc.start()
    assert sum(1 for _ in open_catalogue(tmp_path / "a.json").records()) == 12_000
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()
