import io
from pathlib import Path
from typing import Any

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


def test_the_name_in_an_address_is_also_looked_for_decoded(tmp_path: Path) -> None:
    (tmp_path / "Red cup.png").write_bytes(b"x")
    (tmp_path / "a%20b.png").write_bytes(b"x")
    source = FolderPictures(tmp_path)
    names = [
        [file.name for file in source.find(Product("1", image=f"https://x/{name}"), 3)]
        for name in ("Red%20cup.png", "a%20b.png")
    ]
    assert names == [["Red cup.png"], ["a%20b.png"]]


@pytest.mark.parametrize(
    "address",
    [
        "https://x/" + "n" * 5000 + ".png",
        "https://[broken/1.png",
        "a\0b.png",
        "\ud800.png",
        "%2e%2e%2fsecret.png",
    ],
    ids=["long", "broken", "null", "surrogate", "above"],
)
def test_an_address_that_names_no_file_is_no_picture(tmp_path: Path, address: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "folder.png").mkdir()
    source = FolderPictures(inner)
    assert source.find(Product("1", image=address), 3) == []
    assert source.find(Product("1", image="folder.png"), 3) == []
    assert source.find(Product("n" * 500), 3) == []


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


class Pool(urllib3.PoolManager):
    """Answers every request by a body, and records what was asked for."""

    def __init__(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self.body, self.status, self.stamps = body, status, headers or {}
        self.redirects: list[object] = []

    def request(self, method: str, url: str, *args: Any, **options: Any) -> urllib3.HTTPResponse:  # type: ignore[override]
        self.redirects.append(options["redirect"])
        return urllib3.HTTPResponse(
            io.BytesIO(self.body if method == "GET" else b""),
            headers=self.stamps,
            status=self.status,
            preload_content=False,
        )


def fetch(pool: Pool, settings: PictureSettings) -> bytes:
    [file] = WebPictures(settings, pool).find(Product("1", image="https://cdn.example.com/1.png"), 3)
    return file.read()


def test_pictures_are_fetched_and_no_redirect_is_followed() -> None:
    data, settings = draw_picture(), PictureSettings(hosts="cdn.example.com")
    pool = Pool(data)
    assert fetch(pool, settings) == data
    assert pool.redirects == [False]


@pytest.mark.parametrize(
    ("status", "said"), [(302, "answered 302"), (404, "answered 404"), (200, "more than")]
)
def test_what_can_not_be_fetched_or_is_too_large_is_said(status: int, said: str) -> None:
    settings = PictureSettings(hosts="cdn.example.com", max_bytes=100)
    with pytest.raises(BadPicture, match=said):
        fetch(Pool(draw_picture(), status), settings)


@pytest.mark.parametrize(
    ("headers", "later"),
    [
        ({"etag": '"1"'}, {"etag": '"2"'}),
        ({"last-modified": "Mon", "content-length": "9"}, {"last-modified": "Tue", "content-length": "9"}),
    ],
)
def test_with_recheck_a_server_tells_whether_the_picture_is_another(
    headers: dict[str, str], later: dict[str, str]
) -> None:
    product, pool = Product("1", image="https://cdn.example.com/1.png"), Pool(b"", headers=headers)

    def read_stamp(recheck: bool) -> str:
        [file] = WebPictures(PictureSettings(hosts="cdn.example.com", recheck=recheck), pool).find(product, 1)
        return file.stamp

    before = read_stamp(recheck=True)
    assert read_stamp(recheck=True) == before
    pool.stamps = later
    assert read_stamp(recheck=True) not in ("", before)
    assert read_stamp(recheck=False) == ""
    pool.status = 405
    assert read_stamp(recheck=True) == ""


def test_an_address_on_another_host_is_no_picture() -> None:
    source = WebPictures(PictureSettings(hosts="cdn.example.com"), urllib3.PoolManager())
    assert source.find(Product("1", image="http://169.254.169.254/latest"), 3) == []


def test_web_without_hosts_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pictures\.hosts"):
        open_picture_source("web", PictureSettings())
    with pytest.raises(SettingsError, match="no folder"):
        open_picture_source(str(tmp_path / "none"), PictureSettings())
