"""What the indexer needs of a model. `reranker.model.Model` is a `ProductEncoder`."""

from collections.abc import Sequence
from typing import Protocol

from mappings.types import Product
from reranker.types import EncodedProduct


class ProductEncoder(Protocol):
    """Encodes products. `version` names the weights; vectors have `dimension` components and unit length."""

    @property
    def version(self) -> str:
        """The version stamped on every document and index."""
        ...

    @property
    def dimension(self) -> int:
        """The number of components of a product's vector."""
        ...

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        """Encode products, in the order given."""
        ...


class ProductEncoders(Protocol):
    """The available models. An index is only written to with the model that made it."""

    @property
    def current(self) -> ProductEncoder:
        """The model that new indexes are made with."""
        ...

    def find(self, version: str) -> ProductEncoder:
        """Return the model of a version. Raises ModelMismatch where it is not available."""
        ...
