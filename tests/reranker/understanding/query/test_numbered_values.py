"""Values that a query names: sizes and ages without a unit, and values that it excludes."""

import pytest

from mappings.types import Product
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.learning import learn_vocabulary
from tests.reranker.understanding.test_adjustment import encode_by_words, rank

_SHOES = [
    Product(
        f"shoe-{size}-{material}-{in_words}",
        f"{brand} Runner sneaker {brand[0]}{size}",
        brand,
        attributes={"shoe size": f"EU {size}" if in_words else float(size), "upper material": material},
    )
    for brand in ("Acme", "Bolt", "Cobra")
    for size in (40, 41, 42, 43)
    for material in ("Leather", "Suede", "Mesh")
    for in_words in (True, False)
]
_TOYS = [
    Product(f"toy-{years}-{i}", f"{brand} building blocks {brand[0]}{i}", brand, attributes={name: years})
    for name in ("recommended age (min)",)
    for years in (1.0, 3.0, 5.0, 8.0)
    for i, brand in enumerate(("Acme", "Bolt", "Cobra"))
]


@pytest.fixture(scope="module")
def interpreter() -> QueryInterpreter:
    return QueryInterpreter(learn_vocabulary([*_SHOES, *_TOYS]), encode_by_words)


@pytest.mark.parametrize(
    "query",
    ["sneakers size 42", "sneaker EU 42", "sneaker größe 42", "size 42 sneakers", "zapatilla talla 42"],
)
def test_a_size_is_compared_with_numbers_and_words(interpreter: QueryInterpreter, query: str) -> None:
    first = rank(interpreter, _SHOES, query)[:18]
    assert {product.attributes["shoe size"] for product in first} == {42.0, "EU 42"}


@pytest.mark.parametrize(
    ("query", "suits"),
    [
        ("blocks age 3", {3.0}),
        ("blocks for 3 year olds", {3.0}),
        ("blocks ages 5", {3.0, 5.0}),
        ("积木 3岁", {3.0}),
    ],
)
def test_what_suits_an_age_comes_first(interpreter: QueryInterpreter, query: str, suits: set[float]) -> None:
    first = rank(interpreter, _TOYS, query)[: 3 * len(suits)]
    assert {product.attributes["recommended age (min)"] for product in first} == suits


@pytest.mark.parametrize(
    "query",
    ["sneakers not leather", "leather-free sneakers", "sneaker ohne leder", "sneakers without leather"],
)
def test_a_value_that_is_excluded_comes_last(interpreter: QueryInterpreter, query: str) -> None:
    last = rank(interpreter, _SHOES, query)[-24:]
    assert {product.attributes["upper material"] for product in last} == {"Leather"}


def test_what_a_thing_is_free_of_is_not_looked_for() -> None:
    gums = [
        Product("sugar", "Acme sugar gum", "Acme"),
        Product("other", "Acme mint gum", "Acme"),
        Product("free", "Acme sugar-free gum", "Acme"),
    ]
    order = [
        each.id
        for each in rank(QueryInterpreter(learn_vocabulary(gums), encode_by_words), gums, "sugar-free gum")
    ]
    assert order == ["free", "other", "sugar"]


def test_a_number_is_no_size_where_no_attribute_holds_sizes(interpreter: QueryInterpreter) -> None:
    bare = QueryInterpreter(learn_vocabulary(_TOYS), encode_by_words)
    assert not any(demand.kind == "size" for demand in bare.understand("blocks size 42").demands)
    assert any(demand.kind == "size" for demand in interpreter.understand("blocks size 42").demands)


def test_queries_are_corrected_to_values_that_no_title_has(interpreter: QueryInterpreter) -> None:
    understanding = interpreter.understand("lether sneakers")
    assert [each.corrected for each in understanding.corrections] == ["leather"]
    assert [demand.kind for demand in understanding.demands] == ["material", "type"]


@pytest.mark.parametrize(
    "query", ["shirt size m", "shirt size M", "medium shirt", "hemd größe m", "camisa talla m"]
)
def test_a_letter_is_a_size_where_the_query_says_so(query: str) -> None:
    shirts = [
        Product(f"{i}", f"Acme shirt A{i}", "Acme", attributes={"size": ("S", "M", "L")[i % 3]})
        for i in range(24)
    ]
    first = rank(QueryInterpreter(learn_vocabulary(shirts), encode_by_words), shirts, query)[:8]
    assert {product.attributes["size"] for product in first} == {"M"}
