"""The setting `index.vectors`: what a new index's k-NN field holds."""

import pytest

from mappings.client import index_body
from mappings.errors import SettingsError
from mappings.settings import IndexSettings, load_settings


@pytest.mark.parametrize("vectors", ["byte", "float"])
def test_the_field_holds_what_is_asked_for(vectors: str) -> None:
    body = index_body(384, IndexSettings(vectors=vectors))
    field = body["mappings"]["properties"]["attune"]["properties"]["vector"]
    assert (field["data_type"], field["dimension"]) == (vectors, 384)


def test_what_no_engine_can_do_is_refused() -> None:
    assert load_settings(None, {"ATTUNE_INDEX_VECTORS": "float", "ATTUNE_INDEX_ENGINE": "faiss"})
    with pytest.raises(SettingsError, match=r'for faiss set it to "float"'):
        load_settings(None, {"ATTUNE_INDEX_ENGINE": "faiss"})
    with pytest.raises(SettingsError, match=r'index.vectors must be "byte" or "float"'):
        load_settings(None, {"ATTUNE_INDEX_VECTORS": "bit"})
