from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mappings.types import Product
from reranker.encoders.codec import unpack_products
from reranker.encoders.token_spans import list_product_tokens, list_query_tokens
from reranker.explanation import INTERACTION, Explanation, explain
from reranker.fusion import FEATURES, build_scorer_inputs
from reranker.model import Model, load_model
from reranker.text.intent import trim_query
from reranker.types import Floats

MOUSE = Product(
    "1",
    "Logitech M185 wireless mouse",
    "Logitech",
    "Mice",
    "A small mouse for laptops",
    {"buttons": 3.0, "colour": "Swift grey", "wireless": True},
)
WEIGHTS = (1.0, 0.5, 0.25)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(None)


@pytest.fixture(scope="module")
def stored(model: Model) -> bytes:
    # Beside others, so that quantisation makes other bytes of it than encoding it alone does.
    others = [Product("2", "USB cable"), Product("3", "x " * 300)]
    return model.encode_products([MOUSE, *others])[0].stored


@pytest.fixture(scope="module")
def explained(model: Model, stored: bytes) -> Explanation:
    return explain(model, "buy wireless mouse", MOUSE, stored, WEIGHTS)


def inputs_of(model: Model, text: str, stored: bytes) -> Floats:
    query = model.encode_query(text)
    batch = unpack_products([stored], model.dimension, model.config.token_width)
    return build_scorer_inputs(query, batch, model.scorer.temperature, model.scorer.idf_table)


def log_odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def scored(model: Model, inputs: Floats, weights: Sequence[float] = WEIGHTS) -> float:
    """Log-odds of the probability that the model's own scorer gives, in double precision."""
    precise = {
        name: np.asarray(getattr(model.scorer, name), dtype=np.float64)
        for name in ("mean", "scale", "hidden", "hidden_bias", "output", "output_bias")
    }
    return log_odds(
        float(replace(model.scorer, **precise).probability(inputs.astype(np.float64), weights)[0])
    )


def test_the_score_is_the_one_that_a_search_gives(
    model: Model, stored: bytes, explained: Explanation
) -> None:
    score = model.score_raw(model.encode_query("buy wireless mouse"), [stored], WEIGHTS)[0]
    assert explained.log_odds == pytest.approx(log_odds(float(score)), abs=1e-3)
    assert explained.as_stored
    for i, head in enumerate(("relevance", "click", "purchase")):
        alone = [float(i == j) for j in range(3)]
        assert explained.heads[head] == pytest.approx(
            float(model.score_raw(model.encode_query("buy wireless mouse"), [stored], alone)[0]), abs=1e-5
        )


@pytest.mark.parametrize("position", range(len(FEATURES)), ids=FEATURES)
def test_replacing_a_feature_moves_the_score_as_it_says(
    model: Model, stored: bytes, explained: Explanation, position: int
) -> None:
    contribution = explained.features[position]
    assert contribution.name == FEATURES[position]
    inputs = inputs_of(model, "wireless mouse", stored)
    assert contribution.value == pytest.approx(float(inputs[0, position]), abs=1e-6)
    without = inputs.copy()
    without[0, position] = contribution.typical
    assert scored(model, inputs) - scored(model, without) == pytest.approx(contribution.log_odds, abs=1e-4)


def test_replacing_the_interaction_moves_the_score_as_it_says(
    model: Model, stored: bytes, explained: Explanation
) -> None:
    inputs = inputs_of(model, "wireless mouse", stored)
    without = inputs.copy()
    without[0, len(FEATURES) :] = model.scorer.mean[len(FEATURES) :]
    contribution = explained.features[-1]
    assert contribution.name == INTERACTION
    assert scored(model, inputs) - scored(model, without) == pytest.approx(contribution.log_odds, abs=1e-4)
    assert abs(contribution.log_odds) > 0.01


def test_leaving_a_word_out_of_the_query_moves_the_score_as_it_says(
    model: Model, stored: bytes, explained: Explanation
) -> None:
    whole = scored(model, inputs_of(model, "wireless mouse", stored))
    assert [word.text for word in explained.words] == ["wireless", "mouse"]
    for word, rest in zip(explained.words, ("mouse", "wireless"), strict=True):
        assert word.log_odds == pytest.approx(whole - scored(model, inputs_of(model, rest, stored)), abs=1e-3)
    assert explained.words[0].fields == ("title",)
    assert explained.words[1].fields == ("title", "other")


def test_hiding_a_product_word_moves_the_score_as_it_says(
    model: Model, stored: bytes, explained: Explanation
) -> None:
    query = model.encode_query("wireless mouse")
    batch = unpack_products([stored], model.dimension, model.config.token_width)
    whole = scored(model, inputs_of(model, "wireless mouse", stored))
    for k, said in enumerate(explained.attention.log_odds):
        left = np.delete(np.arange(batch.tokens.shape[1]), k)
        hidden = replace(batch, tokens=batch.tokens[:, left], mask=batch.mask[:, left])
        inputs = build_scorer_inputs(query, hidden, model.scorer.temperature, model.scorer.idf_table)
        assert whole - scored(model, inputs) == pytest.approx(float(said), abs=1e-3)
    assert np.abs(explained.attention.log_odds).max() > 0.05


def test_attention_names_its_rows_and_columns(explained: Explanation) -> None:
    attention = explained.attention
    assert [token.text for token in attention.query] == ["wireless", "mouse"]
    words = [(token.text, token.field) for token in attention.product]
    assert words[:5] == [
        ("Logitech", "title"),
        ("M185", "title"),
        ("wireless", "title"),
        ("mouse", "title"),
        ("Logitech", "brand"),
    ]
    assert ("Mice", "category") in words
    assert ("laptops", "description") in words
    assert ("grey", "attributes") in words
    assert attention.weights.shape == attention.cosines.shape == (2, len(words))
    assert np.allclose(attention.weights.sum(1), 1, atol=1e-5)
    for row, token in enumerate(attention.query):
        assert words[int(attention.weights[row].argmax())][0] in (token.text, "Mice")


def test_every_stored_vector_has_a_text(model: Model) -> None:
    for product in (
        MOUSE,
        Product("2"),
        Product("3", "- , -"),
        Product("4", "x " * 300),
        Product("5", "苹果手机壳"),
    ):
        [encoded] = model.encode_products([product])
        batch = unpack_products([encoded.stored], model.dimension, model.config.token_width)
        config = model.config
        texts = list_product_tokens(
            product, model.product_tokenizer, config.product_tokens, config.stored_tokens
        )
        assert len(texts) == batch.tokens.shape[1], product.title[:20]


@pytest.mark.parametrize("text", ["", " ", "🎧", "word " * 500, "苹果手机", "buy a TN-2110 toner"])
def test_every_query_vector_has_a_text(model: Model, text: str) -> None:
    texts = list_query_tokens(text, model.tokenizer, model.config.query_tokens)
    assert len(texts) == len(model.encode_query(text).tokens)


@pytest.mark.parametrize("text", ["", "mouse", "🎧", "苹果手机", "word " * 500])
def test_any_query_is_explained(model: Model, stored: bytes, text: str) -> None:
    found = explain(model, text, MOUSE, stored)
    assert np.isfinite(found.log_odds)
    assert all(np.isfinite(feature.log_odds) for feature in found.features)
    assert len(found.attention.query) == len(found.attention.weights)
    assert len(found.words) == len(trim_query(text).split())


@pytest.mark.parametrize(
    "shown",
    [
        replace(MOUSE, brand=""),
        replace(MOUSE, description=""),
        replace(MOUSE, description="A small mouse"),
        replace(MOUSE, title="Logitech wireless mouse"),
        replace(MOUSE, attributes={"buttons": 3.0}),
    ],
    ids=["brand", "description", "half the description", "a word of the title", "an attribute"],
)
def test_what_is_hidden_from_the_caller_is_not_explained(model: Model, stored: bytes, shown: Product) -> None:
    found = explain(model, "laptops swift grey M185", shown, stored)
    assert not found.as_stored
    # All that is said is what the shown text alone gives, with no stored form at all.
    alone = explain(model, "laptops swift grey M185", shown)
    assert found.log_odds == alone.log_odds
    assert found.features == alone.features
    assert found.words == alone.words
    assert np.array_equal(found.attention.weights, alone.attention.weights)
    assert found.attention.product == alone.attention.product


def test_a_number_that_was_text_in_the_catalogue_is_not_taken_for_hidden(model: Model) -> None:
    as_text = replace(MOUSE, attributes={"buttons": "3", "colour": "Swift grey"})
    [encoded] = model.encode_products([as_text])
    shown = replace(MOUSE, attributes={"buttons": 3.0, "colour": "Swift grey"})
    assert explain(model, "mouse", shown, encoded.stored).as_stored
