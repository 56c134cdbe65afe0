import base64
from typing import Any

import pytest

from indexer.attach.documents import ShopProducts
from indexer.catalogue.field_map import field_map_from
from mappings.errors import BadRequest, ModelMismatch
from mappings.product_key import ProductKey
from mappings.types import Product
from plugin_api.sidecar.pipeline.document_encoding import DocumentEncoder
from tests.fakes.fake_encoder import FakeEncoder

FIELDS = {"id": "_id", "title": "name", "description": "body", "attributes": ["specs"]}
METADATA = {"_index": "myshop", "_id": "7", "_version": -3, "_version_type": "internal", "_routing": "a"}
DOCUMENT: dict[str, Any] = {**METADATA, "name": "Mouse", "body": "1600 dpi", "specs": {"color": "red"}}


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


def encode(encoder: FakeEncoder, document: dict[str, Any], **more: Any) -> Any:
    how = {"fields": FIELDS, "model": encoder.version, "vectors": "byte", **more}
    return DocumentEncoder([encoder]).encode(document, **how)


def test_a_document_gets_what_attaching_would_give_it(encoder: FakeEncoder) -> None:
    own = encode(encoder, DOCUMENT)
    product = Product("7", title="Mouse", description="1600 dpi", attributes={"color": "red"})
    key = ProductKey.unpack(base64.b64decode(own["key"]))
    assert key is not None
    assert (key.id, key.model) == ("7", encoder.version)
    assert own["model"] == encoder.version
    assert ShopProducts(field_map_from(FIELDS, "fields")).is_current(own, product, encoder.version)
    assert len(own["vector"]) == encoder.dimension
    assert all(isinstance(component, int) for component in own["vector"])
    assert isinstance(encode(encoder, DOCUMENT, vectors="float")["vector"][0], float)


def test_without_an_id_it_gets_the_rest(encoder: FakeEncoder) -> None:
    own = encode(encoder, {**DOCUMENT, "_id": None})
    assert "key" not in own
    assert {"vector", "tokens", "facts", "model", "hash"} <= own.keys()


def test_vectors_of_the_same_text_come_back_without_encoding(encoder: FakeEncoder) -> None:
    own = encode(encoder, DOCUMENT)
    encoder.batches.clear()
    assert encode(encoder, {**DOCUMENT, "price": 3, "attune": own}) == own
    assert encoder.batches == []
    assert encode(encoder, {**DOCUMENT, "name": "Keyboard", "attune": own})["tokens"] != own["tokens"]
    assert encode(encoder, {**DOCUMENT, "attune": {**own, "tokens": "AAAA"}}) == own
    assert encode(encoder, {**DOCUMENT, "attune": "their own"}) == own


def test_a_document_without_a_text_has_none(encoder: FakeEncoder) -> None:
    assert encode(encoder, {**METADATA, "price": 3}) is None


def test_another_model_and_a_broken_field_map_are_refused(encoder: FakeEncoder) -> None:
    with pytest.raises(ModelMismatch, match="model 0123 is not loaded"):
        encode(encoder, DOCUMENT, model="0123")
    with pytest.raises(BadRequest, match="no title and no description"):
        encode(encoder, DOCUMENT, fields={"id": "_id"})
