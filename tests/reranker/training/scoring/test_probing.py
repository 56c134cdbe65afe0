import numpy as np
import pytest

from mappings.types import Product
from reranker.training.scoring.probing import (
    ModelOrigin,
    choose_source,
    make_catalogue_probes,
    summarise_probes,
)

FAMILIES = ["known item", "category", "colour", "price"] * 40
START = np.full(len(FAMILIES), 0.5)


def vary(change: float, spread: float = 0.1) -> np.ndarray:
    return START + change + np.random.default_rng(3).normal(0, spread, len(FAMILIES))


def test_a_trained_model_is_handed_over_where_made_queries_show_it_to_be_better() -> None:
    assert choose_source(START, vary(0.1), FAMILIES) is ModelOrigin.TRAINED


@pytest.mark.parametrize("change", [-0.1, 0.0, 0.01])
def test_the_start_is_kept_where_a_gain_is_not_shown(change: float) -> None:
    assert choose_source(START, vary(change), FAMILIES) is ModelOrigin.START


def test_known_items_alone_show_nothing() -> None:
    trained = START + np.array([0.3 * (family == "known item") for family in FAMILIES])
    assert choose_source(START, trained, FAMILIES) is ModelOrigin.START
    assert choose_source(START[:1], START[:1] + 0.4, ["known item"]) is ModelOrigin.START


def test_a_gain_that_costs_one_kind_of_query_is_not_taken() -> None:
    trained = START + np.array([-0.1 if family == "price" else 0.3 for family in FAMILIES])
    assert choose_source(START, trained, FAMILIES) is ModelOrigin.START


def test_judged_queries_decide_where_there_are_enough() -> None:
    worse, better = [0.9] * 30, [0.6, 0.7] * 15
    assert choose_source(START, vary(0.2), FAMILIES, (worse, better)) is ModelOrigin.START
    assert choose_source(START, vary(0.0), FAMILIES, (better, worse)) is ModelOrigin.TRAINED
    assert choose_source(START, vary(0.0), FAMILIES, (better[:3], worse[:3])) is ModelOrigin.START


def test_without_any_probe_the_start_is_kept() -> None:
    nothing = np.zeros(0)
    assert choose_source(nothing, nothing, []) is ModelOrigin.START
    assert summarise_probes(nothing, nothing, []) == {"queries": 0}


def test_probes_are_of_several_kinds_and_none_was_trained() -> None:
    products = [
        Product(
            str(n),
            title=f"Maker{n % 7} {colour} {noun} {n}X{n + 10}",
            brand=f"Maker{n % 7}",
            category=noun,
            price=5.0 + n,
            attributes={"colour": colour},
        )
        for n, (noun, colour) in enumerate(
            (noun, colour)
            for noun in ("mouse", "keyboard", "lamp")
            for colour in ("red", "blue", "black") * 8
        )
    ]
    probes = make_catalogue_probes(products, ["MOUSE"], 3)
    assert {"known item", "category", "colour", "price"} <= {probe.family for probe in probes}
    assert "mouse" not in {probe.text for probe in probes}
    red = next(probe for probe in probes if probe.text == "red lamp")
    assert {products[row].title.split()[1] for row in red.rows} == {"red"}
    assert {products[row].category for row in red.rows} == {"lamp"}
