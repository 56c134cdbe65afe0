import base64
from pathlib import Path

import pytest
import urllib3

from indexer.pictures.sources import FolderPictures, WebPictures, is_allowed, open_picture_source
from mappings.errors import BadPicture, SettingsError
from mappings.settings import PictureSettings
from mappings.types import Product
from tests.fakes.drawings import draw_picture


def test_files_are_found_by_the_catalogues_name_and_by_the_id(tmp_path: Path) -> None:
    for name in ("cup.png", "7.jpg", "7-2.jpg", "7_3.webp", "77.jpg", "7.txt"):
        (tmp_path / name).write_bytes(b"x")
    source = FolderPictures(tmp_path)
    product = Product("7", image="https://cdn.example.com/a/cup.png?w=2")
    names = [file.name for file in source.find(product, 3)]
    assert names == ["cup.png", "7.jpg", "7-2.jpg"]
    assert source.find(Product("8"), 3) == []


@pytest.mark.parametrize("name", ["../secret", "a/b", "..\\secret"])
def test_an_id_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert FolderPictures(inner).find(Product(name), 3) == []


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://cdn.example.com/1.jpg", True),
        ("http://cdn.example.com/1.jpg", True),
        ("https://a.img.example.com/1.jpg", True),
        ("https://evil.com/cdn.example.com/1.jpg", False),
        ("https://cdn.example.com.evil.com/1.jpg", False),
        ("https://cdn.example.com@evil.com/1.jpg", False),
        ("https://cdn.example.com:9200/1.jpg", False),
        ("ftp://cdn.example.com/1.jpg", False),
        ("file:///etc/passwd", False),
        ("https://[broken/1.jpg", False),
        ("", False),
    ],
)
def test_only_named_hosts_are_fetched_from(address: str, allowed: bool) -> None:
    assert is_allowed(address, ("cdn.example.com", "*.img.example.com")) is allowed


def test_a_data_address_holds_its_picture() -> None:
    source = WebPictures(PictureSettings(), urllib3.PoolManager())
    data = draw_picture()
    address = "data:image/png;base64," + base64.b64encode(data).decode()
    [file] = source.find(Product("1", image=address), 3)
    assert file.read() == data
    [broken] = source.find(Product("1", image="data:image/png;base64,=="), 3)
    with pytest.raises(BadPicture):
        broken.read()


def test_web_without_hosts_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pictures\.hosts"):
        open_picture_source("web", PictureSettings())
    with pytest.raises(SettingsError, match="no folder"):
        open_picture_source(str(tmp_path / "none"), PictureSettings())
