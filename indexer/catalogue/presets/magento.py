"""Magento and Adobe Commerce: the CSV export of products.

A configurable product lists its variants in `configurable_variations`; those are rows of their own, mostly
"not visible individually", with price and stock. Rows of a store view are translations and are left out.
"""

import re
from collections.abc import Iterable, Mapping

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.nested import find_cell
from indexer.catalogue.presets.preset import (
    Cells,
    Preset,
    deepest_path,
    each_record,
    list_objects,
    split_list,
    text_of,
)

_DEFAULT_VIEWS = ("", "default", "admin", "all")
_NOT_VISIBLE = 1
_API_FIELDS = frozenset(
    (
        "short_description", "description", "manufacturer", "brand", "special_price", "special_from_date",
        "special_to_date", "image", "url_key", "ean", "gtin", "upc", "mpn",
    )
)  # fmt: skip
"""Attributes of the REST API that are fields of a product."""

_API_SETTINGS = frozenset(
    (
        "small_image", "thumbnail", "swatch_image", "options_container", "required_options", "has_options",
        "tax_class_id", "category_ids", "meta_title", "meta_keyword", "meta_description", "page_layout",
        "custom_layout", "gift_message_available", "image_label", "small_image_label", "thumbnail_label",
    )
)  # fmt: skip
"""Attributes of the REST API that no shopper looks for."""

_NEXT_ATTRIBUTE = re.compile(r",(?=[A-Za-z][\w]{0,99}=)")


def _prepare_row(row: Mapping[str, object]) -> Iterable[Cells] | str:
    view = text_of(row, "store_view_code")
    if view.casefold() not in _DEFAULT_VIEWS:
        return "row of a store view"
    cells = dict(row)
    for attribute in _NEXT_ATTRIBUTE.split(text_of(row, "additional_attributes")[:100_000]):
        name, equals, value = attribute.partition("=")
        value = value.strip().strip('"')
        if equals and name.strip() and value:
            cells[f"option:{name.strip()}"] = _yes_or_no(split_list(value, "|"))
    cells["@category"] = deepest_path(
        split_list(text_of(row, "categories")), "/", skip=("default category", "root catalog")
    )
    if text_of(row, "product_online"):
        cells["@status"] = "enabled" if text_of(row, "product_online") == "1" else "disabled"
    children = text_of(row, "configurable_variations")[:1_000_000]
    cells["@children"] = re.findall(r"(?:^|\|)sku=([^,|]+)", children)
    return [cells]


def _prepare_product(product: Mapping[str, object]) -> Iterable[Cells]:
    """Return a product of the REST API, whose status and visibility are numbers."""
    cells = dict(product)
    for attribute in list_objects(product.get("custom_attributes")):
        code, value = str(attribute.get("attribute_code")), attribute.get("value")
        if code in _API_FIELDS:
            cells[f"@{code}"] = value
        elif code not in _API_SETTINGS:
            cells[f"option:{code}"] = value
    gallery = [entry.get("file") for entry in list_objects(product.get("media_gallery_entries"))]
    cells.setdefault("@image", next(filter(None, gallery), None))
    cells["@status"] = {1: "enabled", 2: "disabled"}.get(_whole(product.get("status")), "")
    hidden = _whole(product.get("visibility")) == _NOT_VISIBLE
    cells["@visibility"] = "hidden" if hidden else ""
    cells["@available"] = find_cell(product, "extension_attributes.stock_item.is_in_stock")
    return [cells]


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | str) and str(value).isdigit() else 0


def _yes_or_no(values: list[str]) -> object:
    return {"Yes": True, "No": False}.get(values[0], values) if len(values) == 1 else values


MAGENTO = (
    Preset(
        name="magento-csv",
        title="Magento or Adobe Commerce, product export (CSV)",
        signature=("sku", "product_type", "name", "categories", "additional_attributes"),
        field_map=FieldMap(
            id="sku",
            title=("name",),
            description=("short_description", "description"),
            brand=("manufacturer", "brand"),
            category=("@category",),
            price=("special_price", "price"),
            sale_dates=("special_price_from_date", "special_price_to_date"),
            available=("is_in_stock", "qty"),
            image=("base_image", "small_image"),
            url="url_key",
            identifiers=("ean", "gtin", "upc", "mpn"),
            attributes=("option:*", "weight"),
            children=("@children",),
            status=("@status",),
            visibility=("visibility",),
        ),
        prepare=each_record(_prepare_row),
    ),
    Preset(
        name="magento-json",
        title="Magento or Adobe Commerce, products of the REST API (JSON)",
        signature=("id", "sku", "type_id", "custom_attributes"),
        field_map=FieldMap(
            id="sku",
            title=("name",),
            description=("@short_description", "@description"),
            brand=("@manufacturer", "@brand"),
            price=("@special_price", "price"),
            sale_dates=("@special_from_date", "@special_to_date"),
            available=("@available",),
            image=("@image",),
            url="@url_key",
            identifiers=("@ean", "@gtin", "@upc", "@mpn"),
            attributes=("option:*", "weight"),
            status=("@status",),
            visibility=("@visibility",),
        ),
        prepare=each_record(_prepare_product),
    ),
)
