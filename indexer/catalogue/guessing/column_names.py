"""What shops call their columns, field by field, and the forms in which a column's name is looked up.

Sources: the exports of shop systems, Google Merchant Center's attributes in its languages, price comparison
feeds (Heureka, Ceneo, idealo, Yandex), schema.org, and shops in English, German, French, Spanish, Italian,
Dutch, Polish, Portuguese, Chinese and Japanese. Of each field the best names come first.
"""

import re

from indexer.catalogue.presets import plain_name

ID_NAMES = (
    "id product_id productid item_id _id uuid identifier product_code_id internal_id variant_id entity_id "
    "id_product article_id artikel_id article_number article_no articlenumber item_number item_no sku "
    "variant_sku seller_sku parent_asin asin handle url_handle alias artikelnummer artikelnr artikel_nr "
    "art_nr artnr bestellnummer ordernumber produktnummer référence reference référence_produit ref "
    "referencia riferimento codice codigo código código_artículo codice_articolo artikelcode "
    "artikel_nummer indeks kod kod_produktu numer_katalogowy code part_number partnumber product_code "
    "item_code custom_label customlabel supplier_aid supplier_pid guid "
    "商品id 商品编号 商品編號 编号 商品コード 商品番号 品番 stock_code "
    "mpn gtin ean gtin13 upc isbn barcode "
    "артикул код"
)
TITLE_NAMES = (
    "title product_title producttitle product_name productname name item_name item_title headline "
    "titel bezeichnung artikelbezeichnung artikelname produktname produktbezeichnung produkttitel nom "
    "nom_du_produit nom_produit libellé libelle désignation designation titre nombre nombre_del_producto "
    "título titulo nome nome_prodotto titolo naam productnaam producttitel nazwa nazwa_produktu tytuł "
    "title_long title_short label model_name product_type 商品名称 商品名稱 商品名 标题 標題 名称 "
    "タイトル 製品名 "
    "название наименование "
    "description_short"
)
DESCRIPTION_NAMES = (
    "description body_html description_html product_description long_description short_description "
    "description_long description_short summary item_description full_description body details desc "
    "bullet_points product_bullet_point text content beschreibung langbeschreibung langtext "
    "artikelbeschreibung kurzbeschreibung produktbeschreibung descriptif description_longue "
    "description_courte descripción descripcion descripción_larga descripción_corta descrizione "
    "descrizione_lunga descrizione_breve omschrijving beschrijving productomschrijving opis "
    "opis_produktu descrição descricao 描述 商品描述 商品説明 商品说明 説明 说明 "
    "описание"
)
BRAND_NAMES = (
    "brand brand_name product_brand manufacturer manufacturer_name supplier supplier_name vendor maker "
    "producer marke markenname hersteller marque fabricant marca fabricante produttore merk fabrikant "
    "producent marka store 品牌 ブランド メーカー "
    "бренд производитель 品牌"
)
CATEGORY_NAMES = (
    "category categories category_path category_full categorytext category_text product_category "
    "category_name category_names category_tree categorypath breadcrumb breadcrumbs product_type "
    "product_types collection collections type cat department google_product_category kategorie "
    "kategorien kategoriepfad warengruppe produkttyp produktkategorie produktgruppe catégorie categorie "
    "catégories rayon type_de_produit type_produit categoría categorías categoria tipo_de_producto "
    "categorie_di_prodotto tipo_di_prodotto reparto rubrik rubriek producttype productcategorie "
    "kategoria kategorie_produktu typ_produktu 类目 分类 类别 カテゴリ カテゴリー 商品カテゴリ 商品タイプ "
    "категория 類別 分類 "
    "merchant_category"
)
URL_NAMES = (
    "url link product_url product_link permalink canonical_url deeplink deep_link item_url page_url "
    "produktlink produkt_url artikellink lien lien_produit url_produit enlace url_del_producto "
    "collegamento link_prodotto productlink url_produktu 链接 リンク 商品url "
    "ссылка 連結 網址"
)
CURRENCY_NAMES = (
    "currency currency_code currency_id currencyid price_currency pricecurrency currencycode währung "
    "devise moneda valuta waluta moeda 币种 通貨 "
    "валюта 幣別 货币"
)
SALE_PRICE_NAMES = (
    "sale_price saleprice special_price specialprice discounted_price discount_price offer_price "
    "tarif_promo promo_price promotional_price final_price current_price angebotspreis "
    "aktionspreis sonderpreis  "
    "sonderangebotspreis prix_promo prix_promotionnel prix_soldé prix_solde precio_oferta "
    "precio_de_oferta precio_rebajado prezzo_scontato prezzo_in_offerta prezzo_promozionale "
    "aanbiedingsprijs actieprijs cena_promocyjna cena_wyprzedażowa preço_promocional セール価格 "
    "цена 價格 售價 單價 "
    "start_price startprice"
)
PRICE_NAMES = (
    "price variant_price regular_price unit_price price_amount price_gross gross_price price_vat "
    "price_incl_tax price_including_tax price_with_tax price_tax_included price_ttc list_price "
    "regulärer_preis tarif_régulier precio_normal prezzo_di_listino reguliere_prijs retail_price "
    "base_price standard_price selling_price sell_price actual_price initial_price amount "
    "calculated_price preis verkaufspreis vk_preis bruttopreis preis_brutto brutto_vk vk_brutto brutto "
    "endpreis einzelpreis vk listenpreis listprice price_net net_price prix prix_ttc prix_de_vente "
    "prix_public precio precio_venta pvp precio_con_iva prezzo prezzo_di_vendita prijs verkoopprijs "
    "prijs_incl_btw cena cena_brutto preço preco 价格 价钱 售价 価格 販売価格 税込価格"
)
AVAILABLE_NAMES = (
    "available availability in_stock is_in_stock instock is_available available_for_sale stock_status "
    "availability_status inventory_status avail verfügbar verfügbarkeit verfuegbarkeit lieferbarkeit "
    "lieferbar lieferstatus disponibilité disponibilite "
    "disponible disponibilidad disponibilità disponibilita disponibile beschikbaarheid "
    "voorraadstatus dostępność dostepnosc disponibilidade 库存状态 在庫状況 在庫状態 "
    "наличие 庫存狀態 庫存狀況 有无货"
)
DELIVERY_TIME_NAMES = (
    "delivery_time shipping_time lead_time lieferzeit délai_de_livraison plazo_de_entrega levertijd 納期"
)
QUANTITY_NAMES = (
    "stock quantity qty inventory inventory_quantity variant_inventory_qty stock_quantity stock_level "
    "stocklevel inventory_level available_quantity quantity_available current_stock stock_qty on_hand "
    "stock_total total_stock count_on_hand bestand lagerbestand lagerbestand_gesamt lagermenge menge "
    "verfügbarer_bestand quantité quantite stock_disponible cantidad existencias quantità quantita "
    "giacenza voorraad aantal stan_magazynowy ilość estoque quantidade 库存 库存数量 在庫 在庫数 "
    "количество остаток 庫存 庫存數量"
)
IMAGE_NAMES = (
    "image image_link image_url image_src featured_image img img_500x500 img_url imgurl main_image "
    "main_image_url primary_image base_image default_image cover_image product_image product_image_url "
    "images image_urls image_links imgs pictures picture picture_url photo photos photo_url media "
    "hosted_image_urls thumbnail thumbnail_url img_high img_thumb bild bild_url bildurl bildlink bilder "
    "produktbild hauptbild imagen enlace_imagen url_imagen imágenes lien_image lien_de_l_image "
    "url_image image_produit immagine link_immagine url_immagine afbeelding afbeeldingslink "
    "image_name afbeelding_url zdjęcie zdjecie link_do_zdjęcia obrazek imagem 图片 图片链接 画像 "
    "画像リンク 画像url "
    "изображение фото 圖片 圖片連結 "
    "pic_url picurl enclosure"
)
IDENTIFIER_NAMES = (
    "sku variant_sku gtin gtin8 gtin12 gtin13 gtin14 ean ean13 ean_code ean13_or_jan_barcode eans gtins upc "
    "isbn isbn13 isbn10 barcode barcodes variant_barcode mpn part_number partnumber "
    "manufacturer_part_number manufacturer_number manufacturer_sku model_number modelnumber model "
    "article_number articlenumber article_code item_number asin product_code product_number vendor_code "
    "vendorcode supplier_code supplier_sku productno reference artikelnummer artikelnr bestellnummer "
    "herstellernummer herstellerartikelnummer han hersteller_artikelnummer référence_fabricant "
    "referencia_fabricante codice_produttore kod_producenta 条形码 货号 型番 janコード jan "
    "штрихкод 條碼"
)
STATUS_NAMES = (
    "veröffentlicht publié publicado pubblicato gepubliceerd opublikowano opublikowany "
    "status product_status state published is_published active is_active enabled is_enabled visible "
    "is_visible isvisible online product_online aktiv ist_aktiv sichtbar actif activo attivo actief "
    "aktywny ativo"
)
VISIBILITY_NAMES = (
    "visibility catalog_visibility visibility_in_catalog sichtbarkeit_im_katalog "
    "visibilité_dans_le_catalogue visibilidad_en_el_catálogo visibilità_nel_catalogo "
    "zichtbaarheid_in_catalogus widoczność_w_katalogu"
)
END_NAMES = "expiration_date available_until end_date valid_until"
GROUP_NAMES = (
    "item_group_id group_id variant_group_id itemgroup_id item_group parent_id parent_sku parentid "
    "parent übergeordnetes_produkt übergeordnet superior identifizierungsspalte_vaterartikel "
    "vaterartikel artikelgruppen_id id_groupe identifiant_groupe  "
    "parent_product_id"
)
ATTRIBUTE_NAMES = (
    "attributes specifications specs details color colour product_color product_color_name size material "
    "gender pattern age_group package_size pack_size weight style model capacity flavor flavour scent season "
    "condition params param parameters features properties characteristics options attrs "
    "additional_properties additional_property technical_details custom_attributes tags labels fit volume "
    "energy_class energy_efficiency_class finish shape theme compatibility "
    "farbe größe groesse material_type geschlecht muster zustand altersgruppe gewicht merkmale eigenschaften "
    "couleur taille matière genre motif état talla tamaño colore taglia materiale sesso kleur maat geslacht "
    "staat kolor rozmiar materiał płeć stan stan_produktu condición condizione cor tamanho 颜色 顏色 尺寸 "
    "材质 规格 "
    "色 カラー サイズ 素材 状態 性別 "
    "colors colours sizes materials flavors"
)

KNOWN_NAMES = frozenset(
    " ".join(
        (ID_NAMES, TITLE_NAMES, DESCRIPTION_NAMES, BRAND_NAMES, CATEGORY_NAMES, PRICE_NAMES, QUANTITY_NAMES)
    ).split()
)
"""Names by which a header is told from other lines."""

_BRACKETS = re.compile(r"\s*(?:\[[^\]]*\]|\([^)]*\)|\{[^}]*\})")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LANGUAGES = "en|de|fr|es|it|nl|pl|pt|cs|cz|sv|da|fi|nb|hu|ro|sk|tr|ru|uk|ja|zh|ko"
_TAIL = re.compile(
    rf"_(?:(?:{_LANGUAGES})(?:_[a-z]{{2}})?|us|gb|at|ch|eur|usd|gbp|chf|pln|czk|sek|dkk|nok|jpy|cad|aud|inr|"
    r"ecommerce|default|default_store_view|web|shop|gross|brutto|editable|non_editable|value|text|html)$"
)
_HEAD = re.compile(rf"^(?:{_LANGUAGES})_(?=.)")
_OWNER = re.compile(r"^(?:product|item|article|artikel|produkt|variant|offer|prod|p|g)_(?=.)")
_NUMBER = re.compile(r"_?\d{1,2}$")


def list_forms(column: str) -> tuple[str, ...]:
    """Return the names that a column is looked up by, the most certain first.

    `productName`, `name-en_US`, `Name/de`, `name(en-gb)` and `NL_Title` are the names `name` and `title` too.
    """
    exact = plain_name(column)
    words = plain_name(_HUMP.sub("_", _BRACKETS.sub("", column)))
    bare = words
    while (shorter := _TAIL.sub("", bare)) != bare and shorter:
        bare = shorter
    if column[:2].isupper() and column[2:3] == "_":
        bare = _HEAD.sub("", bare)
    owned = _OWNER.sub("", bare)
    numbered = _NUMBER.sub("", owned)
    return tuple(dict.fromkeys(form for form in (exact, words, bare, owned, numbered) if form))


def is_english(column: str) -> bool:
    """Whether a column's name says that its texts are English."""
    return re.search(r"(?:^|[^a-z])en(?:[^a-z]|$)", column.lower()) is not None
