"""Encode the pictures of products: the fields `attune.picture` and `attune.pictured`."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from indexer.pictures.sources import PictureFile, PictureSource
from indexer.store.bulk import split_chunks
from indexer.store.documents import make_picture_fields, read_picture_fields
from mappings import fields
from mappings.errors import BadPicture
from mappings.settings import PictureSettings
from mappings.types import JsonObject, Product
from reranker.encoders.codec import normalise
from reranker.pictures.encoder import EncodedPicture, PictureConfig, Pixels
from reranker.pictures.reading import read_picture

_CHUNK = 16
"""Products whose pictures are in memory at a time, 150 kB each."""

_READERS = 8
"""Pictures that are fetched and unpacked at a time."""

_MAX_BROKEN_SHOWN = 20
"""Pictures that can't be read of which the report tells one by one."""


class EncodesPictures(Protocol):
    """What encoding needs of a picture tower; `reranker.pictures.encoder.PictureEncoder` is one."""

    @property
    def version(self) -> str:
        """The version of the tower."""
        ...

    @property
    def config(self) -> PictureConfig:
        """What pictures the tower takes, and what vectors it makes."""
        ...

    def encode(self, pictures: Sequence[Pixels]) -> list[EncodedPicture]:
        """Encode pictures, in the order given."""
        ...


@dataclass(slots=True)
class PictureStats:
    """Products by what became of their pictures, and why pictures could not be read: name → reason.

    The pictures of `reused` products had been encoded before; `without` have none that was found, or none
    that could be read, and `kept` products of which none could be read keep their earlier vector. `broken`
    counts pictures.
    """

    encoded: int = 0
    reused: int = 0
    kept: int = 0
    without: int = 0
    broken: int = 0
    examples: dict[str, str] = field(default_factory=dict)

    def add_broken(self, name: str, reason: str) -> None:
        """Count a picture that can't be read."""
        self.broken += 1
        if len(self.examples) < _MAX_BROKEN_SHOWN:
            self.examples[name[:200]] = reason


class CataloguePictures:
    """The pictures of a catalogue's products, encoded when they are new. `vectors` is `index.vectors`."""

    def __init__(
        self, source: PictureSource, encoder: EncodesPictures, settings: PictureSettings, vectors: str
    ) -> None:
        self._source, self._encoder, self._settings = source, encoder, settings
        self._vectors = vectors
        self.stats = PictureStats()

    @property
    def version(self) -> str:
        """The version of the picture tower."""
        return self._encoder.version

    @property
    def dimension(self) -> int:
        """Components of a picture's vector."""
        return self._encoder.config.dimension

    @property
    def place(self) -> str:
        """Where the pictures come from, as `--images` names it."""
        return self._source.place

    def make_fields(
        self, products: Iterable[Product], known: Mapping[str, JsonObject]
    ) -> dict[str, JsonObject]:
        """Return the picture fields of those products that have a picture: id → fields under `attune`.

        `known` are the fields under `attune` of the products' documents, as far as there are any: pictures
        that are the same are not encoded again. A picture that can't be read costs no other one; where a
        product has no other one, it keeps the vector that it had. Raises ModelError, and SettingsError where
        Pillow is not installed.
        """
        made: dict[str, JsonObject] = {}
        with ThreadPoolExecutor(_READERS, thread_name_prefix="attune-pictures") as pool:
            for chunk in split_chunks(products, _CHUNK):
                made |= self._make_chunk(chunk, known, pool)
        return made

    def _make_chunk(
        self, products: Sequence[Product], known: Mapping[str, JsonObject], pool: ThreadPoolExecutor
    ) -> dict[str, JsonObject]:
        made: dict[str, JsonObject] = {}
        new: list[tuple[Product, str, list[PictureFile]]] = []
        listed = pool.map(lambda product: self._source.find(product, self._settings.per_product), products)
        for product, files in zip(products, listed, strict=True):
            key = self._make_key(files)
            before = read_picture_fields(known.get(product.id, {}))
            if not files:
                self.stats.without += 1
            elif before.get(fields.PICTURED.removeprefix(f"{fields.ATTUNE}.")) == key:
                made[product.id] = before
                self.stats.reused += 1
            else:
                new.append((product, key, files))
        flat = [file for _, _, files in new for file in files]
        pixels = list(pool.map(self._read, flat))
        vectors = iter(self._encoder.encode([each for each in pixels if each is not None]))
        at = 0
        for product, key, files in new:
            usable = [next(vectors).vector for each in pixels[at : at + len(files)] if each is not None]
            at += len(files)
            if not usable:
                before = read_picture_fields(known.get(product.id, {}))
                made |= {product.id: before} if before else {}
                self.stats.without += not before
                self.stats.kept += bool(before)
                continue
            mean = normalise(np.mean(usable, axis=0, dtype=np.float32))
            made[product.id] = make_picture_fields(mean, key, self._vectors)
            self.stats.encoded += 1
        return made

    def _read(self, file: PictureFile) -> Pixels | None:
        try:
            return read_picture(file.read(), self._encoder.config.size, self._settings)
        except (BadPicture, OSError) as error:
            self.stats.add_broken(file.name, str(error))
            return None

    def _make_key(self, files: Sequence[PictureFile]) -> str:
        """Return what tells whether a product's pictures and the tower are as they were: 16 hex digits."""
        content = json.dumps([self.version, *([file.name, file.stamp] for file in files)])
        return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
