"""Two models as one, for catalogues in two scripts: each product is read by the model of its title's script.

A model folder of this kind holds one file, `models.json`: the folders of the two models, from its own.

    {"chinese": "../weights_chinese", "other": "../weights"}

Vectors of the two are never compared. A query is encoded by both: each product is scored by its own model,
and the nearest products are sought by the model of the query's script. The width of its token vectors says
which model a stored product is of: it has to differ.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from tokenizers import Tokenizer

from mappings.errors import ModelError
from mappings.types import Product
from reranker.fusion import Scorer
from reranker.length_scaling import calibrate
from reranker.model import Model, ModelConfig, load_model
from reranker.text.chinese import is_chinese
from reranker.types import EncodedProduct, EncodedQuery, Floats

MODELS_FILE = "models.json"


class _Folders(msgspec.Struct, forbid_unknown_fields=True):
    chinese: str
    other: str


@dataclass(frozen=True, slots=True)
class MixedQuery(EncodedQuery):
    """A query as the model of its script encodes it, and as each of the two models does."""

    chinese: EncodedQuery | None = None
    other: EncodedQuery | None = None


class MixedModel:
    """A model for Chinese text, and one for all other. A `Reranker` and a `ProductEncoder`."""

    def __init__(self, chinese: Model, other: Model) -> None:
        if chinese.config.token_width == other.config.token_width:
            raise ModelError(
                f"{chinese.folder} and {other.folder} both have token vectors of {other.config.token_width} "
                "components: models of one index need different widths"
            )
        self.chinese, self.other = chinese, other
        both = f"mixed {chinese.version} {other.version}"
        self.version = hashlib.sha256(both.encode()).hexdigest()[:12]

    @property
    def dimension(self) -> int:
        """Components d of the k-NN vector; that of the narrower model ends with zeros."""
        return max(self.chinese.dimension, self.other.dimension)

    @property
    def text_space(self) -> str:
        """Name of the space of its vectors: no other model's."""
        return self.version

    @property
    def config(self) -> ModelConfig:
        """The config of the model that isn't Chinese."""
        return self.other.config

    @property
    def tokenizer(self) -> Tokenizer:
        """The query tokenizer of the model that isn't Chinese."""
        return self.other.tokenizer

    @property
    def product_tokenizer(self) -> Tokenizer:
        """The product tokenizer of the model that isn't Chinese."""
        return self.other.product_tokenizer

    @property
    def scorer(self) -> Scorer:
        """Fusion and MLP of the model that isn't Chinese."""
        return self.other.scorer

    def load(self) -> "MixedModel":
        """Load and run both models, so that the first search doesn't wait. Raises ModelError."""
        self.chinese.load()
        self.other.load()
        return self

    def encode_query(self, text: str) -> MixedQuery:
        """Encode one query by both models."""
        chinese, other = self.chinese.encode_query(text), self.other.encode_query(text)
        first = chinese if is_chinese(text) else other
        return MixedQuery(
            text,
            self._pad(first.vector),
            first.tokens,
            first.words,
            first.unknown,
            first.query_type,
            first.pieces,
            first.scale,
            chinese,
            other,
        )

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        """Encode products, in the order given, each by the model of its title's script."""
        encoded: dict[int, EncodedProduct] = {}
        for model in (self.chinese, self.other):
            rows = [row for row, p in enumerate(products) if is_chinese(p.title) == (model is self.chinese)]
            made = model.encode_products([products[row] for row in rows])
            for row, each in zip(rows, made, strict=True):
                encoded[row] = EncodedProduct(self._pad(each.vector), each.stored)
        return [encoded[row] for row in range(len(products))]

    def is_readable(self, stored: bytes) -> bool:
        """Return whether `score` can read a stored product."""
        return self.chinese.is_readable(stored) or self.other.is_readable(stored)

    def score(
        self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float] = (1.0, 0.0, 0.0)
    ) -> Floats:
        """Return the probability (n,) of each product. Raises ModelError for malformed bytes."""
        return np.array(calibrate(query, self.score_raw(query, stored, weights)), dtype=np.float32)

    def score_raw(
        self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float] = (1.0, 0.0, 0.0)
    ) -> Floats:
        """Return the probability (n,) of each product by its own model, before calibration.

        Raises ModelError for malformed bytes.
        """
        scores = np.zeros(len(stored), np.float32)
        chinese = np.array([self.chinese.is_readable(each) for each in stored], bool)
        for model, mine in ((self.chinese, chinese), (self.other, ~chinese)):
            rows = np.flatnonzero(mine).tolist()
            if rows:
                encoded = self._select_query(query, model)
                scores[rows] = model.score_raw(encoded, [stored[row] for row in rows], weights)
        return scores

    def _select_query(self, query: EncodedQuery, model: Model) -> EncodedQuery:
        """Return a query as one of the two models encodes it."""
        encoded = None
        if isinstance(query, MixedQuery):
            encoded = query.chinese if model is self.chinese else query.other
        return encoded or model.encode_query(query.text)

    def _pad(self, vector: Floats) -> Floats:
        padded: Floats = np.pad(vector, (0, self.dimension - len(vector)))
        return padded


AnyModel = Model | MixedModel

_M = TypeVar("_M")


def select_reader(model: _M, title: str) -> _M | Model:
    """Return the model that reads a product of this title: `model`, or one of a mixed one's two."""
    if not isinstance(model, MixedModel):
        return model
    return model.chinese if is_chinese(title) else model.other


def load_any_model(folder: Path | None = None, threads: int = 0) -> AnyModel:
    """Return the model in `folder`, of either kind, or the shipped one for None. Raises ModelError."""
    file = folder / MODELS_FILE if folder else None
    if folder is None or file is None or not file.is_file():
        return load_model(folder, threads)
    try:
        named = msgspec.json.decode(file.read_bytes(), type=_Folders)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ModelError(f"{file} does not name two models: {error}") from error
    return MixedModel(*(load_model(folder / each, threads) for each in (named.chinese, named.other)))
