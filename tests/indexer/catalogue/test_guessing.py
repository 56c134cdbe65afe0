from pathlib import Path

import pytest

from indexer.catalogue.field_map import FieldMap, load_field_map
from indexer.catalogue.guessing import guess_field_map
from indexer.sources.files import open_catalogue
from mappings.errors import CatalogueError

ROOT = Path(__file__).parents[3]


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
