"""The field map of a catalogue: that of the preset that its columns show, or else a guess by their names."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from indexer.catalogue.field_map import OPERATION_COLUMNS, FieldMap, add_operation, format_columns
from indexer.catalogue.nested import find_cell
from indexer.catalogue.presets import find_preset, plain_name, prepare_records, recognise_preset
from indexer.catalogue.prices import judge_decimal
from indexer.catalogue.records import Record, Source
from mappings.errors import CatalogueError

_SAMPLE = 2000
"""Records that the decimal separator of prices is judged by."""

# Best first: of several columns that would do, the first listed here is taken.
_KNOWN = {
    "id": (
        "id product_id productid item_id handle sku variant_sku parent_asin asin article_number "
        "article_no item_number part_number mpn gtin ean artikelnummer artikelnr artikel_nr art_nr "
        "bestellnummer référence reference referencia riferimento codice codigo código artikelcode "
        "indeks kod code 商品id 商品编号 商品編號 编号 商品コード 商品番号"
    ),
    "title": (
        "title product_title producttitle product_name productname name item_name item_title headline "
        "titel bezeichnung artikelbezeichnung artikelname produktname produktbezeichnung nom libellé "
        "libelle désignation designation titre nombre título titulo nome titolo naam productnaam nazwa "
        "tytuł product_type 商品名称 商品名稱 商品名 标题 標題 名称"
    ),
    "description": (
        "description body_html product_description short_description long_description summary "
        "item_description body details bullet_points product_bullet_point beschreibung langtext "
        "langbeschreibung kurzbeschreibung produktbeschreibung descriptif descripción descripcion "
        "descrizione omschrijving opis 描述 商品描述 商品説明 说明"
    ),
    "brand": (
        "brand brand_name product_brand manufacturer supplier vendor maker marke hersteller marque "
        "fabricant marca fabricante produttore merk producent store 品牌 ブランド メーカー"
    ),
    "category": (
        "category categories category_path product_category category_name product_type type department "
        "google_product_category kategorie warengruppe catégorie categorie categoría categoria rubrik "
        "kategoria 类目 分类 类别 カテゴリ"
    ),
    "url": ("url link product_url product_link permalink produktlink lien enlace 链接"),
    "currency": (
        "currency currency_code price_currency pricecurrency currencycode währung devise moneda valuta "
        "waluta 币种"
    ),
}
_SALE_PRICE = (
    "sale_price saleprice special_price discounted_price offer_price promo_price "
    "final_price current_price angebotspreis aktionspreis prix_promo precio_oferta"
)
_PRICE = (
    "price variant_price regular_price unit_price price_amount list_price retail_price base_price "
    "standard_price selling_price actual_price initial_price preis verkaufspreis bruttopreis preis_brutto "
    "vk prix prix_ttc precio prezzo prijs cena preço preco 价格 价钱 価格 販売価格"
)
_AVAILABLE = (
    "available availability in_stock is_in_stock instock is_available stock_status availability_status "
    "verfügbar verfügbarkeit lieferbarkeit disponibilité disponible disponibilidad disponibilità "
    "beschikbaarheid dostępność 库存状态 在庫状況"
)
_QUANTITY = (
    "stock quantity qty inventory inventory_quantity variant_inventory_qty stock_quantity stock_level "
    "bestand lagerbestand voorraad existencias giacenza 库存 在庫 在庫数"
)
_IMAGE = (
    "image image_link image_url image_src img img_500x500 img_url main_image main_image_url "
    "primary_image images image_urls picture thumbnail img_high img_thumb bild bild_url bildurl imagen "
    "immagine afbeelding zdjęcie 图片 画像"
)
_IDENTIFIERS = (
    "sku variant_sku gtin gtin13 gtin14 ean ean13 upc isbn isbn13 isbn10 barcode variant_barcode mpn "
    "part_number manufacturer_part_number model_number modelnumber article_number item_number asin "
    "product_code artikelnummer herstellernummer 条形码 货号 型番 janコード jan"
)
_STATUS = "status product_status published is_published active is_active enabled is_enabled visible"
_VISIBILITY = "visibility catalog_visibility visibility_in_catalog"
_ENDS = "expiration_date available_until"
_KEPT_GROUPS = "item_group_id group_id variant_group_id"
_ATTRIBUTES = (
    "attributes specifications specs details color colour product_color product_color_name size material "
    "gender pattern age_group package_size pack_size weight style model capacity flavor flavour scent season "
    "condition farbe größe groesse material_type couleur taille matière talla tamaño colore taglia kleur "
    "maat kolor rozmiar 颜色 顏色 尺寸 材质 规格"
)
_VERSION = "_version"
_PREFIXED = re.compile(r"(?:attr_[a-z]_|(?:attr|attribute|spec)s?[_.:])", re.IGNORECASE)


def guess_field_map(catalogue: Source, partial: bool = False, preset: str = "") -> FieldMap:
    """Return the field map of a known export, or guess which column is which.

    `preset` names an export that the catalogue is, whatever its columns are. A file of changes (`partial`)
    needs only the id. Prices are taken as they are: no name tells whether they are cents.

    Raises CatalogueError when no id or no text can be made out, SettingsError for an unknown preset.
    """
    columns = catalogue.columns()
    known = find_preset(preset, columns) if preset else recognise_preset(columns)
    field_map = known.field_map_for(columns) if known else _guess(columns)
    lacking = [] if field_map.id else ["the id"]
    if not partial and not field_map.title and not field_map.description:
        lacking.append("a title or description")
    if lacking:
        raise CatalogueError(
            f"{catalogue.name}: no column looks like {' or '.join(lacking)}; it has "
            f"{format_columns(columns)}. Name the columns in a field map: --fields map.toml"
        )
    field_map = replace(
        field_map,
        version=next((column for column in columns if column == _VERSION), ""),
        operation=next((column for column in OPERATION_COLUMNS if column in columns), ""),
    )
    return add_operation(field_map, columns) if partial else judge_prices(catalogue, field_map)


def judge_prices(catalogue: Source, field_map: FieldMap) -> FieldMap:
    """Return the map with the decimal separator that the first records' prices have, if it names none."""
    if field_map.decimal or not field_map.price:
        return field_map
    return replace(field_map, decimal=judge_decimal(_price_cells(catalogue, field_map)))


def _price_cells(catalogue: Source, field_map: FieldMap) -> Iterator[object]:
    for record in prepare_records(islice(catalogue.records(), _SAMPLE), field_map):
        if isinstance(record, Record):
            for column in field_map.price:
                yield find_cell(record.values, column)


def _guess(columns: tuple[str, ...]) -> FieldMap:
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(plain_name(column), column)
    taken: set[str] = set()

    def first(names: str) -> tuple[str, ...]:
        """Return the best of the named columns that no other field has, if any."""
        present = (by_name[name] for name in names.split() if by_name.get(name, "") not in ("", *taken))
        column = next(present, "")
        taken.add(column)
        return (column,) if column else ()

    def single(names: str) -> str:
        return next(iter(first(names)), "")

    product_id = single(_KNOWN["id"])
    texts = {name: first(_KNOWN[name]) for name in ("title", "description", "brand", "category")}
    price = (*first(_SALE_PRICE), *first(_PRICE))
    available = (*first(_AVAILABLE), *first(_QUANTITY))
    image, url, currency = first(_IMAGE), single(_KNOWN["url"]), single(_KNOWN["currency"])
    group = single(_KEPT_GROUPS)
    status, visibility, ends = first(_STATUS), first(_VISIBILITY), first(_ENDS)
    numbers = tuple(by_name[name] for name in _IDENTIFIERS.split() if name in by_name)
    # Longest first: attr_t_ must take its columns before attr_ does.
    prefixes = {match[0] for column in columns if (match := _PREFIXED.match(column))}
    patterns = [f"{prefix}*" for prefix in sorted(prefixes, key=lambda prefix: (-len(prefix), prefix))]
    named = [c for c in columns if plain_name(c) in _ATTRIBUTES.split() and c not in taken]
    return FieldMap(
        id=product_id,
        title=texts["title"],
        description=texts["description"],
        brand=texts["brand"],
        category=texts["category"],
        price=price,
        currency=currency,
        available=available,
        image=image,
        url=url,
        identifiers=tuple(dict.fromkeys(column for column in numbers if column != product_id)),
        attributes=(*named, *patterns),
        group=group,
        variants="keep" if group else "merge",
        status=status,
        visibility=visibility,
        ends=ends,
    )
