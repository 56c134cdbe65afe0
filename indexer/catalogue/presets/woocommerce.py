"""WooCommerce: the CSV export of products and the products of the REST API.

A variation names its parent by SKU or, where that has none, as `id:17`; it is merged into it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.nested import find_cell
from indexer.catalogue.presets.preset import Cells, Preset, deepest_path, each_record, split_list, text_of
from indexer.catalogue.presets.woocommerce_names import translate_column

_API_FIELDS = FieldMap(
    id="id",
    title=("name",),
    description=("short_description", "description"),
    brand=("brands",),
    category=("categories",),
    url="permalink",
)
"""What products of both APIs have in common."""


def _prepare_row(row: Mapping[str, object]) -> Iterable[Cells]:
    cells = dict(row)
    for number in range(1, 100):
        name = text_of(cells, f"Attribute {number} name")
        if f"Attribute {number} name" not in cells:
            break
        if name:
            cells[f"option:{name}"] = split_list(text_of(cells, f"Attribute {number} value(s)"))
    paths = split_list(text_of(cells, "Categories"))
    cells["@category"] = deepest_path(paths[:1], " > ")
    cells["@categories"] = paths if len(paths) > 1 else []
    cells["@tags"] = split_list(text_of(cells, "Tags"))
    cells["@brand"] = split_list(text_of(cells, "Brands"))[:1]
    return [cells]


def _prepare_translated(row: Mapping[str, object]) -> Iterable[Cells]:
    """Return the row of an export in another language, with `@` before the English names of its columns."""
    english = {_translate(column): cell for column, cell in row.items()}
    cells = {f"@{column}": cell for column, cell in english.items()}
    return [
        {**cells, **{name: cell for name, cell in prepared.items() if name[:1] == "@" or ":" in name}}
        for prepared in _prepare_row(english)
    ]


def _derive(column: str) -> str:
    return column if column[:1] == "@" or ":" in column else f"@{column}"


_translate = lru_cache(maxsize=2000)(translate_column)


def _prepare_product(product: Mapping[str, object]) -> Iterable[Cells]:
    parent = product.get("parent_id")
    return [{**product, "@parent": str(parent) if parent else ""}]


def _prepare_store_product(product: Mapping[str, object]) -> Iterable[Cells]:
    """Return a product of the shop's own API, whose prices are in the currency's smallest unit."""
    scale = find_cell(product, "prices.currency_minor_unit")
    cells: Cells = {**product}
    for name in ("price", "regular_price"):
        cell = find_cell(product, f"prices.{name}")
        if isinstance(cell, str) and cell.isdigit():
            cells[f"@{name}"] = int(cell) / 10 ** (scale if isinstance(scale, int) and 0 <= scale < 5 else 2)
    return [cells]


_SIGNATURE = ("ID", "Type", "SKU", "Name", "Published", "Regular price")
_TABLE = FieldMap(
    id="ID",
    title=("Name",),
    description=("Short description", "Description"),
    brand=("@brand",),
    category=("@category",),
    price=("Sale price", "Regular price"),
    sale_dates=("Date sale price starts", "Date sale price ends"),
    available=("In stock?", "Stock"),
    image=("Images",),
    url="External URL",
    identifiers=("SKU", "GTIN, UPC, EAN, or ISBN"),
    attributes=("option:*", "@tags", "@categories", "Weight (kg)"),
    group="Parent",
    status=("Published",),
    visibility=("Visibility in catalog",),
)
_TRANSLATED = FieldMap(
    **{  # type: ignore[arg-type]  # as FieldMap holds them
        name: tuple(map(_derive, value)) if isinstance(value, tuple) else _derive(value)
        for name, value in ((name, getattr(_TABLE, name)) for name in _TABLE.as_json())
    }
)

WOOCOMMERCE = (
    Preset(
        name="woocommerce-csv",
        title="WooCommerce, product export (CSV)",
        signature=_SIGNATURE,
        field_map=_TABLE,
        prepare=each_record(_prepare_row),
    ),
    Preset(
        name="woocommerce-translated",
        title="WooCommerce, product export in another language than English (CSV)",
        signature=_SIGNATURE,
        field_map=_TRANSLATED,
        prepare=each_record(_prepare_translated),
        translate=_translate,
    ),
    Preset(
        name="woocommerce-json",
        title="WooCommerce, products of the REST API (JSON)",
        signature=("id", "name", "permalink", "regular_price", "stock_status"),
        field_map=replace(
            _API_FIELDS,
            price=("price", "sale_price", "regular_price"),
            available=("stock_status", "stock_quantity"),
            image=("images", "image"),
            identifiers=("sku", "global_unique_id"),
            attributes=("attributes", "tags", "weight"),
            group="@parent",
            status=("status",),
            visibility=("catalog_visibility",),
        ),
        prepare=each_record(_prepare_product),
    ),
    Preset(
        name="woocommerce-store",
        title="WooCommerce, products of the Store API (JSON)",
        signature=("id", "permalink", "prices", "is_in_stock"),
        field_map=replace(
            _API_FIELDS,
            price=("@price", "@regular_price"),
            currency="prices.currency_code",
            available=("is_in_stock",),
            image=("images",),
            identifiers=("sku",),
            attributes=("attributes", "tags"),
        ),
        prepare=each_record(_prepare_store_product),
    ),
)
