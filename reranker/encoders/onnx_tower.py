"""Running the towers on ONNX Runtime."""

import mmap
import re
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mappings.errors import ModelError
from reranker.types import Floats

_EXTERNAL_DATA = re.compile(rb"location(?<![A-Za-z]location)")
"""The key under which an ONNX file names another file that holds its weights.

Literal text comes first, because `re` looks for that 30 times as fast: 10 ms for 24 MB.
"""


class Tower:
    """One exported tower: token ids and an attention mask in, token states out.

    Raises ModelError where the file is not an ONNX model that runs, or would read other files.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._session = open_session(path, threads)
        self._inputs = [i.name for i in self._session.get_inputs()]

    @property
    def width(self) -> int | None:
        """Width d of the states; None where the file does not say."""
        width = self._session.get_outputs()[0].shape[-1]
        return width if isinstance(width, int) else None

    def states(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
        """Return the token states (B, T, d) of right-padded ids (B, T)."""
        feed = {"input_ids": ids}
        if "attention_mask" in self._inputs:
            feed["attention_mask"] = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        states: Floats = self._session.run(None, feed)[0]
        return states


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """Return a session that runs an ONNX file on so many threads, 0 for all cores.

    Raises ModelError where the file is not an ONNX model that runs, or would read other files.
    """
    _refuse_external_data(path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises bare exceptions of its own, by many names
        raise ModelError(f"{path} is not an ONNX model that runs: {error}") from error


def _refuse_external_data(path: Path) -> None:
    """Raise ModelError where the file's weights lie in other files, which could be any on this machine."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            external = bool(_EXTERNAL_DATA.search(data))
    except (OSError, ValueError) as error:  # ValueError: it is empty
        raise ModelError(f"{path} is not an ONNX model that runs: {error}") from error
    if external:
        raise ModelError(f"{path} reads its weights from other files: export it as a single file")
