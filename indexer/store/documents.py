"""Build the document that OpenSearch stores from a product and its vectors, and read it back."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping

import numpy as np

from mappings import fields
from mappings.product_key import ProductKey, digest_encoded
from mappings.types import JsonObject, Product
from reranker.encoders.codec import quantise_vector
from reranker.text.product_text import format_attribute_values, list_attribute_values
from reranker.types import EncodedProduct, Floats
from reranker.understanding.facts import pack_facts

_FIRST_TIMESTAMP = 100_000_000_000
"""A moment in 1973, in milliseconds since 1970."""


def build_document(
    product: Product, encoded: EncodedProduct, model: str, version: int, vectors: str, changed: bool = False
) -> JsonObject:
    """Return the document of a product that the model of version `model` has just encoded.

    `vectors` is the setting `index.vectors`; for the other arguments see `build_from_vectors`.
    """
    return build_from_vectors(product, vector_fields(encoded, model, vectors), version, changed)


def vector_fields(encoded: EncodedProduct, model: str, vectors: str) -> JsonObject:
    """Return the fields under `attune` that encoding fills, as `build_from_vectors` takes them."""
    return {
        _own_name(fields.VECTOR): vector_to_json(encoded.vector, vectors),
        _own_name(fields.TOKENS): base64.b64encode(encoded.stored).decode("ascii"),
        _own_name(fields.MODEL): model,
    }


def read_vector_fields(source: JsonObject) -> JsonObject:
    """Return the same fields of a stored document, for a new document of the same text."""
    own = source[fields.ATTUNE]
    return {name: own[name] for name in map(_own_name, (fields.VECTOR, fields.TOKENS, fields.MODEL))}


def make_picture_fields(vector: Floats, key: str, vectors: str) -> JsonObject:
    """Return the fields under `attune` of a product's pictures: their vector (d,), and what it was made of.

    `vectors` is the setting `index.vectors`.
    """
    return {_own_name(fields.PICTURE): vector_to_json(vector, vectors), _own_name(fields.PICTURED): key}


def read_picture_fields(own: JsonObject) -> JsonObject:
    """Return the same fields of a document's `attune`; none where it has no picture."""
    names = [_own_name(name) for name in (fields.PICTURE, fields.PICTURED)]
    return {name: own[name] for name in names if own.get(name) is not None}


def make_no_picture_fields() -> JsonObject:
    """Return the same fields for an update that takes a document's picture out of the index."""
    return {_own_name(name): None for name in (fields.PICTURE, fields.PICTURED)}


class SamePictures:
    """Takes over the pictures that documents have, as between two indexes of the same picture tower."""

    def make_fields(
        self, products: Iterable[Product], known: Mapping[str, JsonObject]
    ) -> dict[str, JsonObject]:
        """Return the picture fields of the products' documents: id → fields under `attune`."""
        return {product.id: read_picture_fields(known.get(product.id, {})) for product in products}


def build_from_vectors(
    product: Product, vectors: JsonObject, version: int, changed: bool = False
) -> JsonObject:
    """Return the document of a product with these vector fields.

    `version` orders writes: milliseconds since 1970, or the catalogue's own count. `changed` marks a document
    that came as a change, which a rebuild from an older catalogue must not lose.

    The facts of its title and attributes are what a search checks a query's demands with.
    """
    facts = encode_facts(product)
    own = {
        **vectors,
        _own_name(fields.FACTS): facts,
        _own_name(fields.KEY): encode_key(product.id, {**vectors, _own_name(fields.FACTS): facts}),
        _own_name(fields.HASH): hash_content(product),
        _own_name(fields.VERSION): version,
        **({_own_name(fields.CONCEPTS): list(product.concepts)} if product.concepts else {}),
    }
    return {
        **product_fields(product),
        fields.ATTUNE: {**own, _own_name(fields.CHANGED): True} if changed else own,
    }


def encode_facts(product: Product) -> str:
    """Return what `attune.facts` holds of a product, in base64."""
    return base64.b64encode(pack_facts(product)).decode("ascii")


def encode_key(product_id: str, own: JsonObject) -> str:
    """Return what `attune.key` holds of a product, in base64.

    `own` has the other fields under `attune`: tokens, model, and facts if there are any.
    """
    tokens, facts = (_decode(own.get(_own_name(name))) for name in (fields.TOKENS, fields.FACTS))
    key = ProductKey(product_id, str(own[_own_name(fields.MODEL)]), digest_encoded(tokens, facts))
    return base64.b64encode(key.pack()).decode("ascii")


def product_fields(product: Product) -> JsonObject:
    """Return the fields of a product's document beside `attune`. Empty ones are left out.

    `facets` repeats each value of the attributes as `name=value`, because OpenSearch can't aggregate
    inside a flat_object (checked on 3.5.0: the buckets stay empty). A false attribute gets no facet: a
    keyword search for "touchscreen" must not match a product without one. The filter
    `attributes.touchscreen: false` still does.
    """
    attributes = {name: format_attribute_values(value) for name, value in product.attributes.items()}
    given: JsonObject = {
        fields.TITLE: product.title,
        fields.BRAND: product.brand,
        fields.CATEGORY: product.category,
        fields.DESCRIPTION: product.description,
        fields.ATTRIBUTES: {
            name: list(values) if len(values) > 1 else values[0]
            for name, values in attributes.items()
            if values
        },
        fields.FACETS: [
            f"{name}={text}" for name, values in attributes.items() for text in values if text != "false"
        ],
        fields.PRICE: product.price,
        fields.AVAILABLE: product.available,
        fields.IMAGE: product.image,
        fields.URL: product.url,
        fields.CURRENCY: product.currency,
        fields.IDENTIFIERS: list(dict.fromkeys((product.id, *product.identifiers))),
        fields.GROUP: product.group,
    }
    return {name: value for name, value in given.items() if value not in ("", None, {}, [])}


def hash_content(product: Product) -> str:
    """Return a hash of exactly what the encoder reads (128 bits, hex). Equal hashes have equal vectors."""
    content = [product.title, product.brand, product.category, product.description]
    content += list_attribute_values(product)
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def restore_product(product_id: str, source: JsonObject) -> Product:
    """Return the product in a document's `_source`, with its attributes as text.

    The encoder reads it exactly as it read the catalogue's product: `facets` has the attributes' order, which
    a filtered `_source` loses.
    """
    attributes = source.get(fields.ATTRIBUTES)
    values = {
        name: value if isinstance(value, str) else tuple(value)
        for name, value in (attributes.items() if isinstance(attributes, dict) else ())
        if isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))
    }
    order = [str(facet).partition("=")[0] for facet in _as_list(source.get(fields.FACETS))]
    first = dict.fromkeys(name for name in order if name in values)
    price, available = source.get(fields.PRICE), source.get(fields.AVAILABLE)
    return Product(
        id=product_id,
        title=_join_text(source.get(fields.TITLE)),
        brand=_join_text(source.get(fields.BRAND)),
        category=_join_text(source.get(fields.CATEGORY)),
        description=_join_text(source.get(fields.DESCRIPTION)),
        attributes={name: values[name] for name in dict.fromkeys([*first, *values])},
        price=price if isinstance(price, int | float) else None,
        available=available if isinstance(available, bool) else None,
        image=_join_text(source.get(fields.IMAGE)),
        url=_join_text(source.get(fields.URL)),
        currency=_join_text(source.get(fields.CURRENCY)),
        identifiers=tuple(
            value
            for value in _as_list(source.get(fields.IDENTIFIERS))
            if isinstance(value, str) and value != product_id
        ),
        group=_join_text(source.get(fields.GROUP)),
        concepts=_read_concepts(source.get(fields.ATTUNE)),
    )


def vector_to_json(vector: Floats, vectors: str) -> list[int] | list[float]:
    """Return the vector (d,) for JSON: whole bytes, or floats of six decimals."""
    if vectors == "byte":
        return quantise_vector(vector)
    rounded: list[float] = np.round(vector.astype(np.float64), 6).tolist()
    return rounded


def is_timestamp(version: int) -> bool:
    """Return whether a version is a time, in milliseconds since 1970; smaller numbers are counts."""
    return version >= _FIRST_TIMESTAMP


def _decode(value: object) -> bytes:
    """Return the bytes of a binary field; none where it has none or something else."""
    try:
        return base64.b64decode(value) if isinstance(value, str) else b""
    except ValueError:
        return b""


def _read_concepts(own: object) -> tuple[str, ...]:
    values = own.get(_own_name(fields.CONCEPTS)) if isinstance(own, dict) else None
    return tuple(value for value in _as_list(values) if isinstance(value, str))


def _own_name(name: str) -> str:
    return name.removeprefix(f"{fields.ATTUNE}.")


def _join_text(value: object) -> str:
    """Return the text of a field. Several values are joined; what is not text is left out."""
    return " ".join(part for part in _as_list(value) if isinstance(part, str))


def _as_list(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
