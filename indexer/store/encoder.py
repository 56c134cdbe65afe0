"""What the indexer needs of a model; `reranker.model.Model` is one."""

from collections.abc import Sequence
from typing import Protocol

from mappings.types import Product
from reranker.types import EncodedProduct


class ProductEncoder(Protocol):
    """Encodes products. `version` names the weights; vectors have `dimension` components and unit length."""

    @property
    def version(self) -> str:
        """Version stamped on every document and index."""
        ...

    @property
    def dimension(self) -> int:
        """Components of a product's vector."""
        ...

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        """Encode products, in the order given."""
        ...


class ProductEncoders(Protocol):
    """The models at hand: an index is written to with the model that made it."""

    def of(self, version: str) -> ProductEncoder:
        """Return the model of a version. Raises ModelMismatch where it is not at hand."""
        ...
