"""Shop builders: Squarespace, Wix and Ecwid, whose exports have a row for each variant below its product."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.presets.preset import Cells, Preset, has_stock, split_list, text_of
from indexer.catalogue.records import LeftOut, Record, Reject

_SQUARESPACE_ID = "Product ID [Non Editable]"


def _prepare_squarespace(records: Iterable[Record | Reject]) -> Iterator[Record | Reject]:
    product: Mapping[str, object] = {}
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        if text_of(record.values, _SQUARESPACE_ID) or text_of(record.values, "Title"):
            product = record.values
        cells = dict(record.values)
        cells["@id"] = text_of(product, _SQUARESPACE_ID)
        for name, value in _list_options(record.values, product, "Option Name {}", "Option Value {}"):
            cells[f"option:{name}"] = value
        on_sale = text_of(cells, "On Sale").casefold() in ("yes", "true", "1")
        cells["@price"] = text_of(cells, "Sale Price" if on_sale else "Price")
        categories = [path.strip("/ ") for path in split_list(text_of(cells, "Categories"))]
        cells["@category"] = " > ".join(categories[:1]).replace("/", " > ")
        cells["@tags"] = split_list(text_of(cells, "Tags"))
        yield replace(record, values=cells)


def _prepare_wix(records: Iterable[Record | Reject]) -> Iterator[Record | Reject]:
    product: Mapping[str, object] = {}
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        is_product = text_of(record.values, "fieldType").casefold() != "variant"
        product = record.values if is_product else product
        cells = dict(record.values)
        columns = "productOptionName{}", "productOptionDescription{}"
        for name, value in _list_options(record.values, product, *columns):
            cells[f"option:{name}"] = [part.rpartition(":")[2] for part in split_list(value, ";")]
        cells["@price"] = _reduce_price(cells, product)
        cells["@category"] = " > ".join(split_list(text_of(cells, "collection"), ";")[:1])
        cells["@image"] = [_wix_address(name) for name in split_list(text_of(cells, "productImageUrl"), ";")]
        yield replace(record, values=cells)


def _list_options(
    row: Mapping[str, object], product: Mapping[str, object], name_column: str, value_column: str
) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of a row's options, of which the product's row may have the names."""
    for number in range(1, 7):
        column = name_column.format(number)
        name = text_of(row, column) or text_of(product, column)
        if name and (value := text_of(row, value_column.format(number))):
            yield name, value


def _reduce_price(cells: Mapping[str, object], product: Mapping[str, object]) -> object:
    """Return a variant's price with its surcharge and the product's discount, any other text as it is."""
    text = text_of(cells, "price") or text_of(product, "price")
    try:
        price = float(text) + float(text_of(cells, "surcharge") or 0)
        discount = float(text_of(product, "discountValue") or 0)
    except ValueError:
        return text
    mode = text_of(product, "discountMode").upper()
    reduced = price * (1 - discount / 100) if mode == "PERCENT" else price - discount
    return round(max(reduced, 0.0), 2) if mode in ("PERCENT", "AMOUNT") else price


def _wix_address(name: str) -> str:
    return name if "/" in name else f"https://static.wixstatic.com/media/{name}"


def _prepare_ecwid(records: Iterable[Record | Reject]) -> Iterator[Record | Reject | LeftOut]:
    product: Mapping[str, object] = {}
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        kind = text_of(record.values, "type").casefold()
        cells: Cells = dict(record.values)
        if kind == "product":
            product = record.values
        elif kind == "product_option":
            values = {
                f"option:{text_of(cells, 'product_option_name')}": text_of(cells, "product_option_value")
            }
            yield replace(record, values={"@id": _ecwid_id(cells) or _ecwid_id(product), **values})
            continue
        elif kind != "product_variation":
            yield LeftOut(record.line, f"row of a {kind or 'nameless type'}")
            continue
        for column in record.values:
            match = re.fullmatch(r"product_variation_option_\{?(.+?)\}?", column)
            if match and (value := text_of(cells, column)):
                cells[f"option:{match[1]}"] = value
        cells["@id"] = _ecwid_id(cells) or _ecwid_id(product)
        cells["@price"] = text_of(cells, "product_variation_price") or text_of(product, "product_price")
        cells["@status"] = text_of(cells, "product_is_available") if kind == "product" else ""
        cells["@available"] = _is_available(cells)
        yield replace(record, values=cells)


def _ecwid_id(cells: Mapping[str, object]) -> str:
    return text_of(cells, "product_internal_id") or text_of(cells, "product_sku")


def _is_available(cells: Mapping[str, object]) -> bool | None:
    tracked = text_of(cells, "product_is_inventory_tracked").casefold()
    return tracked in ("false", "no", "0") or has_stock(text_of(cells, "product_quantity"))


BUILDERS = (
    Preset(
        name="squarespace-csv",
        title="Squarespace, product export (CSV)",
        signature=(_SQUARESPACE_ID, "Variant ID [Non Editable]", "Title", "On Sale"),
        field_map=FieldMap(
            id="@id",
            title=("Title",),
            description=("Description",),
            category=("@category",),
            price=("@price",),
            available=("Stock",),
            image=("Hosted Image URLs",),
            url="Product URL",
            identifiers=("SKU",),
            attributes=("option:*", "@tags"),
            group="@id",
            status=("Visible",),
        ),
        prepare=_prepare_squarespace,
    ),
    Preset(
        name="wix-csv",
        title="Wix, product export (CSV)",
        signature=("handleId", "fieldType", "name", "productImageUrl", "collection"),
        field_map=FieldMap(
            id="handleId",
            title=("name",),
            description=("description",),
            brand=("brand",),
            category=("@category",),
            price=("@price",),
            available=("inventory",),
            image=("@image",),
            identifiers=("sku",),
            attributes=("option:*",),
            group="handleId",
            status=("visible",),
        ),
        prepare=_prepare_wix,
    ),
    Preset(
        name="ecwid-csv",
        title="Ecwid, product export (CSV)",
        signature=("type", "product_internal_id", "product_name", "product_price"),
        field_map=FieldMap(
            id="@id",
            title=("product_name",),
            description=("product_description",),
            brand=("product_brand",),
            category=("product_category_1",),
            price=("@price",),
            available=("@available",),
            image=("product_media_main_image_url",),
            identifiers=("product_sku", "product_variation_sku", "product_upc"),
            attributes=("option:*",),
            group="@id",
            status=("@status",),
        ),
        prepare=_prepare_ecwid,
    ),
)
