"""BigCommerce: the CSV exports of products, with rows for SKUs and price rules below each product."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.presets.preset import Preset, deepest_path, has_stock, split_list, text_of
from indexer.catalogue.records import LeftOut, Record, Reject

_OLD = {
    "item": "Item Type",
    "id": "Product ID",
    "name": "Product Name",
    "price": "Price",
    "options": "Product Name",
    "track": "Track Inventory",
    "stock": "Current Stock Level",
    "allow": "Allow Purchases?",
}
_NEW = {
    "item": "Item",
    "id": "ID",
    "name": "Name",
    "price": "Price",
    "options": "Options",
    "track": "Inventory Tracking",
    "stock": "Current Stock",
    "allow": "Is Purchasable",
}


def _prepare(
    names: Mapping[str, str], records: Iterable[Record | Reject]
) -> Iterator[Record | Reject | LeftOut]:
    product: Mapping[str, object] = {}
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        cells = dict(record.values)
        item = text_of(cells, names["item"]).casefold()
        if item == "product":
            product = record.values
            cells["@id"] = text_of(cells, names["id"])
            cells["@name"] = text_of(cells, names["name"])
        elif item in ("sku", "variant"):
            cells["@id"] = text_of(product, names["id"])
            cells["@name"] = ""
            for name, value in _read_options(text_of(cells, names["options"])):
                cells[f"option:{name}"] = value
            cells[names["price"]] = text_of(cells, names["price"]) or text_of(product, names["price"])
        elif item == "image":
            cells = {name: cell for name, cell in cells.items() if "Image URL" in name}
            yield replace(record, values={**cells, "@id": text_of(product, names["id"])})
            continue
        else:
            yield LeftOut(record.line, f"row of a {item or 'nameless item'}")
            continue
        cells["@available"] = _is_available(cells, product, names)
        cells["@category"] = _read_category(cells)
        yield replace(record, values=cells)


def _read_options(text: str) -> list[tuple[str, str]]:
    """Return (name, value) of options: `[RT]Color=Red,[RT]Size=M` or `Type=List|Name=Size|Value=M`."""
    if "Name=" in text and "Value=" in text:
        matches = re.findall(r"Name=([^|,]+)\|Value=(.*?)(?=Type=|\||,(?=Type|Name)|;|$)", text[:10_000])
        return [(name.strip(), re.sub(r"\[#[^\]]*\]", "", value).strip()) for name, value in matches]
    pairs = (part.partition("=") for part in re.split(r",(?=\[)", text[:10_000]))
    return [(re.sub(r"^\[\w+\]", "", name).strip(), value.strip()) for name, equals, value in pairs if equals]


def _is_available(
    cells: Mapping[str, object], product: Mapping[str, object], names: Mapping[str, str]
) -> bool | None:
    if text_of(product, names["allow"]).casefold() in ("n", "no", "false"):
        return False
    tracked = text_of(product, names["track"]).casefold()
    if tracked in ("", "none", "n", "no"):
        return True
    by_variant = tracked in ("by option", "variant", "sku")
    if by_variant and cells.get(names["item"]) == product.get(names["item"]):
        return None  # its variants have the stock
    return has_stock(text_of(cells if by_variant else product, names["stock"]))


def _read_category(cells: Mapping[str, object]) -> str:
    details = re.findall(
        r"Category Path:\s*([^|;]+?)(?:,\s*Category|\||;|$)", text_of(cells, "Category Details")[:20_000]
    )
    names = ("Category", "Category String", "Categories")
    paths = details or split_list(next(filter(None, (text_of(cells, name) for name in names)), ""), ";")
    return deepest_path(paths, "/")


BIGCOMMERCE = (
    Preset(
        name="bigcommerce-csv",
        title="BigCommerce, product export (CSV)",
        signature=("Item Type", "Product ID", "Product Name", "Product Code/SKU"),
        field_map=FieldMap(
            id="@id",
            title=("@name",),
            description=("Product Description", "Description"),
            brand=("Brand Name", "Brand"),
            category=("@category",),
            price=("Sale Price", "Price"),
            available=("@available",),
            image=("Product Image URL - 1", "Product Image File - 1", "Images"),
            url="Product URL",
            identifiers=(
                "Product Code/SKU",
                "Product UPC/EAN",
                "Global Trade Item Number",
                "Manufacturer Part Number",
            ),
            attributes=("option:*", "Product Weight"),
            group="@id",
            status=("Product Visible?",),
        ),
        prepare=lambda records: _prepare(_OLD, records),
    ),
    Preset(
        name="bigcommerce-table",
        title="BigCommerce, product export of 2023 and later (CSV)",
        signature=("Item", "ID", "Name", "SKU", "Inventory Tracking"),
        field_map=FieldMap(
            id="@id",
            title=("@name",),
            description=("Description",),
            brand=("Brand", "Brand Name"),
            category=("@category",),
            price=("Sale Price", "Price"),
            available=("@available",),
            image=("Image URL (Import)", "Internal Image URL (Export)", "Variant Image URL"),
            url="Product URL",
            identifiers=("SKU", "UPC/EAN", "GTIN", "Global Trade Number", "Manufacturer Part Number"),
            attributes=("option:*", "Weight"),
            group="@id",
            status=("Is Visible",),
        ),
        prepare=lambda records: _prepare(_NEW, records),
    ),
)
