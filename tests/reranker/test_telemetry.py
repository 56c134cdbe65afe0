"""A shop's models and machines are nobody else's business."""

import os
import subprocess
import sys
from pathlib import Path


def test_running_a_model_leaves_no_telemetry_behind(tmp_path: Path) -> None:
    """ONNX Runtime queues what it would send in a file under the home folder; CI environments are exempt."""
    code = "from reranker.model import load_model; load_model(None).encode_query('laptop')"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert [str(path) for path in tmp_path.rglob("*") if path.is_file()] == []
