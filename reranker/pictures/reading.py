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
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise SettingsError("pictures need Pillow: pip install 'attune[pictures]'") from error
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image, settings)  # before a pixel of it is unpacked
            image.draft("RGB", (2 * size, 2 * size))
            # Scaled before all else: each further copy of a large picture would take 160 MB.
            return np.asarray(_place(_turn(_scale(image, size)), size), dtype=np.uint8)
    except BadPicture:
        raise
    except Image.DecompressionBombError as error:
        raise BadPicture(f"a picture of too many pixels: at most {settings.max_pixels:,} are read") from error
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


def _scale(image: "Image", size: int) -> "Image":
    """Return the picture with its longer side of so many pixels, in RGB or RGBA."""
    from PIL import Image

    mode = "RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    share = size / max(image.size)
    fitted = (max(round(image.width * share), 1), max(round(image.height * share), 1))
    return image.resize(fitted, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _turn(image: "Image") -> "Image":
    """Return the picture as its camera was held; as it is where what says so can't be read."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  # broken EXIF: Pillow raises SyntaxError, struct.error and others
        return image


def _place(image: "Image", size: int) -> "Image":
    """Return the picture in the middle of a white square of so many pixels a side."""
    from PIL import Image

    square = Image.new("RGB", (size, size), (255, 255, 255))
    corner = ((size - image.width) // 2, (size - image.height) // 2)
    square.paste(image, corner, image if image.mode == "RGBA" else None)
    return square
