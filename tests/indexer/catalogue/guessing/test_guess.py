import json
from pathlib import Path

import pytest

from indexer.catalogue.field_map import FieldMap, load_field_map
from indexer.catalogue.guessing import guess_field_map
from indexer.sources.files import open_catalogue
from mappings.errors import CatalogueError

ROOT = Path(__file__).parents[4]


def guess(tmp_path: Path, header: str) -> FieldMap:
    (tmp_path / "a.csv").write_text(header + "\n")
    return guess_field_map(open_catalogue(tmp_path / "a.csv"))


def test_the_electronics_catalogue() -> None:
    assert guess_field_map(
        open_catalogue(ROOT / "plugin_api/commands/demo/data/electronics.jsonl.gz")
    ) == FieldMap(
        id="id",
        title=("title",),
        description=("short_description",),
        brand=("supplier",),
        price=("price",),
        image=("img_500x500",),
        identifiers=("ean",),
        attributes=("attr_b_*", "attr_n_*", "attr_t_*"),
    )


def test_a_grocery_list(tmp_path: Path) -> None:
    header = "product_id,manufacturer_id,department,brand,product_category,product_type,package_size"
    assert guess(tmp_path, header) == FieldMap(
        id="product_id",
        title=("product_type",),
        brand=("brand",),
        category=("product_category",),
        attributes=("package_size",),
    )


def test_a_shopify_export(tmp_path: Path) -> None:
    header = "Handle,Title,Body (HTML),Vendor,Type,Tags,Variant SKU,Variant Price,Image Src"
    assert guess(tmp_path, header) == FieldMap(
        id="Handle",
        title=("Title",),
        description=("Body (HTML)",),
        preset="shopify-csv",
        brand=("Vendor",),
        category=("@category",),
        price=("Variant Price",),
        available=("@available",),
        image=("Image Src",),
        identifiers=("Variant SKU",),
        attributes=("option:*", "@tags", "Type", "Google Shopping / *"),
        group="Handle",
    )


def test_a_google_merchant_feed(tmp_path: Path) -> None:
    header = "id,title,description,link,image_link,availability,price,brand,product_type,color,size"
    assert guess(tmp_path, header) == FieldMap(
        id="id",
        title=("title",),
        description=("description",),
        preset="google-merchant",
        variants="keep",
        brand=("brand",),
        category=("@category",),
        price=("price",),
        available=("availability",),
        image=("image_link",),
        url="link",
        attributes=("color", "size"),
    )


def test_chinese_columns(tmp_path: Path) -> None:
    found = guess(tmp_path, "商品编号,商品名称,品牌,价格,颜色")
    assert (found.id, found.title, found.brand, found.price) == (
        "商品编号",
        ("商品名称",),
        ("品牌",),
        ("价格",),
    )
    assert found.attributes == ("颜色",)


def test_a_guess_can_be_written_down_and_loaded(tmp_path: Path) -> None:
    found = guess(tmp_path, 'id,title,"colour ""x""",attr_t_a,attr_b')
    (tmp_path / "map.toml").write_text(found.as_toml())
    assert load_field_map(tmp_path / "map.toml", open_catalogue(tmp_path / "a.csv")) == found


def test_nothing_to_go_by(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"the id or a title or description; it has a, b\..*--fields"):
        guess(tmp_path, "a,b")


def test_version_and_operation_are_guessed_from_their_own_names_alone(tmp_path: Path) -> None:
    found = guess(tmp_path, "id,title,version,operation,op,_VERSION,_operation,_version")
    assert (found.version, found.operation) == ("_version", "_operation")
    found = guess(tmp_path, "id,title,version,operation,op")
    assert (found.version, found.operation) == ("", "")


def test_changes_need_only_an_id(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text("sku\n")
    assert guess_field_map(open_catalogue(tmp_path / "gone.csv"), partial=True) == FieldMap(
        "sku", operation="_op"
    )
    (tmp_path / "gone.csv").write_text("title\n")
    with pytest.raises(CatalogueError, match="no column looks like the id; it has title"):
        guess_field_map(open_catalogue(tmp_path / "gone.csv"), partial=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "a.json has no records"), ('{"id": 1', "a.json has no record that can be read: line 1: ")],
)
def test_a_file_without_records_is_said_to_have_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CatalogueError, match=message):
        guess_field_map(open_catalogue(tmp_path / "a.json"))


def guess_json(tmp_path: Path, *records: object) -> FieldMap:
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    return guess_field_map(open_catalogue(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("productId,productName,imageUrl,inStock,salePrice", ("productId", "productName", "imageUrl")),
        ("SKU,Name (en),Name (de),Image [URL]", ("SKU", "Name (en)", "Image [URL]")),
        ("sku,name-de_DE,name-en_US,images_0", ("sku", "name-en_US", "images_0")),
        ("Alias,Name/fr,Bild 1,Bild 2", ("Alias", "Name/fr", "Bild 1")),
        ("Article_Code,NL_Title_Long,Image1", ("Article_Code", "NL_Title_Long", "Image1")),
    ],
)
def test_names_are_found_in_any_spelling(tmp_path: Path, header: str, columns: tuple[str, str, str]) -> None:
    field_map = guess(tmp_path, header)
    assert (field_map.id, *field_map.title, *field_map.image) == columns


def test_an_exact_name_comes_before_a_similar_one(tmp_path: Path) -> None:
    field_map = guess(tmp_path, "product_price,price,id_1,id,name_de,name")
    assert (field_map.id, field_map.title, field_map.price) == ("id", ("name",), ("price",))


def test_a_column_of_ids_is_filled(tmp_path: Path) -> None:
    assert guess(tmp_path, "ean,artikelnummer,titel\n,A1,Mug\n4006381333931,A2,Cup").id == "artikelnummer"
    assert guess(tmp_path, "id,sku,title\n,A1,Mug\n,A2,Cup").id == "sku"


def test_an_id_that_repeats_over_variants_is_their_group(tmp_path: Path) -> None:
    rows = "id,variant_sku,title\n1,a,Mug\n1,b,Mug\n1,c,Mug\n2,d,Cup"
    field_map = guess(tmp_path, rows)
    assert (field_map.id, field_map.group, field_map.variants) == ("variant_sku", "id", "keep")


def test_variants_that_name_their_parent_are_merged(tmp_path: Path) -> None:
    field_map = guess(tmp_path, "sku,title,parent_sku\nA,Mug,\nA-1,,A\nA-2,,A")
    assert (field_map.group, field_map.variants) == ("parent_sku", "merge")
    field_map = guess(tmp_path, "sku,title,parent_sku\nA-1,Mug,A\nA-2,Mug,A")
    assert (field_map.group, field_map.variants) == ("parent_sku", "keep")


def test_empty_columns_give_way(tmp_path: Path) -> None:
    field_map = guess(
        tmp_path, "id,title,name,image,picture\n1,,Mug,,https://a/1.jpg\n2,,Cup,,https://a/2.jpg"
    )
    assert (field_map.title, field_map.image) == (("name",), ("picture",))


def test_kinds_and_numbers_are_no_categories(tmp_path: Path) -> None:
    field_map = guess(tmp_path, 'id,title,type,categories,department\n1,Mug,simple,"20,28",Kitchen')
    assert field_map.category == ("department",)


def test_levels_of_a_category(tmp_path: Path) -> None:
    field_map = guess(tmp_path, "id,title,Category 1,Category 2,Category 3\n1,Mug,Home,Kitchen,Mugs")
    assert field_map.category == ("Category 1", "Category 2", "Category 3")


def test_keys_of_objects(tmp_path: Path) -> None:
    record = {
        "id": 1,
        "title": "Mug",
        "pricing": {"regularPrice": 9.5, "currency": "EUR"},
        "stock": {"inStock": True},
        "assets": {"images": ["https://a/1.jpg"]},
        "seller": {"price": 1},
        "shipping": {"price": 4.9},
    }
    field_map = guess_json(tmp_path, record)
    assert field_map.price == ("pricing.regularPrice",)
    assert (field_map.currency, field_map.available) == ("pricing.currency", ("stock.inStock", "stock"))
    assert field_map.image == ("assets.images",)


def test_a_second_image_fills_gaps(tmp_path: Path) -> None:
    field_map = guess(
        tmp_path, "id,title,image,image,photo\n1,Mug,https://a/1.jpg,,\n2,Cup,,https://a/2.jpg,"
    )
    assert field_map.image == ("image", "image.2")


@pytest.mark.parametrize(
    "lines",
    ["Products of 2024-01-01\n", "Shop: ACME;;\nDate: 01.01.2024;;\n", "\n\nReport;;\n\n", "sep=;\n"],
)
def test_a_header_below_other_lines(tmp_path: Path, lines: str) -> None:
    field_map = guess(tmp_path, f"{lines}Artikelnummer;Bezeichnung;Preis\n1;Mug;9,00\n2;Cup;5,00")
    assert (field_map.id, field_map.title, field_map.price) == ("Artikelnummer", ("Bezeichnung",), ("Preis",))


def test_numbers_of_variants(tmp_path: Path) -> None:
    record = {"id": 1, "title": "Tee", "variants": [{"sku": "T-S", "price": 9}, {"sku": "T-M", "price": 11}]}
    field_map = guess_json(tmp_path, record)
    assert (field_map.identifiers, field_map.price) == (("variants.sku",), ("variants.price",))
