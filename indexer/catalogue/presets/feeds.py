"""Feeds and open data: Google Merchant Center, Best Buy, Open Food Facts and Icecat."""

import re
from collections.abc import Iterable, Mapping

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.nested import find_cell
from indexer.catalogue.presets.preset import (
    Cells,
    Preset,
    deepest_path,
    each_record,
    list_names,
    list_objects,
    plain_name,
    split_list,
)

_GOOGLE_ATTRIBUTES = (
    "color", "size", "material", "pattern", "gender", "age_group", "size_type", "size_system", "condition",
    "product_detail", "product_weight", "energy_efficiency_class", "certification",
)  # fmt: skip


def _prepare_google(row: Mapping[str, object]) -> Iterable[Cells]:
    by_name = {plain_name(name): cell for name, cell in row.items()}
    category = ""
    for name in ("product_type", "google_product_category"):
        cell = by_name.get(name)
        cells = cell if isinstance(cell, list | tuple) else [cell]
        texts = [text for text in cells if isinstance(text, str) and not text.strip().isdigit()]
        category = category or deepest_path(texts[:1], r"\s+>\s+|>|\s+/\s+")
    return [{**row, "@category": category}]


def _prepare_best_buy(row: Mapping[str, object]) -> Iterable[Cells]:
    path = row.get("categoryPath") or row.get("category")
    names = list_names(path) or ([path] if isinstance(path, str) else [])
    return [{**row, "@category": [name for name in names if name != "Best Buy"]}]


def _prepare_food(row: Mapping[str, object]) -> Iterable[Cells]:
    categories = row.get("categories")
    levels = split_list(categories) if isinstance(categories, str) else []
    brands = row.get("brands")
    cells = {
        **row,
        "@title": next(
            (row[name] for name in ("product_name", "product_name_en", "generic_name") if row.get(name)), ""
        ),
        "@category": [re.sub(r"^[a-z]{2}:", "", level) for level in levels],
        "@brand": split_list(brands)[:1] if isinstance(brands, str) else brands,
    }
    for name in ("labels", "allergens", "packaging", "countries", "traces"):
        if isinstance(cell := row.get(name), str):
            cells[f"@{name}"] = [re.sub(r"^[a-z]{2}:", "", part) for part in split_list(cell)]
    return [cells]


def _prepare_icecat(row: Mapping[str, object]) -> Iterable[Cells] | str:
    def first(*paths: str) -> object:
        cells = (find_cell(row, path) for path in paths)
        return next((cell for cell in cells if cell not in (None, "", [], {})), None)

    if first("GeneralInfo.IcecatId") is None:
        return "no product data"
    sizes = ("HighPic", "Pic", "LowPic")
    images = [f"{place}.{size}" for place in ("Image", "Gallery") for size in sizes]
    cells: Cells = {
        "@id": first("GeneralInfo.IcecatId"),
        "@title": first("GeneralInfo.Title", "GeneralInfo.ProductName"),
        "@brand": first("GeneralInfo.Brand"),
        "@category": first("GeneralInfo.Category.Name.Value", "GeneralInfo.Category.Name"),
        "@description": first(
            "GeneralInfo.Description.LongDesc",
            "GeneralInfo.SummaryDescription.LongSummaryDescription",
            "GeneralInfo.BulletPoints.Values",
        ),
        "@image": first(*images),
        "@gtin": first("GeneralInfo.GTIN", "GeneralInfo.GTINs"),
        "@mpn": first("GeneralInfo.BrandPartCode"),
    }
    for group in list_objects(first("FeaturesGroups")):
        for feature in list_objects(group.get("Features")):
            name = find_cell(feature, "Feature.Name.Value")
            value = feature.get("PresentationValue") or feature.get("Value")
            if name and value:
                cells[f"option:{name}"] = {"Y": True, "N": False}.get(str(value), value)
    return [cells]


_BEST_BUY = FieldMap(
    id="sku",
    title=("name",),
    description=("longDescription", "shortDescription", "description"),
    brand=("manufacturer",),
    category=("@category",),
    price=("salePrice", "regularPrice", "price"),
    available=("onlineAvailability", "inStoreAvailability"),
    image=("largeFrontImage", "image", "largeImage"),
    url="url",
    identifiers=("upc", "modelNumber", "model"),
    attributes=("color", "condition", "details"),
    status=("active",),
)

FEEDS = (
    Preset(
        name="google-merchant",
        title="Google Merchant Center, product feed (TSV or XML)",
        signature=("id", "title", "link", "image_link", "availability", "price"),
        field_map=FieldMap(
            id="id",
            title=("title",),
            description=("description",),
            brand=("brand",),
            category=("@category",),
            price=("sale_price", "price"),
            sale_dates=("sale_price_effective_date",),
            available=("availability",),
            image=("image_link", "additional_image_link"),
            url="link",
            identifiers=("gtin", "mpn"),
            attributes=_GOOGLE_ATTRIBUTES,
            group="item_group_id",
            variants="keep",
            ends=("expiration_date",),
        ),
        prepare=each_record(_prepare_google),
    ),
    Preset(
        name="best-buy-api",
        title="Best Buy, products of its API (JSON)",
        signature=("sku", "name", "regularPrice", "salePrice"),
        field_map=_BEST_BUY,
        prepare=each_record(_prepare_best_buy),
    ),
    Preset(
        name="best-buy-open",
        title="Best Buy, open data set of products (JSON)",
        signature=("sku", "name", "upc", "manufacturer", "model", "shipping"),
        field_map=_BEST_BUY,
        prepare=each_record(_prepare_best_buy),
    ),
    Preset(
        name="open-food-facts",
        title="Open Food Facts (JSON Lines or CSV)",
        signature=("code", "product_name", "brands", "categories"),
        field_map=FieldMap(
            id="code",
            title=("@title",),
            description=("generic_name", "ingredients_text"),
            brand=("@brand",),
            category=("@category",),
            image=("image_front_url", "image_url"),
            url="url",
            attributes=(
                "quantity",
                "nutriscore_grade",
                "nova_group",
                "@labels",
                "@allergens",
                "@packaging",
                "@countries",
                "@traces",
            ),
        ),
        prepare=each_record(_prepare_food),
    ),
    Preset(
        name="icecat-json",
        title="Icecat, product data or answers of its API (JSON)",
        signature=("GeneralInfo", "FeaturesGroups"),
        field_map=FieldMap(
            id="@id",
            title=("@title",),
            description=("@description",),
            brand=("@brand",),
            category=("@category",),
            image=("@image",),
            identifiers=("@gtin", "@mpn"),
            attributes=("option:*",),
        ),
        prepare=each_record(_prepare_icecat),
    ),
)
