import math

import numpy as np
import pytest

from mappings.types import Product
from reranker.fusion import HEADS
from reranker.model import Model, load_model
from reranker.text.word_tokens import hash_words
from reranker.training.clicks.click_labels import ClickEvidence
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.training.scoring.examples import EncodedCatalogue, build_idf_table, make_click_examples

MUGS = [Product(str(i), title) for i, title in enumerate(("red mug", "blue mug", "green mug", "tea kettle"))]


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(None)


def evidence(query: str, product: str, click: float, purchase: float) -> ClickEvidence:
    return ClickEvidence(query, product, click, purchase, 100.0)


def test_clicks_and_purchases_teach_a_head_each(model: Model) -> None:
    encoded = model.encode_products(MUGS)
    catalogue = EncodedCatalogue(MUGS, encoded, [], KeywordIndex(MUGS))
    seen = [
        evidence("mug", "0", 0.5, 0.1),
        evidence("mug", "1", 0.2, 0.2),
        evidence("mug", "gone", 0.9, 0.9),
        evidence("kettle", "3", 0.4, math.nan),
        evidence("teapot", "gone", 0.4, 0.4),
    ]
    clicked, bought, kettle = make_click_examples(model, catalogue, seen, 2.0)
    assert [HEADS[e.head] for e in (clicked, bought, kettle)] == ["click", "purchase", "click"]
    assert clicked.gains is not None
    assert bought.gains is not None
    assert np.allclose(clicked.gains, [0.5, 0.2])
    assert np.allclose(bought.gains, [0.1, 0.2])
    assert clicked.weight == pytest.approx(2.0 * 200 / 300)
    assert kettle.inputs.shape == (1, clicked.inputs.shape[1])


def test_words_that_every_product_has_are_not_rare() -> None:
    found = build_idf_table(MUGS)
    red, mug, absent = (found.idf[hash_words([word])[0] & 0xFFFF] for word in ("red", "mug", "dragon"))
    assert absent > red > mug
    assert found.lengths.tolist() == [2, 0, 0, 0]
