"""Read the parameters of small models from .npz files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from mappings.errors import ModelError

Arrays = Mapping[str, npt.NDArray[Any]]

_Model = TypeVar("_Model")

_UNREADABLE = (
    OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError, AttributeError, IndexError,
)  # fmt: skip


def load_npz(file: Path | BinaryIO, name: str, kind: str, build: Callable[[Arrays], _Model]) -> _Model:
    """Return the model that `build` makes of a file's arrays.

    `name` is the file's name, and `kind` what it should hold. Raises ModelError where the file can't be read,
    or `build` fails on what it holds.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return build({each: arrays[each] for each in arrays.files})
    except _UNREADABLE as error:
        raise ModelError(f"{name} holds no {kind}: {error}") from error
