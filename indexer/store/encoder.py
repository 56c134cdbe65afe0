"""What the indexer needs of a model. `reranker.model.Model` is a `ProductEncoder`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from mappings.types import JsonObject, Product
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


class ProductPictures(Protocol):
    """Makes the picture fields of products' documents."""

    def make_fields(
        self, products: Iterable[Product], known: Mapping[str, JsonObject]
    ) -> Mapping[str, JsonObject]:
        """Return the fields under `attune` of those products that have pictures, by id.

        `known` are the fields under `attune` that the products' documents have so far.
        """
        ...


class EncodedPictures(ProductPictures, Protocol):
    """Pictures that are encoded by a tower of this `version` into vectors of `dimension` components."""

    @property
    def version(self) -> str:
        """The version of the tower, stamped on every index."""
        ...

    @property
    def place(self) -> str:
        """Where the pictures come from, as `--images` names it."""
        ...

    @property
    def dimension(self) -> int:
        """Components of a picture's vector."""
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
