"""A small deterministic encoder for tests of indexing."""

import hashlib
from collections.abc import Sequence

import numpy as np

from mappings.types import Product
from reranker.encoders.codec import quantise_vector
from reranker.types import EncodedProduct


class FakeEncoder:
    """Vectors of four components, from a hash of the title. It fails for the title `unencodable`.

    `batches` records how many products each call encoded.
    """

    version = "0123456789ab"
    dimension = 4

    def __init__(self, version: str = "") -> None:
        self.version = version or self.version
        self.batches: list[int] = []

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        """Encode products; raise RuntimeError where one is titled `unencodable`."""
        self.batches.append(len(products))
        if any(product.title == "unencodable" for product in products):
            raise RuntimeError("the encoder failed")
        return [encode_text(product.title) for product in products]

    def vector_of(self, title: str) -> list[int]:
        """Return the bytes that an index holds as the vector of a product with this title."""
        return quantise_vector(encode_text(title).vector)


class OtherEncoder(FakeEncoder):
    """The same encoder as another version."""

    version = "ba9876543210"


def encode_text(text: str) -> EncodedProduct:
    """Return the vectors of a text."""
    digest = hashlib.sha256(text.encode()).digest()
    vector = np.frombuffer(digest[:4], dtype=np.uint8).astype(np.float32) + 1
    return EncodedProduct(vector / np.linalg.norm(vector), digest)
