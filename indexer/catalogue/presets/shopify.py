"""Shopify: the CSV export of products, old and new, and products.json of the shop or of the Admin API.

A product has a row for each variant and for each image, with the texts in its first row only. `@available` is
worked out from stock, tracking and the policy to go on selling; `option:NAME` columns hold the values of
options.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.presets.preset import (
    Cells,
    Preset,
    each_record,
    has_stock,
    list_connected,
    list_names,
    list_objects,
    split_list,
    text_of,
)
from indexer.catalogue.records import Record, Reject

_OLD = {
    "handle": "Handle",
    "option": "Option{} Name",
    "value": "Option{} Value",
    "price": "Variant Price",
    "sku": "Variant SKU",
    "tracker": "Variant Inventory Tracker",
    "quantity": "Variant Inventory Qty",
    "policy": "Variant Inventory Policy",
    "tags": "Tags",
    "category": "Product Category",
    "type": "Type",
    "custom": "Custom Product Type",
    "standard": "Standardized Product Type",
}
_NEW = {
    "handle": "URL handle",
    "option": "Option{} name",
    "value": "Option{} value",
    "price": "Price",
    "sku": "SKU",
    "tracker": "Inventory tracker",
    "quantity": "Inventory quantity",
    "policy": "Continue selling when out of stock",
    "tags": "Tags",
    "category": "Product category",
    "type": "Type",
    "custom": "",
    "standard": "",
}


def _prepare_table(names: Mapping[str, str], records: Iterable[Record | Reject]) -> Iterator[Record | Reject]:
    handle = ""
    options: dict[int, str] = {}
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        cells = dict(record.values)
        if text_of(cells, names["handle"]) != handle:
            handle = text_of(cells, names["handle"])
            options = {}
        for number in (1, 2, 3):
            if name := text_of(cells, names["option"].format(number)):
                options[number] = name
            _add_option(cells, options.get(number, ""), text_of(cells, names["value"].format(number)))
        is_variant = text_of(cells, names["price"]) or text_of(cells, names["sku"])
        cells["@available"] = (
            _is_available(
                text_of(cells, names["quantity"]),
                names["tracker"] in cells and not text_of(cells, names["tracker"]),
                text_of(cells, names["policy"]),
            )
            if is_variant
            else None
        )
        cells["@category"] = next(
            (
                text
                for name in ("category", "standard", "type", "custom")
                if (text := text_of(cells, names[name]))
            ),
            "",
        )
        cells["@tags"] = split_list(text_of(cells, names["tags"]))
        yield replace(record, values=cells)


def _is_available(quantity: str, untracked: bool, policy: str) -> bool | None:
    return untracked or policy.casefold() in ("continue", "true") or has_stock(quantity)


def _add_option(cells: Cells, name: object, value: object) -> None:
    """Add the value of a variant's option. Products without variants have one that says nothing."""
    if value and name and (name, value) != ("Title", "Default Title"):
        cells[f"option:{name}"] = value


_IMAGES = ("image", "featuredImage", "featuredMedia", "images", "media", "thumbnail")
_TEXTS = ("body_html", "descriptionHtml", "bodyHtml", "description")
_KINDS = ("product_type", "productType", "category", "type")


def _expand_product(product: Mapping[str, object]) -> Iterable[Cells]:
    """Return a row for each variant of a product of products.json."""
    tags = product.get("tags")
    base: Cells = {
        **{name: cell for name, cell in product.items() if name not in ("variants", "options")},
        "@tags": split_list(tags) if isinstance(tags, str) else tags,
        "@status": product.get("status")
        or ("unpublished" if "published_at" in product and not product["published_at"] else "active"),
        "@image": _find_first(product, _IMAGES),
        "@description": _find_first(product, _TEXTS),
        "@category": _find_first(product, _KINDS),
    }
    names = list_names(product.get("options"))
    rows: list[Cells] = []
    for variant in list_connected(product.get("variants")) or [{}]:
        row = {**base, **{f"@{name}": variant.get(name) for name in ("price", "sku", "barcode")}}
        if row["@price"] is None:
            row["@price"] = variant.get("prices")
        for option in list_objects(variant.get("selectedOptions")):
            _add_option(row, option.get("name"), option.get("value"))
        for name, number in zip(names, (1, 2, 3), strict=False):
            _add_option(row, name, variant.get(f"option{number}"))
        if "available" in variant or "availableForSale" in variant:
            row["@available"] = variant.get("available", variant.get("availableForSale"))
        elif "inventoryQuantity" in variant:
            policy = str(variant.get("inventoryPolicy") or "")
            row["@available"] = _is_available(str(variant["inventoryQuantity"]), False, policy)
        elif "inventory_quantity" in variant:
            tracked = variant.get("inventory_management", "shopify")
            policy = str(variant.get("inventory_policy") or "")
            row["@available"] = _is_available(str(variant["inventory_quantity"]), not tracked, policy)
        rows.append(row)
    return rows


def _find_first(cells: Mapping[str, object], names: Iterable[str]) -> object:
    """Return the first of some cells that is not empty, None where all are."""
    return next(filter(None, map(cells.get, names)), None)


SHOPIFY = (
    Preset(
        name="shopify-csv",
        title="Shopify, product export (CSV)",
        signature=("Handle", "Title", "Body (HTML)", "Variant Price"),
        field_map=FieldMap(
            id="Handle",
            title=("Title",),
            description=("Body (HTML)",),
            brand=("Vendor",),
            category=("@category",),
            price=("Variant Price",),
            available=("@available",),
            image=("Image Src", "Variant Image"),
            identifiers=("Variant SKU", "Variant Barcode"),
            attributes=("option:*", "@tags", "Type", "Google Shopping / *"),
            group="Handle",
            status=("Status", "Published"),
        ),
        prepare=lambda records: _prepare_table(_OLD, records),
    ),
    Preset(
        name="shopify-table",
        title="Shopify, product export of 2025 and later (CSV)",
        signature=("URL handle", "Title", "Option1 value", "Price"),
        field_map=FieldMap(
            id="URL handle",
            title=("Title",),
            description=("Description",),
            brand=("Vendor",),
            category=("@category",),
            price=("Price",),
            available=("@available",),
            image=("Product image URL", "Variant image URL"),
            identifiers=("SKU", "Barcode"),
            attributes=("option:*", "@tags", "Type"),
            group="URL handle",
            status=("Status", "Published on online store"),
        ),
        prepare=lambda records: _prepare_table(_NEW, records),
    ),
    Preset(
        name="shopify-json",
        title="Shopify, products.json or GraphQL",
        signature=("id", "handle", "title", "variants"),
        field_map=FieldMap(
            id="id",
            title=("title",),
            description=("@description",),
            brand=("vendor",),
            category=("@category",),
            price=("@price",),
            available=("@available",),
            image=("@image",),
            identifiers=("@sku", "@barcode", "handle"),
            attributes=("option:*", "@tags"),
            group="id",
            status=("@status",),
        ),
        prepare=each_record(_expand_product),
    ),
)
