import shutil
from pathlib import Path

import numpy as np
import pytest

from mappings.errors import ModelError
from reranker.pictures.encoder import PROJECTION, EncodedPicture, load_picture_encoder, locate_shipped_tower
from reranker.pictures.evidence import PictureScale, compute_picture_evidence
from reranker.pictures.projection import LearntProjection, PictureProjection, open_projection
from tests.fakes.preview_shop import shipped_model


def picture(vector: list[float], classes: list[float] | None = None) -> EncodedPicture:
    shares = None if classes is None else np.array(classes, np.float32)
    return EncodedPicture(np.array(vector, np.float32), shares)


def test_a_picture_stands_where_the_names_of_its_classes_do() -> None:
    names = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    placed = PictureProjection(names, None, False).place(picture([1, 0], [0.9, 0.08, 0.02]))
    assert placed is not None
    assert np.argmax(names @ placed) == 0
    assert np.linalg.norm(placed) == pytest.approx(1)


def test_without_classes_and_training_nothing_leads_to_texts() -> None:
    assert PictureProjection(None, None, False).place(picture([1, 0])) is None


def test_a_tower_that_shares_the_text_space_needs_no_projection() -> None:
    placed = PictureProjection(None, None, True).place(picture([0.6, 0.8]))
    assert placed is not None
    np.testing.assert_allclose(placed, [0.6, 0.8])


def test_what_was_trained_joins_the_names(tmp_path: Path) -> None:
    turn = LearntProjection(np.array([[0, 1], [1, 0]], np.float32), np.zeros(2, np.float32), "space", 9)
    placed = PictureProjection(None, turn, False).place(picture([1, 0]))
    assert placed is not None
    np.testing.assert_allclose(placed, [0, 1])
    names = np.array([[1, 0], [-1, 0]], np.float32)
    both = PictureProjection(names, turn, False).place(picture([1, 0], [1, 0]))
    assert both is not None
    assert both[1] > both[0] > 0


def test_a_projection_of_another_text_space_is_not_used(tmp_path: Path) -> None:
    shutil.copytree(locate_shipped_tower(), tmp_path, dirs_exist_ok=True)
    encoder, model = load_picture_encoder(tmp_path), shipped_model()
    (tmp_path / "names.txt").unlink()
    learnt = LearntProjection(np.zeros((384, 384), np.float32), np.zeros(384, np.float32), "other", 1)
    learnt.save(tmp_path / PROJECTION)
    projection = open_projection(encoder, model.encode_query, model.text_space, model.dimension)
    assert projection.place(picture([1.0] + [0.0] * 383)) is None


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_a_broken_projection_is_refused(tmp_path: Path, content: bytes) -> None:
    shutil.copytree(locate_shipped_tower(), tmp_path, dirs_exist_ok=True)
    (tmp_path / PROJECTION).write_bytes(content)
    encoder, model = load_picture_encoder(tmp_path), shipped_model()
    with pytest.raises(ModelError, match="projection"):
        open_projection(encoder, model.encode_query, model.text_space, model.dimension)


def test_a_projection_of_another_size_is_refused(tmp_path: Path) -> None:
    shutil.copytree(locate_shipped_tower(), tmp_path, dirs_exist_ok=True)
    model = shipped_model()
    learnt = LearntProjection(np.zeros((3, 2), np.float32), np.zeros(3, np.float32), model.text_space, 1)
    learnt.save(tmp_path / PROJECTION)
    with pytest.raises(ModelError, match="train it again"):
        open_projection(load_picture_encoder(tmp_path), model.encode_query, model.text_space, model.dimension)


def test_a_likely_picture_raises_a_product_and_none_leaves_it_as_it_is() -> None:
    scale = PictureScale(words_slope=6.0)
    pictures, words = np.array([0.9, 0.0, np.nan], np.float32), np.array([0.5, 0.0, 0.5], np.float32)
    parts = compute_picture_evidence(pictures, words, scale, 1.0)
    assert parts["picture"][0] > 0 > parts["picture"][1]
    assert parts["picture"][2] == 0
    assert parts["picture_words"][2] == parts["picture_words"][0] > 0
    none = compute_picture_evidence(np.array([0.9], np.float32), None, scale, 0.0)
    assert (none["picture"][0], none["picture_words"][0]) == (0, 0)
