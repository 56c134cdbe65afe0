"""What a picture says of products: log-odds by two named features, which join the score of the words."""

import numpy as np

from reranker.types import Doubles, Floats

PICTURE, PICTURE_WORDS = PICTURE_FEATURES = ("picture", "picture_words")
"""How alike a product's own picture is, and how near its text is to what the picture shows."""

_SLOPE, _TYPICAL = 6.0, 0.35
"""Log-odds by cosine of two pictures, and the cosine that says nothing for or against.

Fitted by logistic regression: whether two emoji, drawn by two artists, are of one kind. Of ten pairs one has
a greater cosine.
"""

_TYPICAL_WORDS = 0.15
"""The cosine of a picture's words and a product's text that says nothing: of ten pairs one has a greater."""


def compute_picture_evidence(
    pictures: Floats,  # (n,) cosines, NaN for products without a picture
    words: Floats | None,  # (n,) cosines
    words_slope: float,
    weight: float,
) -> dict[str, Doubles]:
    """Return what each feature adds to the log-odds (n,) of products, times `weight`.

    `words_slope` is the projection's. A product without a picture gets nothing for it and loses nothing: its
    text speaks alone.
    """
    alike = np.nan_to_num(_SLOPE * (pictures.astype(np.float64) - _TYPICAL))
    near = np.zeros(len(pictures)) if words is None else words_slope * (words - _TYPICAL_WORDS)
    return {PICTURE: weight * alike, PICTURE_WORDS: weight * near.astype(np.float64)}
