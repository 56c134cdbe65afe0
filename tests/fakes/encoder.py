"""A small deterministic encoder for tests of indexing."""

import hashlib
from collections.abc import Sequence

import numpy as np

from mappings.types import Product
from reranker.types import EncodedProduct


class StandInEncoder:
    """Vectors of four components drawn from a hash of the title. A title `unencodable` fails."""

    version = "0123456789ab"
    dimension = 4

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        self.batches.append(len(products))
        if any(product.title == "unencodable" for product in products):
            raise RuntimeError("the encoder failed")
        return [encoded(product.title) for product in products]


class OtherEncoder(StandInEncoder):
    """The stand-in as another version of it."""

    version = "ba9876543210"


def encoded(text: str) -> EncodedProduct:
    digest = hashlib.sha256(text.encode()).digest()
    vector = np.frombuffer(digest[:4], dtype=np.uint8).astype(np.float32) + 1
    return EncodedProduct(vector / np.linalg.norm(vector), digest)
