"""Product + its vectors → the document that OpenSearch stores."""

import base64
import hashlib
import json

import numpy as np

from mappings import fields
from mappings.types import JsonObject, Product
from reranker.encoders.codec import quantise_vector
from reranker.text.product_text import format_attribute, list_attribute_values
from reranker.types import EncodedProduct


def document(
    product: Product, encoded: EncodedProduct, model: str, version: int, kind: str, changed: bool = False
) -> JsonObject:
    """Return the document of a product that was just encoded, by the model of version `model`.

    `kind` is the setting `index.vectors`; for the rest see `document_with`.
    """
    return document_with(product, vectors_of(encoded, model, kind), version, changed)


def vectors_of(encoded: EncodedProduct, model: str, kind: str) -> JsonObject:
    """Return the fields under `attune` that encoding fills, as `document_with` takes them."""
    return {
        _own(fields.VECTOR): vector_json(encoded, kind),
        _own(fields.TOKENS): base64.b64encode(encoded.stored).decode("ascii"),
        _own(fields.MODEL): model,
    }


def stored_vectors(source: JsonObject) -> JsonObject:
    """Return the same fields of a stored document, for a new document of the same text."""
    own = source[fields.ATTUNE]
    return {name: own[name] for name in map(_own, (fields.VECTOR, fields.TOKENS, fields.MODEL))}


def document_with(product: Product, vectors: JsonObject, version: int, changed: bool = False) -> JsonObject:
    """Return the document of a product with its vectors; fields that the catalogue left empty are left out.

    `version` tells older from newer: milliseconds since 1970, or the catalogue's own count. `changed` marks
    what came as a change: a rebuild from an older catalogue must not lose it.

    `facets` repeats the attributes as `name=value`, because OpenSearch can't aggregate inside a flat_object
    (checked on 3.5.0: the buckets stay empty). A false attribute is no facet: a keyword search for
    "touchscreen" must not find what has none; the filter `attributes.touchscreen: false` still does.
    """
    attributes = {name: format_attribute(value) for name, value in product.attributes.items()}
    given: JsonObject = {
        fields.TITLE: product.title,
        fields.BRAND: product.brand,
        fields.CATEGORY: product.category,
        fields.DESCRIPTION: product.description,
        fields.ATTRIBUTES: attributes,
        fields.FACETS: [f"{name}={text}" for name, text in attributes.items() if text != "false"],
        fields.PRICE: product.price,
        fields.AVAILABLE: product.available,
        fields.IMAGE: product.image,
        fields.URL: product.url,
    }
    own = {
        _own(fields.ID): product.id,
        **vectors,
        _own(fields.HASH): content_hash(product),
        _own(fields.VERSION): version,
    }
    return {
        **{name: value for name, value in given.items() if value not in ("", None, {}, [])},
        fields.ATTUNE: {**own, _own(fields.CHANGED): True} if changed else own,
    }


def content_hash(product: Product) -> str:
    """Return a hash of exactly what the encoder reads: equal hashes need no new vectors (128 bits, hex)."""
    read = [
        product.title,
        product.brand,
        product.category,
        product.description,
        *list_attribute_values(product),
    ]
    return hashlib.blake2b(json.dumps(read).encode(), digest_size=16).hexdigest()


def shown_product(product_id: str, source: JsonObject) -> Product:
    """Return the product that a document's `_source` shows, attributes as text.

    The encoder reads it as it read the catalogue's: `facets` has the attributes' order, which a filtered
    `_source` loses.
    """
    attributes = source.get(fields.ATTRIBUTES)
    values = (
        {k: v for k, v in attributes.items() if isinstance(v, str)} if isinstance(attributes, dict) else {}
    )
    order = [str(facet).partition("=")[0] for facet in _list(source.get(fields.FACETS))]
    first = dict.fromkeys(name for name in order if name in values)
    price, available = source.get(fields.PRICE), source.get(fields.AVAILABLE)
    return Product(
        id=product_id,
        title=_line(source.get(fields.TITLE)),
        brand=_line(source.get(fields.BRAND)),
        category=_line(source.get(fields.CATEGORY)),
        description=_line(source.get(fields.DESCRIPTION)),
        attributes={name: values[name] for name in dict.fromkeys([*first, *values])},
        price=price if isinstance(price, int | float) else None,
        available=available if isinstance(available, bool) else None,
        image=_line(source.get(fields.IMAGE)),
        url=_line(source.get(fields.URL)),
    )


def vector_json(encoded: EncodedProduct, vectors: str) -> list[int] | list[float]:
    """Return the vector (d,) for JSON, of bytes or floats: six decimals, half the bytes of a full print."""
    if vectors == "byte":
        return quantise_vector(encoded.vector)
    rounded: list[float] = np.round(encoded.vector.astype(np.float64), 6).tolist()
    return rounded


def _own(name: str) -> str:
    return name.removeprefix(f"{fields.ATTUNE}.")


def _line(value: object) -> str:
    """Return a field's text; several values are joined, what is no text counts as none."""
    return " ".join(part for part in _list(value) if isinstance(part, str))


def _list(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
