import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mappings.errors import BadPicture
from mappings.settings import PictureSettings
from reranker.pictures.reading import read_picture
from tests.fakes.drawings import draw_picture

SETTINGS = PictureSettings()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_of_each_format_are_scaled_onto_a_white_square(kind: str) -> None:
    pixels = read_picture(draw_picture("square", "red", (200, 100), kind), 64, SETTINGS)
    assert pixels.shape == (64, 64, 3)
    assert (pixels[:10] > 240).all()  # the margin above a picture that is twice as wide as high
    assert pixels[32, 32, 0] > 200
    assert pixels[32, 32, 1] < 60


def test_what_is_transparent_is_white() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(file, "PNG")
    assert (read_picture(file.getvalue(), 32, SETTINGS) == 255).all()


def test_a_photograph_is_turned_as_its_camera_was_held() -> None:
    image = Image.new("RGB", (60, 60), "white")
    image.paste("black", (0, 0, 60, 30))  # dark above
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the top of the picture is at its right
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    pixels = read_picture(file.getvalue(), 60, SETTINGS)
    assert pixels[30, 50].mean() < 60
    assert pixels[30, 10].mean() > 200


@pytest.mark.parametrize("exif", [b"Exif\0\0no TIFF at all", b"Exif\0\0MM\0*\0\0"], ids=["text", "cut"])
def test_a_photograph_with_broken_exif_is_read_as_it_is(exif: bytes) -> None:
    file = io.BytesIO()
    Image.new("RGB", (60, 60), "red").save(file, "JPEG", exif=exif)
    assert read_picture(file.getvalue(), 60, SETTINGS)[30, 30, 0] > 200


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that claims `side` times `side` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        draw_picture()[:200],
        draw_picture(kind="JPEG")[:300],
        draw_picture(kind="GIF"),
        draw_picture(kind="TIFF"),
        bomb(8_000),
        bomb(60_000),
        draw_picture(size=(3000, 20)),
    ],
    ids=["empty", "text", "svg", "cut", "cut-jpeg", "gif", "tiff", "bomb", "great-bomb", "narrow"],
)
def test_what_is_no_picture_or_too_much_is_refused(data: bytes) -> None:
    with pytest.raises(BadPicture):
        read_picture(data, 64, SETTINGS)


def test_a_claim_of_too_many_pixels_is_said_to_be_that() -> None:
    for side in (8_000, 60_000):
        with pytest.raises(BadPicture, match="at most 40,000,000"):
            read_picture(bomb(side), 64, SETTINGS)


def test_a_picture_of_too_many_bytes_is_refused_unread() -> None:
    data = draw_picture()
    with pytest.raises(BadPicture, match="bytes"):
        read_picture(data, 64, PictureSettings(max_bytes=len(data) - 1))
    assert isinstance(read_picture(data, 64, PictureSettings(max_bytes=len(data))), np.ndarray)
