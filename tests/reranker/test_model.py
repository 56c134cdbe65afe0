import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mappings.errors import ModelError
from mappings.types import Product
from reranker.encoders.product_encoder import average_words
from reranker.length_scaling import calibrate
from reranker.model import FILES, Model, compute_version, load_model

MOUSE = Product(
    "1", "Logitech M185 wireless mouse", "Logitech", "Mice", "A small mouse for laptops", {"colour": "Grey"}
)
TONER = Product("2", "Brother TN-2110 toner cartridge, black", "Brother", "Toner")
CABLE = Product("3", "USB cable")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(None)


def test_the_shipped_model_ranks_the_product_that_is_asked_for_first(model: Model) -> None:
    encoded = model.encode_products([TONER, CABLE, MOUSE])
    candidates = [e.stored for e in encoded]
    for text, best in (("wireless mouse", 2), ("toner for brother printer", 0), ("usb cable", 1)):
        scores = model.score(model.encode_query(text), candidates)
        assert scores.argmax() == best
        assert ((scores > 0) & (scores < 1)).all()


def test_shapes_are_as_the_config_says(model: Model) -> None:
    query = model.encode_query("wireless mouse")
    assert query.vector.shape == (model.dimension,)
    assert query.tokens.shape == (2, model.config.token_width)
    assert np.linalg.norm(query.vector) == pytest.approx(1, abs=1e-5)
    [product] = model.encode_products([MOUSE])
    assert product.vector.shape == (model.dimension,)
    assert np.linalg.norm(product.vector) == pytest.approx(1, abs=1e-5)


def test_a_batch_gives_what_each_product_gives_alone(model: Model) -> None:
    products = [MOUSE, Product("9", "x " * 300), CABLE, TONER, Product("8", "-")]
    for product, together in zip(products, model.encode_products(products), strict=True):
        [alone] = model.encode_products([product])
        # Dynamic quantisation sets its scale by the batch, so equal but for that.
        assert alone.vector @ together.vector > 0.98


def test_attributes_do_not_move_the_vector(model: Model) -> None:
    bare = Product(MOUSE.id, MOUSE.title, MOUSE.brand, MOUSE.category, MOUSE.description)
    [with_attributes], [without] = model.encode_products([MOUSE]), model.encode_products([bare])
    assert with_attributes.vector @ without.vector > 0.995
    assert len(with_attributes.stored) > len(without.stored)


@pytest.mark.parametrize("text", ["", " ", "🎧", "word " * 500, "苹果手机"])
def test_any_query_is_encoded_and_scored(model: Model, text: str) -> None:
    [product] = model.encode_products([CABLE])
    [score] = model.score(model.encode_query(text), [product.stored])
    assert 0 <= score <= 1


def test_a_folder_that_lacks_files_names_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"lacks query\.onnx, product\.onnx, tokenizer\.json, scorer\.npz"):
        load_model(tmp_path)


@pytest.fixture
def copied(model: Model, tmp_path: Path) -> Path:
    for name in FILES:
        shutil.copyfile(model.folder / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_file_is_named(copied: Path, name: str) -> None:
    (copied / name).write_bytes(b"spoilt")
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load_model(copied).load().encode_products([CABLE])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": 10}, r"has shape \(384, 128\).*asks for \(10, 128\)|dimension 10"),
        ({"dimension": 0}, r"`int` >= 1 - at `\$.dimension`"),
        ({"dimension": "384"}, "Expected `int`, got `str`"),
        ({"token_width": 64}, r"projection has shape \(384, 128\)"),
        ({"token_width": 129}, "must be a multiple of 8"),
        ({"token_bits": 7}, "token_bits"),
        ({"stored_tokens": 10**9}, "stored_tokens"),
        ({"product_heads": None}, "product_heads"),
        ({"colour": "red"}, "colour is unknown"),
        ({"figures": float("nan")}, "is not a model config"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_in_a_line(
    copied: Path, change: dict[str, object], message: str
) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelError, match=message) as raised:
        load_model(copied).load()
    assert "\n" not in str(raised.value)
    assert str(copied) in str(raised.value)


def test_a_scorer_that_is_not_finite_is_refused(copied: Path) -> None:
    with np.load(copied / "scorer.npz") as arrays:
        spoilt = dict(arrays)
    spoilt["hidden"] = np.full_like(spoilt["hidden"], np.nan)
    np.savez(copied / "scorer.npz", **spoilt)
    with pytest.raises(ModelError, match="hidden holds a value that is not finite"):
        load_model(copied).load()


def test_a_scaling_that_turns_orders_round_is_refused(copied: Path) -> None:
    with np.load(copied / "scorer.npz") as arrays:
        spoilt = dict(arrays)
    spoilt["scaling"] = np.array([1.0, -0.7, 0.0], np.float32)  # below 0 from 5 tokens on
    np.savez(copied / "scorer.npz", **spoilt)
    with pytest.raises(ModelError, match="scaling turns the order of products round at 5 tokens"):
        load_model(copied).load()


def test_weights_in_other_files_are_refused(copied: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(copied / "query.onnx"))
    onnx.save(model, str(copied / "query.onnx"), save_as_external_data=True, location="weights.bin")
    with pytest.raises(ModelError, match=r"query\.onnx reads its weights from other files"):
        load_model(copied).load()


def test_the_version_follows_weights_and_config(model: Model, copied: Path) -> None:
    assert compute_version(copied) == model.version
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "stored_tokens": 3}))
    assert compute_version(copied) != model.version


def test_another_stored_form_is_another_version(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reranker.model.FORMATS", {8: 1, 1: 2})
    assert compute_version(model.folder) != model.version


def test_token_vectors_of_bits_take_an_eighth_and_score(model: Model, copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "token_bits": 8}))
    large = load_model(copied).load()
    (whole,), (bits,) = large.encode_products([CABLE]), model.encode_products([CABLE])
    width = config["token_width"]
    assert (len(whole.stored) - len(bits.stored)) % (width - width // 8) == 0
    assert len(bits.stored) < len(whole.stored)
    query = model.encode_query("usb cable")
    np.testing.assert_allclose(
        model.score(query, [bits.stored]), large.score(query, [whole.stored]), atol=0.25
    )


def test_probabilities_of_long_queries_are_calibrated_in_the_order_of_the_raw_ones(model: Model) -> None:
    stored = [each.stored for each in model.encode_products([CABLE, MOUSE, TONER])]
    query = model.encode_query("braided usb cable for charging phones at home")
    raw = model.score_raw(query, stored)
    shown = model.score(query, stored)
    assert shown.tolist() == pytest.approx(calibrate(query, raw))
    assert np.array_equal(np.argsort(shown), np.argsort(raw))
    assert np.ptp(np.log(shown / (1 - shown))) < np.ptp(np.log(raw / (1 - raw)))


def test_a_products_vectors_depend_on_nothing_but_the_product(model: Model) -> None:
    others = [Product(str(n), title="word " * n) for n in range(1, 9)]
    (alone,) = model.encode_products([CABLE])
    for place in (0, 4, 8):
        among = model.encode_products([*others[:place], CABLE, *others[place:]])[place]
        assert among.stored == alone.stored
        assert (among.vector == alone.vector).all()


def test_word_vectors_are_means_of_their_tokens() -> None:
    states = np.arange(12, dtype=np.float32).reshape(6, 2)
    found = average_words(states, [-1, 0, 0, 1, 2, -1], most=2)
    assert found.tolist() == [[3, 4], [6, 7]]
    assert average_words(states, [-1] * 6, most=2).tolist() == [[0, 1]]
