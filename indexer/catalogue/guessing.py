"""A field map guessed from the names of a catalogue's columns."""

import re

from indexer.catalogue.field_map import OPERATION_COLUMNS, FieldMap, add_operation, format_columns
from indexer.catalogue.records import Source
from mappings.errors import CatalogueError

# Best first: of several columns that would do, the first listed here is taken. Names are compared in lower
# case with everything that is no letter or digit as one underscore ("Body (HTML)" is body_html).
_KNOWN = {
    "id": "id product_id productid item_id handle sku variant_sku asin article_number article_no item_number "
    "part_number mpn gtin ean 商品id 商品编号 商品編號 编号",
    "title": "title product_title product_name productname name item_name item_title headline product_type "
    "商品名称 商品名稱 商品名 标题 標題 名称",
    "description": "description body_html product_description short_description long_description summary "
    "item_description body details bullet_points product_bullet_point 描述 商品描述 商品説明 说明",
    "brand": "brand brand_name product_brand manufacturer supplier vendor maker 品牌 ブランド",
    "category": "category categories category_path product_category category_name google_product_category "
    "product_type type department 类目 分类 类别 カテゴリ",
    "price": "price sale_price variant_price regular_price unit_price list_price price_amount 价格 价钱 価格",
    "available": "available availability in_stock is_available stock stock_status inventory_quantity "
    "variant_inventory_qty 库存",
    "image": "image image_link image_url image_src img img_500x500 img_url images main_image picture "
    "thumbnail img_high img_thumb 图片",
    "url": "url link product_url product_link permalink 链接",
}
_ATTRIBUTES = (
    "attributes specifications specs color colour product_color product_color_name size material gender "
    "pattern age_group package_size pack_size weight style model capacity flavor flavour scent season "
    "condition 颜色 顏色 尺寸 材质 规格"
)
_VERSION = "_version"
_PREFIXED = re.compile(r"(?:attr_[a-z]_|(?:attr|attribute|spec)s?[_.:])", re.IGNORECASE)


def guess_field_map(catalogue: Source, partial: bool = False) -> FieldMap:
    """Guess which column is which. Raises CatalogueError when no id or no text can be made out.

    A file of changes (`partial`) needs only the id. Prices are taken as they stand: whether they are cents
    no name tells.
    """
    columns = catalogue.columns()
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(_plain(column), column)
    found: dict[str, str] = {}
    for field, names in _KNOWN.items():
        for name in names.split():
            if name in by_name and by_name[name] not in found.values():
                found[field] = by_name[name]
                break
    lacking = [] if "id" in found else ["the id"]
    if not partial and "title" not in found and "description" not in found:
        lacking.append("a title or description")
    if lacking:
        raise CatalogueError(
            f"{catalogue.name}: no column looks like {' or '.join(lacking)}; it has "
            f"{format_columns(columns)}. Name the columns in a field map: --fields map.toml"
        )
    prefixes = {match[0] for column in columns if (match := _PREFIXED.match(column))}
    named = [
        column for column in columns if _plain(column) in _ATTRIBUTES.split() and column not in found.values()
    ]
    # Longest first: attr_t_ must take its columns before attr_ does.
    patterns = [f"{prefix}*" for prefix in sorted(prefixes, key=lambda prefix: (-len(prefix), prefix))]

    def many(field: str) -> tuple[str, ...]:
        return (found[field],) if field in found else ()

    field_map = FieldMap(
        id=found["id"],
        title=many("title"),
        description=many("description"),
        brand=many("brand"),
        category=many("category"),
        price=found.get("price", ""),
        available=found.get("available", ""),
        image=found.get("image", ""),
        url=found.get("url", ""),
        attributes=(*named, *patterns),
        version=next((column for column in columns if column == _VERSION), ""),
        operation=next((column for column in OPERATION_COLUMNS if column in columns), ""),
    )
    return add_operation(field_map, columns) if partial else field_map


def _plain(column: str) -> str:
    return re.sub(r"[\W_]+", "_", column.casefold()).strip("_")
