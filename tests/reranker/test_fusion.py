import numpy as np
import pytest
import torch

from mappings.errors import ModelError
from reranker.encoders.codec import normalise, pack_product, unpack_products
from reranker.fusion import (
    FEATURES,
    HEADS,
    HIDDEN_UNITS,
    IdfTable,
    Scorer,
    build_scorer_inputs,
    compute_attention,
    make_blank_scorer,
    score_products,
)
from reranker.text.word_tokens import hash_words, split_words
from reranker.types import EncodedQuery

RANDOM = np.random.default_rng(2)
D, T = 16, 8
IDF_TABLE = IdfTable(np.ones(1 << 16, np.float32), np.array([4, 1, 2, 10], np.float32))


def stored(title: str, brand: str = "", category: str = "", other: str = "", tokens: int = 3) -> bytes:
    vector = normalise(RANDOM.normal(size=D).astype(np.float32))
    rows = normalise(RANDOM.normal(size=(tokens, T)).astype(np.float32))
    return pack_product(
        vector, rows, [hash_words(split_words(text)) for text in (title, brand, category, other)]
    )


def query(text: str) -> EncodedQuery:
    return EncodedQuery(
        text,
        normalise(RANDOM.normal(size=D).astype(np.float32)),
        normalise(RANDOM.normal(size=(2, T)).astype(np.float32)),
        split_words(text),
    )


def features(text: str, *products: bytes, idf_table: IdfTable = IDF_TABLE) -> dict[str, list[float]]:
    found = build_scorer_inputs(query(text), unpack_products(products, D, T), 0.05, idf_table)
    return {name: [round(float(x), 4) for x in found[:, i]] for i, name in enumerate(FEATURES)}


def test_attention_is_the_softmax_of_the_products() -> None:
    asked = query("x")
    batch = unpack_products([stored("a", tokens=3), stored("b", tokens=5)], D, T)
    weights, cosines, best = compute_attention(asked.tokens, batch, 0.1)
    attended = weights @ batch.tokens
    for i, count in enumerate((3, 5)):
        y = torch.from_numpy(batch.tokens[i, :count])
        x = torch.from_numpy(asked.tokens)
        expected = torch.softmax(x @ y.T / 0.1, -1) @ y
        assert np.allclose(attended[i], expected.numpy(), atol=1e-5)
        assert np.allclose(cosines[i, :, :count], (x @ y.T).numpy(), atol=1e-6)
        assert np.allclose(best[:, i], (x @ y.T).max(1).values.numpy(), atol=1e-6)


def test_word_features_say_where_the_words_are() -> None:
    found = features(
        "canon black toner",
        stored("Canon toner cartridge", brand="Canon", category="Printer toner", other="black"),
        stored("HP ink", brand="HP", other="blue"),
        stored(""),
    )
    for field in ("title", "brand", "category", "other"):
        assert found[field][0] > 0
        assert found[field][1:] == [0, 0]
    assert found["title"][0] > found["brand"][0]  # two words of three, and one
    assert found["all_words"] == [1, 0, 0]
    assert found["brand_is_query"] == [1, 0, 0]
    assert found["title_focus"] == [0.6667, 0, 0]
    assert found["model_exact"] == found["model_partial"] == found["units"] == [1, 1, 1]


def test_numbers_must_be_the_same() -> None:
    found = features("usb stick 128gb", stored("USB stick 128GB"), stored("USB stick 64GB"))
    assert found["units"] == [1, 0]


def test_a_number_and_its_unit_are_found_however_they_are_written() -> None:
    found = features("cable 5mm", stored("Cable 5 mm"), stored("Cable 5 m"), stored("Cable", other="5-mm"))
    assert found["units"] == [1, 0, 1]


def test_model_numbers_match_whole_or_in_part() -> None:
    found = features("brother TN2110", stored("Toner TN-2110"), stored("Toner 2110"), stored("Toner HL-3040"))
    assert found["model_exact"] == [1, 0, 0]
    assert found["model_partial"] == [1, 0.5, 0]


def test_a_rare_word_weighs_more_in_a_field_and_a_long_field_less() -> None:
    idf = np.ones(1 << 16, np.float32)
    idf[hash_words(["stand"]) & 0xFFFF] = 5.0
    idf_table = IdfTable(idf, IDF_TABLE.lengths)
    found = features(
        "phone stand", stored("phone"), stored("stand"), stored("stand a b c d e"), idf_table=idf_table
    )
    phone, stand, lost = found["title"]
    assert stand > lost > phone


def test_a_query_without_words_scores_without_error() -> None:
    assert features("?!", stored("a"))["all_words"] == [0]


def test_score_matches_the_mlp_in_torch() -> None:
    width = len(FEATURES) + T
    scorer = Scorer(
        0.05,
        IDF_TABLE,
        RANDOM.normal(size=width).astype(np.float32),
        RANDOM.random(width).astype(np.float32),
        RANDOM.normal(size=(width, HIDDEN_UNITS)).astype(np.float32),
        RANDOM.normal(size=HIDDEN_UNITS).astype(np.float32),
        RANDOM.normal(size=(HIDDEN_UNITS, len(HEADS))).astype(np.float32) * 0.1,
        np.array([0.25, 0, -0.5], np.float32),
    )
    asked = query("red shoe")
    products = [stored("red shoe"), stored("blue hat")]
    inputs = torch.from_numpy(build_scorer_inputs(asked, unpack_products(products, D, T), 0.05, IDF_TABLE))
    x = (inputs - torch.from_numpy(scorer.mean)) * torch.from_numpy(scorer.scale)
    hidden = torch.relu(x @ torch.from_numpy(scorer.hidden) + torch.from_numpy(scorer.hidden_bias))
    logits = hidden @ torch.from_numpy(scorer.output) + torch.from_numpy(scorer.output_bias)  # (2, H)
    assert np.allclose(score_products(scorer, asked, products), logits[:, 0].sigmoid().numpy(), atol=1e-5)
    mixed = (logits @ torch.tensor([0.5, 0.25, 0.25])).sigmoid().numpy()
    assert np.allclose(score_products(scorer, asked, products, (2.0, 1.0, 1.0)), mixed, atol=1e-5)


def test_no_candidates_no_scores() -> None:
    assert score_products(make_blank_scorer(0.05, IDF_TABLE, T), query("x"), []).shape == (0,)


def test_more_token_vectors_than_the_model_stores_are_refused() -> None:
    scorer = make_blank_scorer(0.05, IDF_TABLE, T)
    assert score_products(scorer, query("x"), [stored("a", tokens=5)], most=5).shape == (1,)
    with pytest.raises(ModelError, match="another format"):
        score_products(scorer, query("x"), [stored("a", tokens=5)], most=4)
