import math

import pytest

from reranker.understanding.demands import MeasureDemand, PriceDemand
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary
from tests.fakes.small_catalogue import learn_titles


@pytest.mark.parametrize(
    ("query", "low", "high", "core"),
    [
        ("mouse under 20", 0, 20, "mouse"),
        ("mouse under $20", 0, 20, "mouse"),
        ("mouse between 20 and 40 euro", 20, 40, "mouse"),
        ("mouse over 50", 50, math.inf, "mouse"),
        ("maus unter 20 euro", 0, 20, "maus"),
        ("鼠标 100元以下", 0, 100, "鼠标"),
        ("mouse £20 or less", 0, 20, "mouse"),
        ("mouse 50 or more", 50, math.inf, "mouse"),
        ("mouse <20", 0, 20, "mouse"),
        ("mouse 20-40 eur", 20, 40, "mouse"),
        ("souris moins de 20 euros", 0, 20, "souris"),
        ("ratón menos de 20 €", 0, 20, "ratón"),
    ],
)
def test_prices(vocabulary: CatalogueVocabulary, query: str, low: float, high: float, core: str) -> None:
    understanding = understand(query, vocabulary)
    [price] = [demand for demand in understanding.demands if isinstance(demand, PriceDemand)]
    assert (price.low, price.high) == (low, high)
    assert understanding.core == core


def test_a_limit_with_a_unit_is_no_price(vocabulary: CatalogueVocabulary) -> None:
    demands = understand("cable under 3 m", vocabulary).demands
    assert not any(isinstance(demand, PriceDemand) for demand in demands)
    [measure] = [demand for demand in demands if isinstance(demand, MeasureDemand)]
    assert (measure.low, measure.high) == (0, 3)


@pytest.mark.parametrize(("query", "kinds"), [("air max 90", []), ("shoes max 90", ["price"])])
def test_a_bound_that_belongs_to_a_name_limits_no_price(query: str, kinds: list[str]) -> None:
    vocabulary = learn_titles(*(f"Swift Air Max {number} Shoes" for number in range(6)))
    assert [demand.kind for demand in understand(query, vocabulary).demands if demand.kind != "type"] == kinds


@pytest.mark.parametrize(
    "query", ["cheap mouse", "affordable mouse", "günstige mouse", "mouse barato", "便宜的 mouse"]
)
def test_little_money(vocabulary: CatalogueVocabulary, query: str) -> None:
    understanding = understand(query, vocabulary)
    assert [demand.cheap for demand in understanding.demands if isinstance(demand, PriceDemand)] == [True]
    assert understanding.core == "mouse"
