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


def write_tower(
    folder: Path, shape: list[object], vectors: list[object], half: bool = False, **config: object
) -> PictureEncoder:
    """Write a tower of the mean colours, with a second output `all` of the pixels, and open it."""
    onnx = pytest.importorskip("onnx", reason="needs pip install 'attune[train]'")
    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    axes = [1, 2] if shape[3] == 3 else [2, 3]
    nodes = [
        onnx.helper.make_node("Identity", ["pixels"], ["all"]),
        onnx.helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=axes, keepdims=int(len(vectors) == 4)),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "tower",
        [value("pixels", kind, shape)],
        [value("all", kind, shape), value("mean", kind, vectors)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=9)
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / TOWER)
    own = {"size": 32, "mean": [0, 0, 0], "scale": [255, 255, 255], "dimension": 3, **config}
    (folder / CONFIG).write_text(json.dumps(own))
    return load_picture_encoder(folder)


@pytest.mark.parametrize(
    ("shape", "vectors", "half"),
    [
        (["b", 3, 32, 32], ["b", 3], False),
        (["b", 32, 32, 3], ["b", 3], False),
        ([1, 3, 32, 32], [1, 3], False),
        ([4, 3, 32, 32], [4, 3], False),
        (["b", 3, 32, 32], ["b", 3, 1, 1], False),
        (["b", 3, 32, 32], ["b", 3], True),
    ],
    ids=["usual", "channels last", "one at a time", "four at a time", "height and width", "half precision"],
)
def test_towers_of_any_make_see_the_same(
    tmp_path: Path, shape: list[object], vectors: list[object], half: bool
) -> None:
    tower = write_tower(tmp_path, shape, vectors, half, output="mean")
    colours = ("red", "lime", "blue", "red", "lime")
    encoded = tower.encode([read_picture(draw_picture("square", c), 32, PictureSettings()) for c in colours])
    assert [int(each.vector.argmax()) for each in encoded] == [0, 1, 2, 0, 1]
    assert all(each.classes is None for each in encoded)


def test_an_output_that_holds_no_vectors_is_refused_and_the_others_named(tmp_path: Path) -> None:
    tower = write_tower(tmp_path, ["b", 3, 32, 32], ["b", 3])
    with pytest.raises(ModelError, match="it has all, mean"):
        tower.encode([read_picture(draw_picture(), 32, PictureSettings())])
    with pytest.raises(ModelError, match="lacks"):
        write_tower(tmp_path / "other", ["b", 3, 32, 32], ["b", 3], output="pooled")


def test_pixels_of_another_size_than_the_tower_takes_are_told(tmp_path: Path) -> None:
    tower = write_tower(tmp_path, ["b", 3, 64, 64], ["b", 3], output="mean")
    with pytest.raises(ModelError, match=r"can't encode pixels of \(1, 3, 32, 32\)"):
        tower.encode([read_picture(draw_picture(), 32, PictureSettings())])


def test_another_dimension_than_the_config_says_is_refused(tmp_path: Path) -> None:
    shutil.copytree(locate_shipped_tower(), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"dimension": 100}))
    other = load_picture_encoder(tmp_path)
    assert other.version != load_picture_encoder().version
    with pytest.raises(ModelError, match="dimension 100"):
        other.encode([read_picture(draw_picture(), other.config.size, PictureSettings())])
