"""Amazon: flat files of the inventory, which have several header lines, and the report of all listings."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.presets.preset import Cells, Preset, text_of
from indexer.catalogue.records import LeftOut, Record, Reject

TEMPLATE_STARTS = ("TemplateType=", "settings=")
"""How a template begins: its first line names it, and a later one the columns."""

_HEADER_LINES = 6
_DATA_ROW = re.compile(r"^settings=.*\bdataRow=(\d{1,2})\b")
"""How a new template says where its data begin: the row before them is an example."""

_ID_COLUMNS = ("item_sku", "contribution_sku")


def _prepare(records: Iterable[Record | Reject]) -> Iterator[Record | Reject | LeftOut]:
    """Find the line with the names of columns, where the file's first line is that of its template."""
    names: Mapping[str, str] | None = None
    header: list[Record] = []
    first_row = 0
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        if not header and (match := _DATA_ROW.search(next(iter(record.values), ""))):
            first_row = int(match[1])
        if names is None:
            header.append(record)
            own = {column: _plain(cell) for column, cell in record.values.items() if isinstance(cell, str)}
            if any(name in own.values() for name in _ID_COLUMNS):
                names = own
                yield from (LeftOut(line.line, "header line of the template") for line in header)
            elif any(name in map(_plain, record.values) for name in _ID_COLUMNS):
                names = {column: _plain(column) for column in record.values}
                yield _read_row(record, names)
            elif len(header) > _HEADER_LINES:
                names = {}
                yield from header
            continue
        if record.line < first_row:
            yield LeftOut(record.line, "header line of the template")
            continue
        yield _read_row(record, names)


def _read_row(record: Record, names: Mapping[str, str]) -> Record | LeftOut:
    cells: Cells = {}
    for column, cell in record.values.items():
        cells.setdefault(f"@{names.get(column, column)}", cell)
    if text_of(cells, "@update_delete").casefold().startswith("delete"):
        return LeftOut(record.line, "row that deletes", text_of(cells, "@item_sku"))
    if text_of(cells, "@item_sku") in ("", *_ID_COLUMNS, "SKU", "Seller SKU"):
        return LeftOut(record.line, "row without a SKU")
    bullets = [text_of(cells, f"@bullet_point{number}") for number in ("", *range(1, 11))]
    cells["@description"] = [text_of(cells, "@product_description"), *bullets]
    kinds = ("@item_type", "@item_type_keyword", "@feed_product_type")
    cells["@category"] = next((text for kind in kinds if (text := text_of(cells, kind))), "")
    parentage = text_of(cells, "@parent_child") or text_of(cells, "@parentage")
    cells["@parent"] = "" if parentage.casefold() == "parent" else text_of(cells, "@parent_sku")
    return replace(record, values=cells)


def _plain(name: str) -> str:
    """Return a column's name without the market and language of new templates: `item_name[...]#1.value`."""
    plain = re.sub(r"\[[^\]]*\]|#1(?:\.value)?$", "", name.strip().removeprefix("::"))
    return {
        "contribution_sku": "item_sku",
        "brand": "brand_name",
        "color": "color_name",
        "size": "size_name",
        "child_parent_sku_relationship.parent_sku": "parent_sku",
        "parentage_level": "parent_child",
        "fulfillment_availability#1.quantity": "quantity",
        "child_parent_sku_relationship#1.parent_sku": "parent_sku",
        "purchasable_offer#1.our_price#1.schedule#1.value_with_tax": "standard_price",
        "purchasable_offer#1.discounted_price#1.schedule#1.value_with_tax": "sale_price",
        "purchasable_offer#1.discounted_price#1.schedule#1.start_at": "sale_from_date",
        "purchasable_offer#1.discounted_price#1.schedule#1.end_at": "sale_end_date",
        "purchasable_offer#1.currency": "currency",
        "main_product_image_locator#1.media_location": "main_image_url",
        "amzn1.volt.ca.product_id_value": "external_product_id",
        "record_action": "update_delete",
        "operation_type": "update_delete",
        "product_type": "feed_product_type",
    }.get(plain, re.sub(r"#(\d+)\.value$", r"\1", plain))


_FLAT_FILE = FieldMap(
    id="@item_sku",
    title=("@item_name",),
    description=("@description",),
    brand=("@brand_name",),
    category=("@category",),
    price=("@sale_price", "@standard_price", "@list_price"),
    sale_dates=("@sale_from_date", "@sale_end_date"),
    currency="@currency",
    available=("@quantity",),
    image=("@main_image_url",),
    identifiers=("@external_product_id", "@part_number", "@manufacturer_part_number", "@model_number"),
    attributes=(
        "@color_name",
        "@size_name",
        "@material_type",
        "@department_name",
        "@style_name",
        "@scent_name",
        "@flavor_name",
    ),
    group="@parent",
)

AMAZON = (
    Preset(
        "amazon-template",
        "Amazon, flat file with its template's header lines",
        ("@template",),
        _FLAT_FILE,
        _prepare,
    ),
    Preset("amazon-flat", "Amazon, flat file", ("item_sku", "item_name"), _FLAT_FILE, _prepare),
    Preset(
        name="amazon-listings",
        title="Amazon, report of all listings (TSV)",
        signature=("item-name", "seller-sku", "price", "quantity", "asin1"),
        field_map=FieldMap(
            id="seller-sku",
            title=("item-name",),
            description=("item-description",),
            price=("price",),
            available=("quantity",),
            image=("image-url",),
            identifiers=("asin1", "product-id"),
            status=("status",),
        ),
    ),
)
