from pathlib import Path

import pytest

from mappings.errors import ModelError, ModelMismatch
from mappings.settings import ModelSettings
from plugin_api.commands.index.models import model_folders
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
