import base64
import dataclasses
import json

import numpy as np
import pytest

from indexer.store.documents import build_document, hash_content, restore_product, vector_to_json
from mappings.product_key import ProductKey, digest_encoded
from mappings.types import JsonObject, Product
from tests.fakes.fake_encoder import encode_text
from tests.fakes.preview_products import PRODUCTS

PRODUCT = Product(
    id="1",
    title="Mug",
    brand="ACME",
    category="Kitchen",
    description="Holds much",
    attributes={"colour": "Blue", "height": 9.0, "lid": False, "dishwasher safe": True},
    price=12.5,
    available=False,
    image="http://a/1.jpg",
    url="http://a/1",
)


def test_the_whole_document() -> None:
    vectors = encode_text("Mug")
    body = build_document(PRODUCT, vectors, "0123456789ab", 1700000000000, "float")
    own = body.pop("attune")
    assert body == {
        "title": "Mug",
        "brand": "ACME",
        "category": "Kitchen",
        "description": "Holds much",
        "attributes": {"colour": "Blue", "height": "9", "lid": "false", "dishwasher safe": "true"},
        "facets": ["colour=Blue", "height=9", "dishwasher safe=true"],
        "price": 12.5,
        "available": False,
        "image": "http://a/1.jpg",
        "url": "http://a/1",
        "identifiers": ["1"],
    }
    assert own.keys() == {"key", "vector", "tokens", "facts", "model", "hash", "version"}
    assert (own["model"], own["version"]) == ("0123456789ab", 1700000000000)
    key = ProductKey.unpack(base64.b64decode(own["key"]))
    digest = digest_encoded(*(base64.b64decode(own[name]) for name in ("tokens", "facts")))
    assert key == ProductKey(PRODUCT.id, "0123456789ab", digest)
    assert base64.b64decode(own["tokens"]) == vectors.stored
    np.testing.assert_allclose(own["vector"], vectors.vector, atol=1e-6)
    assert len(json.dumps(own["vector"])) <= 10 * len(own["vector"]) + 2


def test_a_vector_of_bytes_points_where_the_floats_do() -> None:
    vectors = encode_text("Mug")
    of_bytes = vector_to_json(vectors.vector, "byte")
    assert all(type(component) is int for component in of_bytes)
    assert max(map(abs, of_bytes)) == 127
    assert np.dot(of_bytes, vectors.vector) / np.linalg.norm(of_bytes) > 0.9999


def test_empty_fields_are_left_out() -> None:
    body = build_document(Product(id="1", title="Mug", price=0.0), encode_text("Mug"), "m", 1, "byte")
    assert body.keys() == {"title", "price", "identifiers", "attune"}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"id": "2", "price": 1.0, "available": True, "image": "", "url": ""}, True),
        ({"title": "Cup"}, False),
        ({"brand": "B"}, False),
        ({"description": "Holds little"}, False),
        ({"attributes": {"colour": "Red"}}, False),
    ],
)
def test_the_hash_follows_what_the_encoder_reads(change: dict[str, object], same: bool) -> None:
    changed = dataclasses.replace(PRODUCT, **change)  # type: ignore[arg-type]
    assert (hash_content(changed) == hash_content(PRODUCT)) is same
    assert len(hash_content(PRODUCT)) == 32


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.id)
def test_a_document_gives_back_what_the_encoder_read(product: Product) -> None:
    body = build_document(product, encode_text("any"), "m", 1, "byte")
    shown = restore_product(product.id, body)
    assert hash_content(shown) == hash_content(product)
    assert build_document(shown, encode_text("any"), "m", 1, "byte") == body
    unordered = {**body, "attributes": dict(sorted(body.get("attributes", {}).items()))}  # as when filtered
    assert hash_content(restore_product(product.id, unordered)) == hash_content(product)


@pytest.mark.parametrize(
    "source",
    [{}, {"title": None}, {"title": ["a", "b"]}, {"title": 3, "attributes": "x", "facets": "y=z"},
     {"attributes": {"a": 1, "b": ["c"], "d": "nan", "e": "1e999", "f": "1_000"}}],
)  # fmt: skip
def test_a_document_of_any_shape_is_a_product(source: JsonObject) -> None:
    product = restore_product("1", source)
    assert product.title == ("a b" if source.get("title") == ["a", "b"] else "")
    assert product.attributes == (
        {"b": ("c",), "d": "nan", "e": "1e999", "f": "1_000"}
        if isinstance(source.get("attributes"), dict)
        else {}
    )


def test_every_value_of_an_attribute_is_a_facet_and_the_id_is_an_identifier() -> None:
    product = dataclasses.replace(
        PRODUCT,
        attributes={"colour": ("Red", "Blue")},
        currency="EUR",
        identifiers=("MUG-1", "0012345678905"),
        group="g",
    )
    body = build_document(product, encode_text("Mug"), "m", 1, "byte")
    assert body["attributes"] == {"colour": ["Red", "Blue"]}
    assert body["facets"] == ["colour=Red", "colour=Blue"]
    assert body["identifiers"] == ["1", "MUG-1", "0012345678905"]
    assert (body["currency"], body["group"]) == ("EUR", "g")
    assert restore_product("1", body) == product
