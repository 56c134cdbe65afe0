"""Where the pictures of products come from: a folder, or addresses on hosts that the shop allows."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Protocol
from urllib.parse import unquote, urlsplit

import urllib3

from mappings.errors import BadPicture, SettingsError
from mappings.settings import PictureSettings
from mappings.types import Product

WEB = "web"
"""The place of pictures at the catalogue's addresses."""

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

_UNSAFE = re.compile(r"[/\\\0]")
_TIMEOUT = urllib3.Timeout(connect=5.0, read=15.0)
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One picture that is yet to be read. `name` and `stamp` are equal as long as its content is."""

    name: str
    stamp: str
    read: Callable[[], bytes]


class PictureSource(Protocol):
    """Finds the pictures of a product."""

    @property
    def place(self) -> str:
        """Where they come from, as `--images` names it: attached indexes record it."""
        ...

    def find(self, product: Product, most: int) -> list[PictureFile]:
        """Return the product's first pictures, `most` of them; none where it has none. Reads nothing yet."""
        ...


@dataclass(frozen=True, slots=True)
class FolderPictures:
    """The files of a folder: those that the catalogue names, and those named as the product's id.

    Further pictures of a product end in a number: `4711.jpg`, `4711-2.jpg`, `4711_3.png`.
    """

    folder: Path

    @property
    def place(self) -> str:
        """The folder's whole path."""
        return str(self.folder.absolute())

    def find(self, product: Product, most: int) -> list[PictureFile]:
        """Return the product's pictures that are in the folder."""
        stem = "" if _UNSAFE.search(product.id) else product.id
        stems = [stem, *(f"{stem}{mark}{n}" for n in range(1, most + 1) for mark in "-_")] if stem else []
        names = [*_list_names(product.image), *(f"{each}{suffix}" for each in stems for suffix in _SUFFIXES)]
        paths = {
            self.folder / name: None for name in names if name and Path(name).suffix.lower() in _SUFFIXES
        }
        files = (_open_file(path) for path in paths)
        return [file for file in files if file is not None][:most]


@dataclass(frozen=True, slots=True)
class WebPictures:
    """The addresses in the catalogue, on the hosts that the setting `pictures.hosts` allows.

    No redirect is followed: it could lead to a host that is not allowed. Under an address that was encoded
    before the same picture is assumed, unless the setting `pictures.recheck` has its server asked.
    """

    settings: PictureSettings
    pool: urllib3.PoolManager

    @property
    def place(self) -> str:
        """What `--images` calls it."""
        return WEB

    def find(self, product: Product, most: int) -> list[PictureFile]:
        """Return the picture that the catalogue names; none where its host is not allowed."""
        address = product.image
        if most and is_allowed(address, self.settings.allowed_hosts):
            stamp = self._read_stamp(address) if self.settings.recheck else ""
            return [PictureFile(address, stamp, lambda: self._fetch(address))]
        return []

    def _read_stamp(self, address: str) -> str:
        """Return what its server says of a picture without sending it; empty where it says nothing."""
        try:
            response = self.pool.request("HEAD", address, redirect=False, timeout=_TIMEOUT, retries=1)
        except urllib3.exceptions.HTTPError:
            return ""
        if response.status != 200:
            return ""
        return response.headers.get("etag") or " ".join(
            response.headers.get(name, "") for name in ("last-modified", "content-length")
        )

    def _fetch(self, address: str) -> bytes:
        limit = self.settings.max_bytes
        try:
            response = self.pool.request(
                "GET", address, redirect=False, preload_content=False, timeout=_TIMEOUT, retries=1
            )
            try:
                if response.status != 200:
                    raise BadPicture(f"its server answered {response.status}")
                data = bytearray()
                for chunk in response.stream(_CHUNK):
                    data += chunk
                    if len(data) > limit:
                        raise BadPicture(f"a picture of more than {limit:,} bytes")
                return bytes(data)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise BadPicture(f"it can't be fetched: {error}") from error


def open_picture_source(place: str, settings: PictureSettings) -> PictureSource:
    """Return the pictures of a folder, or those at the catalogue's addresses where `place` is `web`.

    Raises SettingsError for a folder that is missing, and for `web` where no host is allowed.
    """
    if place == WEB:
        if not settings.allowed_hosts:
            raise SettingsError(
                "--images web fetches from hosts that the setting pictures.hosts names: it names none"
            )
        return WebPictures(settings, urllib3.PoolManager(num_pools=16, maxsize=8))
    folder = Path(place)
    if not folder.is_dir():
        raise SettingsError(f"--images: there is no folder {folder}; `web` fetches the catalogue's addresses")
    return FolderPictures(folder)


def is_allowed(address: str, hosts: tuple[str, ...]) -> bool:
    """Return whether an address is of HTTP and on one of the hosts, written as `pictures.hosts` has them."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        return False
    return any(_matches(each.lower(), parts.scheme, host, port) for each in hosts)


def _matches(allowed: str, scheme: str, host: str, port: int | None) -> bool:
    own_scheme, _, name = allowed.rpartition("://")
    name, _, own_port = name.partition(":")
    if own_scheme and own_scheme != scheme:
        return False
    if (own_port and int(own_port) != port) or (not own_port and port is not None):
        return False
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _list_names(address: str) -> list[str]:
    """Return the names that the file at an address may have in a folder: as it is written, and decoded."""
    try:
        path = urlsplit(address).path
    except ValueError:  # an address that no server could have
        return []
    return list(dict.fromkeys([Path(path).name, Path(unquote(path)).name]))


def _open_file(path: Path) -> PictureFile | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # missing, or a name that no file can have
        return None
    if not S_ISREG(status.st_mode):
        return None
    return PictureFile(path.name, f"{status.st_mtime_ns}.{status.st_size}", path.read_bytes)
