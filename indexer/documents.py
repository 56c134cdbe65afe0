"""Product + its vectors → the document that OpenSearch stores."""

import base64
import hashlib

import numpy as np

from indexer.values import number_text
from mappings import fields
from mappings.types import AttributeValue, JsonObject, Product
from reranker.product_text import product_text
from reranker.stored import whole_numbers
from reranker.types import EncodedProduct


def document(
    product: Product, encoded: EncodedProduct, model: str, moment_ms: int, vectors: str
) -> JsonObject:
    """Return the document of one product; fields that the catalogue left empty are left out.

    `model` is the encoder's version, `moment_ms` the run's start in milliseconds since 1970: documents
    of one run share it. `vectors` is the setting `index.vectors`.

    `facets` repeats the attributes as `name=value`, because OpenSearch can't aggregate inside a flat_object
    (checked on 3.5.0: the buckets stay empty). A false attribute is no facet: a keyword search for
    "touchscreen" must not find what has none; the filter `attributes.touchscreen: false` still does.
    """
    attributes = {name: _text(value) for name, value in product.attributes.items()}
    given: JsonObject = {
        fields.TITLE: product.title,
        fields.BRAND: product.brand,
        fields.CATEGORY: product.category,
        fields.DESCRIPTION: product.description,
        fields.ATTRIBUTES: attributes,
        fields.FACETS: [
            f"{name}={text}" for name, text in attributes.items() if product.attributes[name] is not False
        ],
        fields.PRICE: product.price,
        fields.AVAILABLE: product.available,
        fields.IMAGE: product.image,
        fields.URL: product.url,
    }
    own = {
        fields.ID: product.id,
        fields.VECTOR: vector_json(encoded, vectors),
        fields.TOKENS: base64.b64encode(encoded.stored).decode("ascii"),
        fields.MODEL: model,
        fields.HASH: content_hash(product),
        fields.VERSION: moment_ms,
    }
    return {
        **{name: value for name, value in given.items() if value not in ("", None, {}, [])},
        fields.ATTUNE: {name.removeprefix(f"{fields.ATTUNE}."): value for name, value in own.items()},
    }


def content_hash(product: Product) -> str:
    """Return a hash of exactly what the encoder reads: equal hashes need no new vectors (128 bits, hex)."""
    return hashlib.blake2b(str(product_text(product)).encode(), digest_size=16).hexdigest()


def vector_json(encoded: EncodedProduct, vectors: str) -> list[int] | list[float]:
    """Return the vector (d,) for JSON, of bytes or floats: six decimals, half the bytes of a full print."""
    if vectors == "byte":
        return whole_numbers(encoded.vector)
    rounded: list[float] = np.round(encoded.vector.astype(np.float64), 6).tolist()
    return rounded


def _text(value: AttributeValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number_text(value)
