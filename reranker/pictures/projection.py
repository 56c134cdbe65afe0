"""Place pictures among texts, so that a picture finds products that have none.

Without training a picture's vector is that of what the tower takes it for: the mean of its classes' names
as the text model encodes them, weighted by the roots of their probabilities (ConSE; Norouzi et al. 2014; the
roots keep what is less probable in view). Trained on a shop's own pairs of pictures and products, a linear
map joins it. The mean of all names is taken off: what every text has in common says nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from mappings.errors import ModelError
from reranker.encoders.codec import normalise
from reranker.pictures.encoder import PROJECTION, EncodedPicture, PictureEncoder
from reranker.types import EncodedQuery, Floats

NAMES_WEIGHT = 0.5
"""Weight of the classes' names beside what was trained.

Measured on emoji of two artists, trained on half of the classes: the kind of a picture is among the first ten
for 0.36 of the other half by names alone, 0.36 by what was trained alone, 0.42 to 0.44 by both.
"""


_NAMES_SLOPE, _LEARNT_SLOPE = 0.5, 1.0
"""Log-odds by cosine. Chosen on the same emoji in four other splits, half of them with pictures: greater ones
cost products with pictures more than they gain those without.
"""


@dataclass(frozen=True, slots=True)
class LearntProjection:
    """A linear map from pictures' vectors to texts': `matrix` (d, t), after `mean` (d,) is taken off.

    `pairs` counts what it was trained on, `space` names the text model that it leads to.
    """

    matrix: Floats
    mean: Floats
    space: str
    pairs: int

    def save(self, path: Path) -> None:
        """Write the map."""
        np.savez(path, matrix=self.matrix, mean=self.mean, space=self.space, pairs=self.pairs)


class PictureProjection:
    """Places pictures in the space of one text model."""

    def __init__(
        self, class_vectors: Floats | None, learnt: LearntProjection | None, shares_space: bool
    ) -> None:
        self._names, self._learnt, self._shares_space = class_vectors, learnt, shares_space

    @property
    def slope(self) -> float:
        """Log-odds by cosine among texts: names alone say less than what was trained."""
        return _LEARNT_SLOPE if self._learnt is not None or self._shares_space else _NAMES_SLOPE

    def place(self, picture: EncodedPicture) -> Floats | None:
        """Return the picture's vector (t,) among texts, of unit length; None where nothing leads there."""
        if self._shares_space:
            return picture.vector
        named = None
        if self._names is not None and picture.classes is not None:
            weights = np.sqrt(picture.classes)  # (C,)
            mean = (weights / weights.sum()) @ self._names - self._names.mean(0)
            named = normalise(mean.astype(np.float32))
        if self._learnt is None:
            return named
        mapped = np.asarray((picture.vector - self._learnt.mean) @ self._learnt.matrix, np.float32)
        learnt = normalise(mapped)
        return learnt if named is None else normalise(learnt + np.float32(NAMES_WEIGHT) * named)


def open_projection(
    encoder: PictureEncoder, encode_text: Callable[[str], EncodedQuery], space: str, dimension: int
) -> PictureProjection:
    """Return the projection of a picture tower into the text space named `space`, of so many components.

    Encodes the names of the tower's classes: about 2 s for 1,000. Raises ModelError.
    """
    learnt = read_projection(encoder.folder / PROJECTION)
    if learnt is not None and learnt.space != space:
        learnt = None  # trained for another text model
    if learnt is not None and learnt.matrix.shape != (encoder.dimension, dimension):
        raise ModelError(
            f"{encoder.folder / PROJECTION} maps {learnt.matrix.shape[0]} to {learnt.matrix.shape[1]} "
            f"components, where {encoder.dimension} to {dimension} are needed: train it again"
        )
    shares_space = encoder.config.shares_text_space
    if shares_space and encoder.dimension != dimension:
        raise ModelError(
            f"{encoder.folder} says that it shares the text space: it makes {encoder.dimension} components, "
            f"the text model {dimension}"
        )
    names = () if shares_space else encoder.class_names
    return PictureProjection(encode_names(encode_text, names) if names else None, learnt, shares_space)


def encode_names(encode_text: Callable[[str], EncodedQuery], names: Sequence[str]) -> Floats:
    """Return the vectors (C, t) of classes' names."""
    return np.stack([encode_text(name).vector for name in names])


def read_projection(path: Path) -> LearntProjection | None:
    """Return the map that training wrote; None where there is none. Raises ModelError."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            matrix, mean = arrays["matrix"].astype(np.float32), arrays["mean"].astype(np.float32)
            learnt = LearntProjection(matrix, mean, str(arrays["space"]), int(arrays["pairs"]))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path} does not hold a projection: {error}") from error
    if matrix.ndim != 2 or mean.shape != matrix.shape[:1] or not np.isfinite(matrix).all():
        raise ModelError(f"{path} does not hold a projection: its arrays do not fit together")
    return learnt
