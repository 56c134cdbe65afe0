"""A picture tower for tests of indexing: a picture's vector is its mean colour."""

from collections.abc import Sequence

import numpy as np

from reranker.pictures.encoder import EncodedPicture, PictureConfig, Pixels


class MeanColours:
    """A picture tower whose vector is the mean colour. `encoded` counts pictures."""

    version = "colours"
    config = PictureConfig(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 3)

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, pictures: Sequence[Pixels]) -> list[EncodedPicture]:
        """Return the mean colours of pictures, of unit length."""
        self.encoded += len(pictures)
        means = [picture.mean((0, 1), dtype=np.float32) for picture in pictures]
        return [EncodedPicture(mean / np.linalg.norm(mean)) for mean in means]
