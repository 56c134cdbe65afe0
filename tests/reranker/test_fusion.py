import numpy as np
import torch

from reranker.fusion import FEATURES, HIDDEN, Scorer, attention, fused, score
from reranker.stored import pack, unit, unpack
from reranker.types import Candidate, EncodedQuery
from reranker.words import hashed, words

RANDOM = np.random.default_rng(2)
D, T = 16, 8


def stored(title: str, brand: str = "", category: str = "", other: str = "", tokens: int = 3) -> bytes:
    vector = unit(RANDOM.normal(size=D).astype(np.float32))
    rows = unit(RANDOM.normal(size=(tokens, T)).astype(np.float32))
    return pack(vector, rows, [hashed(words(text)) for text in (title, brand, category, other)])


def query(text: str) -> EncodedQuery:
    return EncodedQuery(
        text,
        unit(RANDOM.normal(size=D).astype(np.float32)),
        unit(RANDOM.normal(size=(2, T)).astype(np.float32)),
        words(text),
    )


def features(text: str, *products: bytes, bm25: list[float] | None = None) -> dict[str, list[float]]:
    asked = query(text)
    scores = np.array(bm25 or [0.0] * len(products), dtype=np.float32)
    found = fused(asked, unpack(products, D, T), scores, 0.05)
    return {name: [round(float(x), 4) for x in found[:, i]] for i, name in enumerate(FEATURES)}


def test_attention_is_the_softmax_of_the_products() -> None:
    asked = query("x")
    batch = unpack([stored("a", tokens=3), stored("b", tokens=5)], D, T)
    attended, best = attention(asked.tokens, batch, 0.1)
    for i, count in enumerate((3, 5)):
        y = torch.from_numpy(batch.tokens[i, :count])
        x = torch.from_numpy(asked.tokens)
        expected = torch.softmax(x @ y.T / 0.1, -1) @ y
        assert np.allclose(attended[i], expected.numpy(), atol=1e-5)
        assert np.allclose(best[i], (x @ y.T).max(1).values.numpy(), atol=1e-6)


def test_word_features_say_where_the_words_are() -> None:
    found = features(
        "canon black toner",
        stored("Canon toner cartridge", brand="Canon", category="Printer toner", other="black"),
        stored("HP ink", brand="HP", other="blue"),
        stored(""),
    )
    assert found["title_words"] == [0.6667, 0, 0]
    assert found["brand_words"] == [0.3333, 0, 0]
    assert found["category_words"] == [0.3333, 0, 0]
    assert found["all_words"] == [1, 0, 0]
    assert found["brand_is_query"] == [1, 0, 0]
    assert found["title_focus"] == [0.6667, 0, 0]
    assert found["numbers"] == [1, 1, 1]


def test_numbers_must_be_the_same() -> None:
    found = features("usb stick 128gb", stored("USB stick 128GB"), stored("USB stick 64GB"))
    assert found["numbers"] == [1, 0]


def test_bm25_is_a_share_of_the_best() -> None:
    assert features("x", stored("a"), stored("b"), stored("c"), bm25=[6.0, 3.0, 0.0])["bm25"] == [1, 0.5, 0]
    assert features("x", stored("a"), bm25=[0.0])["bm25"] == [0]


def test_a_query_without_words_scores_without_error() -> None:
    assert features("?!", stored("a"))["all_words"] == [0]


def test_score_matches_the_mlp_in_torch() -> None:
    width = len(FEATURES) + T
    scorer = Scorer(
        0.05,
        RANDOM.normal(size=width).astype(np.float32),
        RANDOM.random(width).astype(np.float32),
        RANDOM.normal(size=(width, HIDDEN)).astype(np.float32),
        RANDOM.normal(size=HIDDEN).astype(np.float32),
        RANDOM.normal(size=HIDDEN).astype(np.float32) * 0.1,
        0.25,
    )
    asked = query("red shoe")
    products = [stored("red shoe"), stored("blue hat")]
    inputs = torch.from_numpy(fused(asked, unpack(products, D, T), np.array([2, 1], np.float32), 0.05))
    x = (inputs - torch.from_numpy(scorer.mean)) * torch.from_numpy(scorer.scale)
    hidden = torch.relu(x @ torch.from_numpy(scorer.hidden) + torch.from_numpy(scorer.hidden_bias))
    expected = torch.sigmoid(hidden @ torch.from_numpy(scorer.output) + scorer.output_bias)
    found = score(scorer, asked, [Candidate(products[0], 2.0), Candidate(products[1], 1.0)])
    assert np.allclose(found, expected.numpy(), atol=1e-5)


def test_no_candidates_no_scores() -> None:
    empty = np.zeros(1, np.float32)
    assert score(Scorer(0.05, empty, empty, empty, empty, empty, 0.0), query("x"), []).shape == (0,)
