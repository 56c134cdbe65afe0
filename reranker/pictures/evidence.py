"""What a picture says of products: log-odds by two named features, which join the score of the words."""

from dataclasses import dataclass

import numpy as np

from reranker.types import Doubles, Floats

PICTURE, PICTURE_WORDS = ("picture", "picture_words")
"""How alike a product's own picture is, and how near its text is to what the picture shows."""

SLOPE, TYPICAL = 6.0, 0.35
"""Of the shipped tower: log-odds by cosine of two pictures, and the cosine that says nothing for or against.

Fitted by logistic regression: whether two emoji, drawn by two artists, are of one kind. Of ten pairs one has
a greater cosine.
"""

_TYPICAL_WORDS = 0.15
"""The cosine of a picture's words and a product's text that says nothing: of ten pairs one has a greater."""


@dataclass(frozen=True, slots=True)
class PictureScale:
    """What cosines mean: log-odds by cosine of two pictures, and of a picture's words and a text, and the
    cosine of each by which it says nothing.
    """

    slope: float = SLOPE
    typical: float = TYPICAL
    words_slope: float = 0.0
    typical_words: float = _TYPICAL_WORDS


def compute_picture_evidence(
    pictures: Floats,  # (n,) cosines, NaN for products without a picture
    words: Floats | None,  # (n,) cosines
    scale: PictureScale,
    weight: float,
) -> dict[str, Doubles]:
    """Return what each feature adds to the log-odds (n,) of products, times `weight`.

    A product without a picture gets nothing for it and loses nothing: its
    text speaks alone.
    """
    alike = np.nan_to_num(scale.slope * (pictures.astype(np.float64) - scale.typical))
    near = np.zeros(len(pictures)) if words is None else scale.words_slope * (words - scale.typical_words)
    return {PICTURE: weight * alike, PICTURE_WORDS: weight * near.astype(np.float64)}
