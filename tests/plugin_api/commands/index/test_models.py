from pathlib import Path

import pytest

from indexer.catalogue.field_map import FieldMap
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from mappings.errors import ModelError, ModelMismatch
from mappings.settings import ModelSettings
from plugin_api.commands.index.models import describe_choice, model_folders, sample_products
from reranker.model import load_model, locate_shipped_model
from reranker.shipped_models import choose_shipped_model, locate_chinese_model
from tests.fakes.preview_shop import shipped_model


def test_the_model_of_an_index_is_found_by_its_version() -> None:
    models = model_folders(None, ModelSettings())
    assert models.find(shipped_model().version).version == shipped_model().version
    with pytest.raises(
        ModelMismatch, match=f"made with model unknown; the available models are {shipped_model().version}"
    ):
        models.find("unknown")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=str(tmp_path)):
        model_folders(tmp_path, ModelSettings()).find("unknown")


def test_the_model_of_a_version_is_preferred_where_there_is_one() -> None:
    models = model_folders(None, ModelSettings())
    english, chinese = models.current, load_model(locate_chinese_model())
    assert models.prefer_version(chinese.version)
    assert models.current.version == chinese.version
    assert not models.prefer_version("unknown")
    assert models.current.version == chinese.version
    assert models.find(english.version) is english


def test_the_first_products_of_a_catalogue_are_a_sample(tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("id,title\n1,华为手机\n2,\n3,小米手机\n", encoding="utf-8")
    catalogue = open_catalogue(file)
    source = CatalogueSource(catalogue, FieldMap("id", title=("title",)))
    sample = list(sample_products(source))
    assert [product.title for product in sample] == ["华为手机", "小米手机"]
    assert source.stats.records == 0
    assert "Chinese" in describe_choice(choose_shipped_model(sample))
    assert describe_choice(locate_shipped_model()) == ""
