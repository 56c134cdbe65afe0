"""Read pictures that others sent: JPEG, PNG or WebP, within limits, onto a white square."""

import io
from typing import TYPE_CHECKING

import numpy as np

from mappings.errors import BadPicture, SettingsError
from mappings.settings import PictureSettings
from reranker.pictures.encoder import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("JPEG", "PNG", "WEBP")

_MAX_ASPECT = 20
"""Longest side of a picture, in lengths of its shortest: what is longer shows nothing when it is scaled."""


def read_picture(data: bytes, size: int, settings: PictureSettings) -> Pixels:
    """Return a picture (size, size, 3) that is scaled onto a white square, turned as its camera was held.

    The whole picture is seen: nothing is cut off. Raises BadPicture for data that is too large, claims too
    many pixels, is of another format or broken, and SettingsError where Pillow is not installed.
    """
    if len(data) > settings.max_bytes:
        raise BadPicture(f"a picture of {len(data):,} bytes: at most {settings.max_bytes:,} are read")
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise SettingsError("pictures need Pillow: pip install 'attune[pictures]'") from error
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image, settings)  # before a pixel of it is unpacked
            image.draft("RGB", (2 * size, 2 * size))
            upright = ImageOps.exif_transpose(image)
            return np.asarray(_fit(upright, size), dtype=np.uint8)
    except BadPicture:
        raise
    except UnidentifiedImageError as error:
        raise BadPicture("not a JPEG, PNG or WebP picture") from error
    except Exception as error:  # Pillow raises a dozen kinds for broken data
        raise BadPicture(f"a picture that can't be read: {error}") from error


def _check_size(image: "Image", settings: PictureSettings) -> None:
    width, height = image.size
    if width * height > settings.max_pixels:
        raise BadPicture(f"a picture of {width} x {height} pixels: at most {settings.max_pixels:,} are read")
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise BadPicture(f"a picture of {width} x {height} pixels is too narrow to show anything")


def _fit(image: "Image", size: int) -> "Image":
    """Return the picture on a white square of so many pixels a side."""
    from PIL import Image

    has_alpha = "A" in image.getbands() or "transparency" in image.info
    image = image.convert("RGBA" if has_alpha else "RGB")
    share = size / max(image.size)
    fitted = (max(round(image.width * share), 1), max(round(image.height * share), 1))
    image = image.resize(fitted, Image.Resampling.BICUBIC, reducing_gap=2.0)
    square = Image.new("RGB", (size, size), (255, 255, 255))
    corner = ((size - image.width) // 2, (size - image.height) // 2)
    square.paste(image, corner, image if has_alpha else None)
    return square
