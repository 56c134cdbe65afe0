import math

import pytest

from mappings.types import Judgement
from reranker.evaluation.measures import (
    MEASURES,
    by_query,
    countable,
    decided_by_query,
    measured,
    measured_by_query,
    query_key,
    shown_products,
    trained_on,
)

GRADES = {"phone": {"a": 3, "b": 1, "c": 2}, "case": {"a": 2}}


def test_measures_agree_with_their_definitions() -> None:
    values = measured_by_query({"phone": ["b", "a", "x"]}, GRADES)["phone"]
    gains = (1 + 7 / math.log2(3)) / (7 + 3 / math.log2(3) + 1 / 2)
    assert values == pytest.approx(
        {
            "ndcg@10": gains,
            "precision@10": 0.1,
            "recall@100": 0.5,
            "mrr": 0.5,
            "map": 0.25,
            "judged@10": 2 / 3,
        },
        abs=1e-4,
    )


def test_a_query_without_a_ranking_counts_as_nothing() -> None:
    assert measured_by_query({}, GRADES)["case"] == dict.fromkeys(MEASURES, 0.0)
    assert measured({"phone": ["a", "c", "b"]}, GRADES)["ndcg@10"] == pytest.approx(0.5)


def test_rankings_of_other_queries_are_ignored() -> None:
    assert measured({"case": ["a"], "shoe": ["a"]}, {"case": {"a": 2}})["map"] == 1.0


def test_only_probabilities_from_the_threshold_on_are_taken() -> None:
    found = decided_by_query({"phone": {"a": 0.9, "b": 0.5, "c": 0.49}}, GRADES, 0.5)
    assert found["phone"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5})
    assert found["case"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_queries_nothing_answers_are_left_out() -> None:
    grouped = by_query([Judgement("phone", "a", 3), Judgement("sofa", "a", 1), Judgement("phone", "b", 0)])
    assert countable(grouped) == {"phone": {"a": 3, "b": 0}}


def test_spellings_of_one_query_have_one_key() -> None:
    assert query_key("USB-C  Cable") == query_key("usb-c cable") == query_key("\uff35SB-c cable")
    assert query_key("usb cable") != query_key("usb-c cable")
    assert len(query_key("")) == 16


def test_queries_of_the_training_are_found_by_key() -> None:
    origin = {"trained_queries": [query_key("Phone"), query_key("shoe")]}
    assert trained_on(origin, ["case", "phone"]) == ["phone"]
    assert trained_on({}, ["phone"]) == []


def test_products_shown_are_counted_once() -> None:
    assert shown_products([["a", "b", "c"], ["b", "d"]], top=2) == 3
