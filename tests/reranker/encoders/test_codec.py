import tracemalloc

import numpy as np
import pytest

from mappings.errors import ModelError
from reranker.encoders.codec import (
    have_words,
    is_well_formed,
    normalise,
    pack_product,
    select_hash_bits,
    unpack_products,
)
from reranker.text.word_tokens import hash_words

RANDOM = np.random.default_rng(1)


def product(tokens: int, title: str = "red shoe") -> tuple[np.ndarray, np.ndarray, bytes]:
    vector = normalise(RANDOM.normal(size=16).astype(np.float32))
    rows = normalise(RANDOM.normal(size=(tokens, 8)).astype(np.float32))
    names = [hash_words(title.split()), hash_words(["acme"]), hash_words([]), hash_words(["a", "b", "c"])]
    return vector, rows, pack_product(vector, rows, names)


def test_vectors_survive_quantisation() -> None:
    products = [product(3), product(7), product(1)]
    batch = unpack_products([stored for _, _, stored in products], 16, 8)
    for i, (vector, rows, _) in enumerate(products):
        assert batch.vectors[i] @ vector > 0.97
        assert batch.mask[i].sum() == len(rows)
        assert ((batch.tokens[i, : len(rows)] * rows).sum(1) > 0.999).all()


def test_words_come_back_by_field() -> None:
    batch = unpack_products([product(2, "red shoe")[2], product(2, "blue")[2]], 16, 8)
    assert batch.sizes.tolist() == [[2, 1, 0, 3], [1, 1, 0, 3]]
    assert batch.ends.tolist() == [6, 11]
    for at, title in enumerate((["red", "shoe"], ["blue"])):
        wanted = [hash_words(words) for words in (title, ["acme"], [], ["a", "b", "c"])]
        for field_words, hashes in zip(batch.list_field_words(at), wanted, strict=True):
            assert field_words.tolist() == select_hash_bits(hashes).tolist()


def test_a_word_of_several_fields_is_stored_once() -> None:
    names = [hash_words(words) for words in (["red", "shoe"], ["red"], ["shoe"], ["red", "shoe", "new"])]
    rows = np.eye(2, 8, dtype=np.float32)
    stored = pack_product(np.ones(16, np.float32), rows, names)
    assert len(stored) == len(pack_product(np.ones(16, np.float32), rows, [hash_words([])] * 4)) + 3 * 4
    batch = unpack_products([stored], 16, 8)
    assert batch.sizes.tolist() == [[2, 1, 1, 3]]
    for field_words, hashes in zip(batch.list_field_words(0), names, strict=True):
        assert field_words.tolist() == select_hash_bits(hashes).tolist()


@pytest.mark.parametrize("dimension", [384, 383, 1])
def test_pooled_vectors_keep_their_direction_in_four_bits(dimension: int) -> None:
    vectors = normalise(RANDOM.normal(size=(50, dimension)).astype(np.float32))
    words = [hash_words([])] * 4
    stored = [pack_product(vector, vectors[:1, :1], words) for vector in vectors]
    back = unpack_products(stored, dimension, 1).vectors
    assert back.shape == vectors.shape
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, atol=1e-5)
    assert (back * vectors).sum(1).min() > 0.99
    cosines = vectors @ vectors.T
    assert np.abs(back @ vectors.T - cosines).mean() < 0.01


def test_nothing_unpacks_to_nothing() -> None:
    assert unpack_products([], 16, 8).vectors.shape == (0, 16)


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
        unpack_products([good, spoil(good)], 16, 8)
    assert is_well_formed(good, 16, 8, 2, 8)
    assert not is_well_formed(spoil(good), 16, 8, 2, 8)


def claiming(tokens: int = 0, words: int = 0) -> bytes:
    """Return a product whose sizes are as it says, and as many as that."""
    head = np.array([4, 16, 16, tokens, words, 0, 0, 0, words], "<u2").tobytes()
    return head + bytes(8 + 2 * tokens + 4 * words)


def test_what_a_product_claims_allocates_nothing() -> None:
    honest = [claiming(3, 5)] * 99
    assert unpack_products(honest, 16, 16).tokens.shape == (99, 3, 16)
    for hostile in (claiming(tokens=65_000), claiming(words=65_000)):
        tracemalloc.start()
        with pytest.raises(ModelError, match="another format"):
            unpack_products([*honest, hostile], 16, 16)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000


def test_another_models_width_is_refused() -> None:
    with pytest.raises(ModelError):
        unpack_products([product(2)[2]], 16, 4)


def test_bits_keep_dot_products_on_average() -> None:
    rows = normalise(RANDOM.normal(size=(200, 128)).astype(np.float32))
    query = normalise(RANDOM.normal(size=128).astype(np.float32))
    near = normalise(rows + query)
    stored = pack_product(query, near, [hash_words([])] * 4, bits=1)
    assert len(stored) == len(pack_product(query, near, [hash_words([])] * 4)) - 200 * (128 - 16)
    batch = unpack_products([stored], 128, 128)
    assert batch.tokens.shape == (1, 200, 128)
    assert (batch.tokens[0] @ query).mean() == pytest.approx((near @ query).mean(), abs=0.02)
    np.testing.assert_array_equal(batch.tokens[0] > 0, near > 0)


def test_bits_leave_room_for_shorter_products() -> None:
    rows = normalise(RANDOM.normal(size=(5, 16)).astype(np.float32))
    words = [hash_words(["red"]), *[hash_words([])] * 3]
    batch = unpack_products([pack_product(rows[0], rows[:n], words, bits=1) for n in (2, 0, 5)], 16, 16)
    assert batch.mask.tolist() == [[True] * n + [False] * (5 - n) for n in (2, 0, 5)]
    np.testing.assert_array_equal(batch.tokens[0, :2], batch.tokens[2, :2])
    assert batch.ends.tolist() == [1, 2, 3]


def test_two_formats_at_once_are_refused() -> None:
    rows = normalise(RANDOM.normal(size=(3, 16)).astype(np.float32))
    both = [pack_product(rows[0], rows, [hash_words([])] * 4, bits) for bits in (8, 1)]
    with pytest.raises(ModelError, match="another format"):
        unpack_products(both, 16, 16)
    with pytest.raises(ModelError, match="another format"):
        unpack_products(both[::-1], 16, 16)


def test_a_product_of_more_token_vectors_than_the_models_is_not_well_formed() -> None:
    assert is_well_formed(product(32)[2], 16, 8, 32, 8)
    assert not is_well_formed(product(33)[2], 16, 8, 32, 8)
    assert not is_well_formed(product(3)[2], 15, 8, 32, 8)
    assert not is_well_formed(product(3)[2], 16, 7, 32, 8)
    assert not is_well_formed(product(3)[2], 16, 8, 32, 1)
    assert not is_well_formed(claiming(words=65_000), 16, 16, 32, 1)


def test_products_with_one_of_some_words_are_known() -> None:
    stored = [product(2, title)[2] for title in ("red shoe", "blue lamp")]
    assert have_words(stored, hash_words(["shoe", "boot"])).tolist() == [True, False]
    assert have_words(stored, hash_words(["acme"])).tolist() == [True, True]
    assert have_words(stored, hash_words([])).tolist() == [False, False]
    assert have_words([], hash_words(["shoe"])).tolist() == []
