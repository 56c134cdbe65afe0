from collections.abc import Sequence

import numpy as np
import pytest

from mappings.types import Product
from reranker.types import Floats
from reranker.understanding.facts import list_models, pack_facts
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.vocabulary import CatalogueVocabulary


def encode_by_words(text: str) -> Floats:
    """Return a vector in which two texts are as near as they share words."""
    vector = np.zeros(512, dtype=np.float32)
    for word in text.casefold().split():
        vector[sum(map(ord, word)) % 512] += 1
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


@pytest.fixture(scope="module")
def interpreter(vocabulary: CatalogueVocabulary) -> QueryInterpreter:
    return QueryInterpreter(vocabulary, encode_by_words).load()


def rank(interpreter: QueryInterpreter, products: Sequence[Product], query: str) -> list[Product]:
    """Return products that were equally probable, in the light of the query's demands."""
    facts = [pack_facts(product) for product in products]
    prices = [product.price for product in products]
    scores = interpreter.adjust(interpreter.understand(query), facts, prices, [0.5] * len(products)).scores
    return [products[i] for i in np.argsort(-np.array(scores), kind="stable")]


@pytest.mark.parametrize(
    ("query", "name", "value", "possible"),
    [
        ("27 inch monitor", "display diagonal", 27.0, 5),
        ("monitor 68.6 cm", "display diagonal", 27.0, 5),
        ("2m hdmi cable", "cable length", 2.0, 5),
        ("hdmi cable 6 ft", "cable length", 1.8, 5),
        ("notebook 16gb ram", "internal memory", 16.0, 5),
        ("white mouse", "product colour", "White", 7),
        ("weiße maus", "product colour", "White", 7),
        ("notebook i7", "processor family", "Corex i7", 7),
        ("mouse without cable", "connectivity technology", "Wireless", 10),
        ("notebook without touchscreen", "touchscreen", False, 10),
    ],
)
def test_what_meets_a_demand_comes_first(
    interpreter: QueryInterpreter,
    small_catalogue: list[Product],
    query: str,
    name: str,
    value: object,
    possible: int,
) -> None:
    first = rank(interpreter, small_catalogue, query)[:possible]
    assert [product.attributes.get(name) for product in first] == [value] * possible


def test_prices_limit(interpreter: QueryInterpreter, small_catalogue: list[Product]) -> None:
    first = rank(interpreter, small_catalogue, "mouse under 15")[:5]
    assert all(product.id.startswith("mouse") and (product.price or 0) <= 15 for product in first)


def test_the_thing_comes_before_its_accessories(
    interpreter: QueryInterpreter, small_catalogue: list[Product]
) -> None:
    order = [product.id.partition("-")[0] for product in rank(interpreter, small_catalogue, "notebook")]
    assert order[:20] == ["notebook"] * 20
    order = [product.id.partition("-")[0] for product in rank(interpreter, small_catalogue, "notebook case")]
    assert order[:20] == ["case"] * 20


@pytest.mark.parametrize("query", ["toner for hl-2130", "hl2130 toner", "toner compatible with HL 2130"])
def test_what_fits_comes_first(
    interpreter: QueryInterpreter, small_catalogue: list[Product], query: str
) -> None:
    assert rank(interpreter, small_catalogue, query)[0].id == "toner-3"


def test_hits_without_facts_keep_their_scores(interpreter: QueryInterpreter) -> None:
    understanding = interpreter.understand("27 inch monitor under 200")
    assert interpreter.adjust(understanding, [b"", b""], [None, None], [0.7, 0.2]).scores == pytest.approx(
        [0.7, 0.2]
    )


def test_a_catalogue_without_types_has_no_say_in_them(small_catalogue: list[Product]) -> None:
    interpreter = QueryInterpreter(learn_vocabulary(small_catalogue[:2]), encode_by_words)
    understanding = interpreter.understand("white monitor")
    assert interpreter.adjust(understanding, [pack_facts(small_catalogue[0])], [None], [0.5]).scores


def test_model_numbers_of_a_text() -> None:
    assert {"hl2140", "2140", "dcp7055"} <= set(list_models("Brother HL-2140, DCP 7055"))
