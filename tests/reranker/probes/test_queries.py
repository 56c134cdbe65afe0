import numpy as np
import pytest

from reranker.probes.queries import CATEGORY, KNOWN_ITEM, TYPE, ProbeQuery, make_nonsense, make_probe_queries
from reranker.probes.truth import ProbedProducts
from reranker.understanding import learn_vocabulary, pack_facts
from reranker.understanding.facts import unpack_facts
from reranker.understanding.type_index import build_type_index
from tests.fakes.small_catalogue import make_small_catalogue

CATALOGUE = make_small_catalogue()
VOCABULARY = learn_vocabulary(CATALOGUE)
TYPES = build_type_index(VOCABULARY, lambda _: np.zeros(1, dtype=np.float32))
PRODUCTS = ProbedProducts(
    [product.id for product in CATALOGUE],
    unpack_facts([pack_facts(product) for product in CATALOGUE]),
    [product.price for product in CATALOGUE],
)


@pytest.fixture(scope="module")
def probes() -> list[ProbeQuery]:
    return make_probe_queries(CATALOGUE, VOCABULARY, TYPES)


def answers(probe: ProbeQuery) -> set[str]:
    answered = probe.truth(PRODUCTS).tolist()
    return {i for i, answer in zip(PRODUCTS.ids, answered, strict=True) if answer}


def test_every_kind_of_query_is_made_and_something_answers_it(probes: list[ProbeQuery]) -> None:
    families = {probe.family for probe in probes}
    assert {KNOWN_ITEM, TYPE, "measure", "colour", "price", "feature", "model"} <= families
    assert all(answers(probe) for probe in probes)


def test_no_query_is_made_twice_in_a_family(probes: list[ProbeQuery]) -> None:
    made = [(probe.family, probe.text) for probe in probes]
    assert len(made) == len(set(made))


def test_families_take_turns_so_that_the_first_queries_are_of_all(probes: list[ProbeQuery]) -> None:
    families = {probe.family for probe in probes}
    assert {probe.family for probe in probes[: len(families)]} == families


def test_a_known_item_is_answered_by_one_product(probes: list[ProbeQuery]) -> None:
    assert {len(answers(probe)) for probe in probes if probe.family == KNOWN_ITEM} == {1}


def test_products_answer_by_what_they_are_and_have(probes: list[ProbeQuery]) -> None:
    by_text = {probe.text: answers(probe) for probe in probes if probe.family != KNOWN_ITEM}
    for text, ids in by_text.items():
        if text in ("white notebook", "white notebook case"):
            prefix = "case" if text.endswith("case") else "notebook"
            assert ids == {f"{prefix}-{i}" for i in range(20) if i % 4 == 1}
    assert by_text["mouse"] == {product.id for product in CATALOGUE if product.id.startswith("mouse")}


def test_the_same_seed_makes_the_same_queries(probes: list[ProbeQuery]) -> None:
    again = make_probe_queries(CATALOGUE, VOCABULARY, TYPES)
    assert [probe.text for probe in again] == [probe.text for probe in probes]
    other = make_probe_queries(CATALOGUE, VOCABULARY, TYPES, seed=1)
    assert [probe.text for probe in other] != [probe.text for probe in probes]


def test_categories_are_types_where_there_are_some() -> None:
    shelf = [
        product.__class__(product.id, product.title, product.brand, f"Shop > {product.id.split('-')[0]}s")
        for product in CATALOGUE
    ]
    probes = make_probe_queries(shelf, learn_vocabulary(shelf), TYPES)
    assert not any(probe.family == TYPE for probe in probes)
    texts = {probe.text for probe in probes if probe.family == CATEGORY}
    assert {"screens", "cables"} <= texts
    assert "monitor" not in texts


def test_nonsense_has_no_word_of_the_catalogue() -> None:
    words = {word for product in CATALOGUE for word in product.title.casefold().split()}
    texts = make_nonsense(CATALOGUE, 30)
    assert len(texts) >= 20
    assert not {word for text in texts for word in text.split()} & words


def test_an_empty_catalogue_makes_nothing() -> None:
    vocabulary = learn_vocabulary([])
    types = build_type_index(vocabulary, lambda _: np.zeros(1, dtype=np.float32))
    assert make_probe_queries([], vocabulary, types) == []
    assert make_nonsense([], 10) == []
