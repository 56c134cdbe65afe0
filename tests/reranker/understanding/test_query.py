import math

import pytest

from mappings.types import Product
from reranker.understanding.demands import (
    MeasureDemand,
    ModelDemand,
    PresenceDemand,
    PriceDemand,
    TypeDemand,
    ValueDemand,
)
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary
from tests.fakes.small_catalogue import make_small_catalogue


@pytest.mark.parametrize(
    ("query", "low", "high", "core"),
    [
        ("mouse under 20", 0, 20, "mouse"),
        ("mouse under $20", 0, 20, "mouse"),
        ("mouse between 20 and 40 euro", 20, 40, "mouse"),
        ("mouse over 50", 50, math.inf, "mouse"),
        ("maus unter 20 euro", 0, 20, "maus"),
        ("鼠标 100元以下", 0, 100, "鼠标"),
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


def test_a_measure_belongs_to_the_attribute_that_the_query_names(vocabulary: CatalogueVocabulary) -> None:
    demands = understand("notebook 16gb ram", vocabulary).demands
    [measure] = [demand for demand in demands if isinstance(demand, MeasureDemand)]
    assert measure.named
    assert measure.attributes[0][0] == "internal memory"


@pytest.mark.parametrize(
    "query", ["mouse without cable", "mouse no wire", "maus ohne kabel", "mouse with no cord", "鼠标 不要线"]
)
def test_exclusions(vocabulary: CatalogueVocabulary, query: str) -> None:
    [absence] = [d for d in understand(query, vocabulary).demands if isinstance(d, PresenceDemand)]
    assert absence.kind == "absence"
    assert "wireless" in absence.instead


def test_an_excluded_attribute_is_found_by_its_name(vocabulary: CatalogueVocabulary) -> None:
    [absence] = [
        d
        for d in understand("notebook without touch screen", vocabulary).demands
        if isinstance(d, PresenceDemand)
    ]
    assert absence.attributes == ("touchscreen",)


@pytest.mark.parametrize("query", ["toner for hl-2140", "toner for HL2140", "for hl 2140", "hl-2140 toner"])
def test_model_numbers_however_written(vocabulary: CatalogueVocabulary, query: str) -> None:
    [model] = [d for d in understand(query, vocabulary).demands if isinstance(d, ModelDemand)]
    assert model.models[0] == "hl2140"


def test_values_and_types(vocabulary: CatalogueVocabulary) -> None:
    demands = understand("grey notebook i7", vocabulary).demands
    [colour, processor] = [demand for demand in demands if isinstance(demand, ValueDemand)]
    assert (colour.kind, processor.kind) == ("colour", "value")
    assert "gray" in colour.stems[0]
    assert processor.attributes == ("processor family",)
    [named] = [demand for demand in demands if isinstance(demand, TypeDemand)]
    assert named.stems == ("notebook",)


def test_nothing_is_understood_of_prose(vocabulary: CatalogueVocabulary) -> None:
    assert understand("word " * 100, vocabulary).demands == ()
    assert understand("", vocabulary).demands == ()


def learn(*titles: str, **attributes: str | float) -> CatalogueVocabulary:
    """Return the vocabulary of titles that several brands have, all with the same attributes."""
    products = [
        Product(f"{brand}-{place}", f"{brand} {title}", brand, attributes=attributes)
        for brand in ("Acme", "Bolt", "Cobra", "Dune", "Elma")
        for place, title in enumerate(titles)
    ]
    return learn_vocabulary(products)


def test_the_product_alone_does_not_say_what_is_measured() -> None:
    vocabulary = learn('laptop bag for 15.6" laptops', "laptop 16 GB", **{"maximum size": 15.6})
    [measure] = [
        d for d in understand("10.1 inch laptop", vocabulary).demands if isinstance(d, MeasureDemand)
    ]
    assert not measure.named


def test_a_word_of_an_attribute_may_be_part_of_a_type() -> None:
    vocabulary = learn("power cable 2 m", "hdmi cable 2 m", **{"power cable length": 2.0})
    demands = understand("2m power cable", vocabulary).demands
    assert [d.words for d in demands if isinstance(d, TypeDemand)] == ["power cable"]


@pytest.mark.parametrize("query", ["notebook i7 processor", "i7 processor notebook"])
def test_a_value_may_stand_beside_its_attributes_name(vocabulary: CatalogueVocabulary, query: str) -> None:
    demands = understand(query, vocabulary).demands
    assert [d.attributes for d in demands if isinstance(d, ValueDemand)] == [("processor family",)]
    assert [d.words for d in demands if isinstance(d, TypeDemand)] == ["notebook"]


@pytest.mark.parametrize(("query", "is_checked"), [("notebook i7", True), ("wireless mouse", False)])
def test_what_products_are_named_by_is_no_property(query: str, is_checked: bool) -> None:
    vocabulary = learn_vocabulary([
        *make_small_catalogue(),
        *(Product(f"m{i}", f"Acme wireless mouse {i}", "Acme") for i in range(20)),
    ])  # fmt: skip
    assert understand(query, vocabulary).is_checked == is_checked


def test_women_are_no_fact_where_no_attribute_names_them(vocabulary: CatalogueVocabulary) -> None:
    assert not understand("notebook for women", vocabulary).is_checked


@pytest.mark.parametrize(("query", "kinds"), [("air max 90", []), ("shoes max 90", ["price"])])
def test_a_bound_that_belongs_to_a_name_limits_no_price(query: str, kinds: list[str]) -> None:
    vocabulary = learn(*(f"Swift Air Max {number} Shoes" for number in range(6)))
    assert [demand.kind for demand in understand(query, vocabulary).demands if demand.kind != "type"] == kinds


def test_a_size_is_no_model_number(vocabulary: CatalogueVocabulary) -> None:
    assert not [
        demand for demand in understand("size 11 rings", vocabulary).demands if demand.kind == "model"
    ]


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("wireless mouse under 20", {"price"}),
        ("wireless mouse", {"value", "type"}),
        ("notebook i7", {"value"}),
    ],
)
def test_products_are_sought_by_precise_demands(query: str, kinds: set[str]) -> None:
    vocabulary = learn_vocabulary([
        *make_small_catalogue(),
        *(Product(f"m{i}", f"Acme wireless mouse {i}", "Acme") for i in range(20)),
    ])  # fmt: skip
    assert {demand.kind for demand in understand(query, vocabulary).sought} == kinds


@pytest.mark.parametrize("query", ["64gb memory card", "memory card 64 GB"])
def test_a_types_own_words_do_not_say_what_is_measured(query: str) -> None:
    vocabulary = learn("memory card 64 GB", "notebook 16 GB", **{"internal memory": 64.0, "capacity": 64.0})
    [measure] = [d for d in understand(query, vocabulary).demands if isinstance(d, MeasureDemand)]
    assert not measure.named


def test_a_number_may_be_part_of_a_value() -> None:
    families = ("Duplex 2 Max", "Duplex 4 Max", "Solo")
    vocabulary = learn_vocabulary([
        Product(f"{i}", f"Acme notebook {family} {i % 9} GB", "Acme", attributes={"family": family})
        for i, family in enumerate(families * 8)
    ])  # fmt: skip
    demands = understand("duplex 2 max notebook", vocabulary).demands
    [value] = [d for d in demands if isinstance(d, ValueDemand)]
    assert [sorted(stems) for stems in value.stems] == [["duplex"], ["2"], ["max"]]


def test_an_exclusion_ends_with_what_is_excluded(vocabulary: CatalogueVocabulary) -> None:
    demands = understand("mouse without cable pink", vocabulary).demands
    assert [d.stems for d in demands if isinstance(d, PresenceDemand)] == [("cabl",)]


def test_what_stands_before_for_names_the_product_or_nothing_does(vocabulary: CatalogueVocabulary) -> None:
    def name(query: str) -> list[tuple[str, ...]]:
        return [d.stems for d in understand(query, vocabulary).demands if isinstance(d, TypeDemand)]

    assert name("case for notebook") == [("case",)]
    assert name("gizmo for notebook") == []
    assert name("notebook gizmo") == [("notebook",)]


def _learn_chargers() -> CatalogueVocabulary:
    return learn_vocabulary(
        Product(f"{noun}-{i}", f"{brand} {noun} {brand[0]}{i}", brand, attributes=attributes)
        for noun, attributes in (("charger", {}), ("notebook", {"charger": True}), ("bag", {}))
        for i in range(12)
        for brand in (("Acme", "Bolt", "Cobra")[i % 3],)
    )


@pytest.mark.parametrize(
    ("query", "kinds", "thing"),
    [
        ("charger for notebook", ["type"], "charger"),
        ("charger", ["type"], "charger"),
        ("notebook with charger", ["type", "feature"], "notebook"),
    ],
)
def test_what_is_sought_is_not_taken_for_a_feature(query: str, kinds: list[str], thing: str) -> None:
    demands = understand(query, _learn_chargers()).demands
    assert [demand.kind for demand in demands] == kinds
    assert [demand.stems for demand in demands if isinstance(demand, TypeDemand)] == [(thing,)]
