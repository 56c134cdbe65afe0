"""Running the towers on ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mappings.errors import ModelError
from reranker.types import Floats


class Tower:
    """One exported tower: token ids and an attention mask in, token states out."""

    def __init__(self, path: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises bare exceptions of its own, by many names
            raise ModelError(f"{path} is no ONNX model that can be run: {error}") from error
        self._inputs = [i.name for i in self._session.get_inputs()]

    def states(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
        """Return the token states (B, T, d) of right-padded ids (B, T)."""
        feed = {"input_ids": ids}
        if "attention_mask" in self._inputs:
            feed["attention_mask"] = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        states: Floats = self._session.run(None, feed)[0]
        return states
