"""PrestaShop and Shopware: their CSV exports and import templates."""

from collections.abc import Iterable, Mapping

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.presets.preset import (
    Cells,
    Preset,
    deepest_path,
    each_record,
    list_names,
    split_list,
)


def _prepare_prestashop(row: Mapping[str, object]) -> Iterable[Cells]:
    cells = dict(row)
    for column, cell in row.items():
        if column.startswith("Feature") and isinstance(cell, str):
            for feature in split_list(cell):
                name, colon, rest = feature.partition(":")
                if colon and name.strip():
                    cells[f"option:{name.strip()}"] = rest.split(":")[0].strip()
        elif column.startswith("Categories") and isinstance(cell, str):
            levels = [level for level in split_list(cell) if level.casefold() not in ("home", "root")]
            cells["@category"] = deepest_path(levels[:1], "/") if "/" in cell else " > ".join(levels)
    return [cells]


def _prepare_shopware(row: Mapping[str, object]) -> Iterable[Cells]:
    cells = dict(row)
    categories = row.get("categories")
    texts = split_list(categories.replace(";", "|"), "|") if isinstance(categories, str) else []
    paths = texts or list_names(categories)
    skip = ("deutsch", "english", "home", "katalog #1", "catalogue #1", "root", "shopware")
    cells["@category"] = deepest_path(paths, r"\s*>\s*|/", skip=skip)
    for column in (
        "propertyIds",
        "optionIds",
        "properties",
        "options",
        "filterValues",
        "configuratorOptions",
    ):
        if isinstance(cell := row.get(column), str):
            for part in split_list(cell.replace(";", "|"), "|"):
                name, colon, value = part.partition(":")
                if colon and value.strip():
                    cells[f"option:{name.strip()}"] = split_list(value)
    return [cells]


_PRESTASHOP_TEXTS = {
    "id": "Product ID",
    "title": ("Name *", "Name"),
    "description": ("Short description", "Summary", "Description"),
    "brand": ("Manufacturer", "Brand"),
    "image": ("Image URLs (x,y,z...)", "Image URLs", "Image Link", "Image"),
    "identifiers": ("Reference #", "Reference", "Supplier reference #", "EAN13", "UPC", "ISBN", "MPN"),
    "attributes": ("option:*", "Weight", "Condition"),
    "url": "Product URL",
}

PRESTASHOP_AND_SHOPWARE = (
    Preset(
        name="prestashop-import",
        title="PrestaShop, products as in its import template (CSV)",
        signature=("Product ID", "Active (0/1)", "Categories (x,y,z...)"),
        field_map=FieldMap(
            **_PRESTASHOP_TEXTS,  # type: ignore[arg-type]  # as FieldMap holds them
            category=("@category",),
            price=("Price tax included", "Price tax excluded"),
            available=("Quantity",),
            status=("Active (0/1)",),
            visibility=("Visibility",),
        ),
        prepare=each_record(_prepare_prestashop),
    ),
    Preset(
        name="prestashop-list",
        title="PrestaShop, export of the list of products (CSV)",
        signature=("Product ID", "Name", "Reference", "Category", "Quantity", "Status"),
        field_map=FieldMap(
            **_PRESTASHOP_TEXTS,  # type: ignore[arg-type]  # as FieldMap holds them
            category=("Category",),
            price=("Price (tax incl.)", "Final price", "Price (tax excl.)", "Base price"),
            available=("Quantity",),
            status=("Status",),
        ),
        prepare=each_record(_prepare_prestashop),
    ),
    Preset(
        name="shopware-6",
        title="Shopware 6, product export (CSV)",
        signature=("id", "product_number", "active", "stock", "name"),
        field_map=FieldMap(
            id="id",
            title=("name",),
            description=("description",),
            brand=("manufacturer_name", "manufacturer"),
            category=("@category",),
            price=("price_gross", "price_net"),
            available=("stock",),
            image=("cover_media_url", "cover"),
            identifiers=("product_number", "ean", "manufacturer_number"),
            attributes=("option:*",),
            group="parent_id",
            status=("active",),
        ),
        prepare=each_record(_prepare_shopware),
    ),
    Preset(
        name="shopware-json",
        title="Shopware 6, products of its API (JSON)",
        signature=("id", "productNumber", "active", "stock"),
        field_map=FieldMap(
            id="id",
            title=("name", "translated.name"),
            description=("description", "translated.description"),
            brand=("manufacturer.name",),
            category=("@category",),
            price=("price",),
            available=("available", "stock"),
            image=("cover.media.url", "cover.url"),
            identifiers=("productNumber", "ean", "manufacturerNumber"),
            attributes=("option:*",),
            group="parentId",
            status=("active",),
        ),
        prepare=each_record(_prepare_shopware),
    ),
    Preset(
        name="shopware-5",
        title="Shopware 5, article export (CSV)",
        signature=("ordernumber", "mainnumber", "name", "supplier", "active"),
        field_map=FieldMap(
            id="ordernumber",
            title=("name",),
            description=("description", "description_long"),
            brand=("supplier",),
            category=("@category",),
            price=("price_EK", "price"),
            available=("instock",),
            image=("image", "imageUrl"),
            identifiers=("ean", "suppliernumber"),
            attributes=("option:*", "additionalText", "weight"),
            group="mainnumber",
            status=("active",),
        ),
        prepare=each_record(_prepare_shopware),
    ),
)
