"""What the encoders hand out and the scorer takes in."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EncodedProduct:
    """One product as it is stored: its k-NN vector and the bytes of the field `attune.tokens`."""

    vector: Floats  # (d,) unit length
    stored: bytes


class QueryType(StrEnum):
    """What a query looks like: a model number decides first, then a sentence, then the number of words."""

    MODEL = "model"
    """A model number is in it: `TN-2110`, `sony wh1000xm4 case`, `lego 75192`."""
    SENTENCE = "sentence"
    """Written as one speaks: five words or more, or three with a function word among them, or a question."""
    HEAD = "head"
    """One or two words: `laptop`, `gaming mouse`, `手机`."""
    PHRASE = "phrase"
    """Three or four words: `noise cancelling headphones`."""


@dataclass(frozen=True, slots=True)
class EncodedQuery:
    """One query: its k-NN vector, its projected token vectors and its normalised words.

    `unknown` is the share of its tokens that the encoder's tokenizer doesn't know, `query_type` what it looks
    like without intent words, `pieces` into how many tokens its words are cut on average. `scale` are the
    slope and the shift of log-odds with which its products' probabilities come true.
    """

    text: str
    vector: Floats  # (d,) unit length
    tokens: Floats  # (Lq, t) unit rows
    words: tuple[str, ...]
    unknown: float = 0.0
    query_type: QueryType = QueryType.PHRASE
    pieces: float = 1.0
    scale: tuple[float, float] = (1.0, 0.0)


class Reranker(Protocol):
    """What a search needs of a model. `reranker.model.Model` implements it."""

    @property
    def version(self) -> str:
        """Version of the model: it is stamped on every product that the model encoded."""

    def encode_query(self, text: str) -> EncodedQuery:
        """Encode one query."""

    def is_readable(self, stored: bytes) -> bool:
        """Return whether `score_raw` can read a stored product. Takes a microsecond."""

    def score_raw(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        """Return the probability (n,) of each stored product before calibration, heads averaged by `weights`.

        A search adds evidence to its log-odds, and calibrates at the end. Raises ModelError for malformed
        bytes.
        """
