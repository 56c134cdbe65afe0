import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mappings.errors import ModelError
from mappings.settings import PictureSettings
from reranker.pictures.encoder import (
    CONFIG,
    TOWER,
    PictureEncoder,
    load_picture_encoder,
    locate_shipped_tower,
)
from reranker.pictures.reading import read_picture
from tests.fakes.drawings import draw_picture

MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def encoder() -> PictureEncoder:
    return load_picture_encoder()


def test_the_shipped_tower_is_small() -> None:
    assert (locate_shipped_tower() / TOWER).stat().st_size <= MOST_BYTES


def test_pictures_of_one_thing_are_nearer_than_those_of_others(encoder: PictureEncoder) -> None:
    drawings = [("disc", 0), ("disc", 8), ("square", 0), ("square", 8), ("triangle", 0), ("triangle", 8)]
    files = [draw_picture(shape, "teal", turn=turn) for shape, turn in drawings]
    encoded = encoder.encode([read_picture(each, encoder.config.size, PictureSettings()) for each in files])
    vectors = np.stack([each.vector for each in encoded])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    near = vectors @ vectors.T - 2 * np.eye(len(files))
    assert near.argmax(1).tolist() == [1, 0, 3, 2, 5, 4]


def test_each_picture_is_encoded_as_if_alone(encoder: PictureEncoder) -> None:
    pictures = [
        read_picture(draw_picture("disc", colour), encoder.config.size, PictureSettings())
        for colour in ("red", "green", "blue") * 4
    ]
    together, alone = encoder.encode(pictures), encoder.encode(pictures[4:5])
    assert len(together) == len(pictures)
    np.testing.assert_allclose(together[4].vector, alone[0].vector, atol=1e-5)


def test_classes_are_shares_that_have_names(encoder: PictureEncoder) -> None:
    [encoded] = encoder.encode([read_picture(draw_picture(), encoder.config.size, PictureSettings())])
    assert encoded.classes is not None
    assert len(encoder.class_names) == len(encoded.classes)
    assert encoded.classes.sum() == pytest.approx(1, abs=1e-4)


def test_a_folder_without_a_tower_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lacks"):
        load_picture_encoder(tmp_path)


def test_another_dimension_than_the_config_says_is_refused(tmp_path: Path) -> None:
    shutil.copytree(locate_shipped_tower(), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"dimension": 100}))
    other = load_picture_encoder(tmp_path)
    assert other.version != load_picture_encoder().version
    with pytest.raises(ModelError, match="dimension 100"):
        other.encode([read_picture(draw_picture(), other.config.size, PictureSettings())])
