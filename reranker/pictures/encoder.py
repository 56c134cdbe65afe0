"""Encode pictures by an ONNX tower that a folder holds.

    config.json      PictureConfig
    tower.onnx       pixels (B, 3, S, S) in; vectors (B, d) and, where it has them, class scores (B, C) out
    names.txt        the names of the classes, one a line, where the tower scores classes
    projection.npz   into a text space, where `attune train --images` has made one

Any image encoder in ONNX will do: its input may have its channels last, a batch that is fixed, or numbers of
16 bits, and its vectors a height and width of 1. One that shares its space with the text model, as CLIP does,
says `"shares_text_space": true`: its pictures need no projection.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from mappings.errors import ModelError
from reranker.encoders.codec import normalise
from reranker.encoders.onnx_tower import open_session
from reranker.pictures.evidence import SLOPE, TYPICAL
from reranker.types import Floats

CONFIG, TOWER, NAMES, PROJECTION = "config.json", "tower.onnx", "names.txt", "projection.npz"
PICTURE_OUTPUT, CLASSES_OUTPUT = "picture", "classes"

Pixels = NDArray[np.uint8]

_BATCH = 8
"""Pictures that are encoded at a time: more take memory and save no time."""


class PictureConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a loader must know of a picture tower.

    A picture is scaled to `size` by `size` pixels, 0 to 255, of which `mean` is taken before they are divided
    by `scale`, channel by channel. Its vector has `dimension` components. `output` names the tower's output
    that holds it, by default `picture`, else the first one. `slope` is the log-odds by cosine of two vectors,
    `typical` the cosine that says nothing: of ten pairs of products one has a greater.
    """

    size: Annotated[int, Meta(ge=16, le=1024)]
    mean: Annotated[tuple[float, float, float], Meta()]
    scale: tuple[float, float, float]
    dimension: Annotated[int, Meta(ge=1, le=4096)]
    output: str = ""
    slope: Annotated[float, Meta(gt=0, le=100)] = SLOPE
    typical: Annotated[float, Meta(ge=-1, lt=1)] = TYPICAL
    shares_text_space: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One picture: its vector, and how probable the tower thinks each of its classes, if it has any."""

    vector: Floats  # (d,) unit length
    classes: Floats | None = None  # (C,) sums to 1


class PictureEncoder:
    """The picture tower of one folder. Thread-safe."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        missing = [name for name in (CONFIG, TOWER) if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"picture model {folder} lacks {', '.join(missing)}: name a folder with a picture tower, or "
                "leave pictures.folder empty for the shipped one"
            )
        self.folder = folder
        try:
            self.config = msgspec.json.decode((folder / CONFIG).read_bytes(), type=PictureConfig)
        except msgspec.MsgspecError as error:
            raise ModelError(f"{folder / CONFIG} is not the config of a picture tower: {error}") from error
        self._session = open_session(folder / TOWER, threads)
        first, *others = self._session.get_inputs()
        if others:
            names = ", ".join(each.name for each in others)
            raise ModelError(
                f"{folder / TOWER} takes more than pixels ({names}): export the image encoder alone"
            )
        self._input, shape = first.name, first.shape
        self._type = np.float16 if first.type == "tensor(float16)" else np.float32
        self._has_channels_last = len(shape) == 4 and shape[3] == 3 != shape[1]
        self._fixed_batch = shape[0] if shape and isinstance(shape[0], int) else 0
        self._outputs = [output.name for output in self._session.get_outputs()]
        default = PICTURE_OUTPUT if PICTURE_OUTPUT in self._outputs else self._outputs[0]
        self._output = self.config.output or default
        if self._output not in self._outputs:
            raise ModelError(
                f"{folder / CONFIG} names the output {self._output}, which the tower lacks; it has "
                f"{', '.join(self._outputs)}"
            )
        self._mean, self._scale = (
            np.asarray(values, np.float32) for values in (self.config.mean, self.config.scale)
        )

    @property
    def dimension(self) -> int:
        """Components d of a picture's vector."""
        return self.config.dimension

    @cached_property
    def version(self) -> str:
        """12 hex digits of a hash over tower and config: equal versions make equal vectors."""
        digest = hashlib.sha256((self.folder / CONFIG).read_bytes())
        digest.update((self.folder / TOWER).read_bytes())
        return digest.hexdigest()[:12]

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of the tower's classes; none where it has no classes, or nobody named them."""
        path = self.folder / NAMES
        if CLASSES_OUTPUT not in self._outputs or not path.is_file():
            return ()
        return tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line)

    def encode(self, pictures: Sequence[Pixels]) -> list[EncodedPicture]:
        """Encode pictures (S, S, 3), as `read_picture` returns them. Raises ModelError."""
        encoded: list[EncodedPicture] = []
        size = self._fixed_batch or _BATCH
        for start in range(0, len(pictures), size):
            batch = pictures[start : start + size]
            filled = [*batch, *[batch[-1]] * (size - len(batch))] if self._fixed_batch else batch
            encoded += self._encode_batch(filled)[: len(batch)]
        return encoded

    def _encode_batch(self, pictures: Sequence[Pixels]) -> list[EncodedPicture]:
        pixels = (np.stack(pictures).astype(np.float32) - self._mean) / self._scale
        given = pixels if self._has_channels_last else pixels.transpose(0, 3, 1, 2)
        try:
            made = self._session.run(None, {self._input: np.ascontiguousarray(given, dtype=self._type)})
        except Exception as error:  # onnxruntime raises exceptions of its own, by many names
            raise ModelError(
                f"{self.folder / TOWER} can't encode pixels of {given.shape}: {error}"
            ) from error
        outputs: dict[str, Floats] = dict(zip(self._outputs, made, strict=True))
        vectors = outputs[self._output]
        expected = (len(pictures), self.dimension)
        if vectors.shape[:2] != expected or vectors.size != len(pictures) * self.dimension:
            raise ModelError(
                f"{self.folder / TOWER} makes {self._output} of shape {vectors.shape}, where config.json has "
                f"dimension {self.dimension}: correct it, or name another output by `output`; it has "
                f"{', '.join(self._outputs)}"
            )
        vectors = vectors.reshape(expected)
        unit = normalise(vectors.astype(np.float32))
        if not np.isfinite(unit).all():
            raise ModelError(f"{self.folder / TOWER} makes vectors that are not finite")
        classes = outputs.get(CLASSES_OUTPUT)
        shares = [None] * len(unit) if classes is None else list(_softmax(classes))
        return [EncodedPicture(vector, share) for vector, share in zip(unit, shares, strict=True)]


def load_picture_encoder(folder: Path | None = None, threads: int = 1) -> PictureEncoder:
    """Return the picture tower in `folder`, or the shipped one for None. Raises ModelError."""
    return PictureEncoder(folder if folder is not None else locate_shipped_tower(), threads)


def locate_shipped_tower() -> Path:
    """Folder of the picture tower that comes with Attune."""
    return Path(str(resources.files("reranker.pictures").joinpath("weights")))


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
