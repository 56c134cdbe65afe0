import math

import pytest

from mappings.types import Judgement
from reranker.evaluation.measures import (
    MEASURES,
    count_shown_products,
    find_trained_queries,
    fingerprint_query,
    group_by_query,
    measure,
    measure_by_query,
    measure_decisions,
    select_answerable,
)

GRADES = {"phone": {"a": 3, "b": 1, "c": 2}, "case": {"a": 2}}


def test_measures_agree_with_their_definitions() -> None:
    values = measure_by_query({"phone": ["b", "a", "x"]}, GRADES)["phone"]
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
    assert measure_by_query({}, GRADES)["case"] == dict.fromkeys(MEASURES, 0.0)
    assert measure({"phone": ["a", "c", "b"]}, GRADES)["ndcg@10"] == pytest.approx(0.5)


def test_rankings_of_other_queries_are_ignored() -> None:
    assert measure({"case": ["a"], "shoe": ["a"]}, {"case": {"a": 2}})["map"] == 1.0


def test_only_probabilities_from_the_threshold_on_are_taken() -> None:
    found = measure_decisions({"phone": {"a": 0.9, "b": 0.5, "c": 0.49}}, GRADES, 0.5)
    assert found["phone"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5})
    assert found["case"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_queries_nothing_answers_are_left_out() -> None:
    grouped = group_by_query(
        [Judgement("phone", "a", 3), Judgement("sofa", "a", 1), Judgement("phone", "b", 0)]
    )
    assert select_answerable(grouped) == {"phone": {"a": 3, "b": 0}}


def test_spellings_of_one_query_have_one_key() -> None:
    assert (
        fingerprint_query("USB-C  Cable")
        == fingerprint_query("usb-c cable")
        == fingerprint_query("\uff35SB-c cable")
    )
    assert fingerprint_query("usb cable") != fingerprint_query("usb-c cable")
    assert len(fingerprint_query("")) == 16


def test_queries_of_the_training_are_found_by_key() -> None:
    origin = {"trained_queries": [fingerprint_query("Phone"), fingerprint_query("shoe")]}
    assert find_trained_queries(origin, ["case", "phone"]) == ["phone"]
    assert find_trained_queries({}, ["phone"]) == []


def test_products_shown_are_counted_once() -> None:
    assert count_shown_products([["a", "b", "c"], ["b", "d"]], top=2) == 3
