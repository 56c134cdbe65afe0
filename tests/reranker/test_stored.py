import numpy as np
import pytest

from mappings.errors import ModelError
from reranker.stored import pack, unit, unpack
from reranker.words import hashed

RANDOM = np.random.default_rng(1)


def product(tokens: int, title: str = "red shoe") -> tuple[np.ndarray, np.ndarray, bytes]:
    vector = unit(RANDOM.normal(size=16).astype(np.float32))
    rows = unit(RANDOM.normal(size=(tokens, 8)).astype(np.float32))
    names = [hashed(title.split()), hashed(["acme"]), hashed([]), hashed(["a", "b", "c"])]
    return vector, rows, pack(vector, rows, names)


def test_vectors_survive_quantisation() -> None:
    products = [product(3), product(7), product(1)]
    batch = unpack([stored for _, _, stored in products], 16, 8)
    for i, (vector, rows, _) in enumerate(products):
        assert batch.vectors[i] @ vector > 0.999
        assert batch.mask[i].sum() == len(rows)
        assert ((batch.tokens[i, : len(rows)] * rows).sum(1) > 0.999).all()
        assert not batch.tokens[i, len(rows) :].any()


def test_words_come_back_by_field() -> None:
    batch = unpack([product(2, "red shoe")[2], product(2, "blue")[2]], 16, 8)
    assert batch.ends.tolist() == [[2, 3, 3, 6], [7, 8, 8, 11]]
    assert batch.words[6] == hashed(["blue"])[0]


def test_nothing_unpacks_to_nothing() -> None:
    assert unpack([], 16, 8).vectors.shape == (0, 16)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:0],
        lambda data: data[:5],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"\x09" + data[1:],
    ],
)
def test_malformed_bytes_are_refused(spoil) -> None:  # type: ignore[no-untyped-def]
    good = product(2)[2]
    with pytest.raises(ModelError, match="index the catalogue again"):
        unpack([good, spoil(good)], 16, 8)


def test_another_models_width_is_refused() -> None:
    with pytest.raises(ModelError):
        unpack([product(2)[2]], 16, 4)
