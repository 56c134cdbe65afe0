import math
from dataclasses import replace

import pytest

from reranker.keyword_evidence import (
    add_keyword_evidence,
    compute_keyword_log_odds,
    compute_spread,
    weigh_keywords,
)
from reranker.length_scaling import calibrate
from reranker.model import load_model


def test_a_hit_that_keywords_find_as_well_needs_less_of_the_model() -> None:
    scores, bm25 = [0.6, 0.6, 0.6], [8.0, 4.0, 0.0]
    best, worse, unfound = add_keyword_evidence(scores, bm25, 1.0)
    for found, moved in ((best, 0.3), (worse, -0.2), (unfound, -0.7)):
        assert found == pytest.approx(1 / (1 + math.exp(-(math.log(0.6 / 0.4) + moved))))
    assert all(0 <= score <= 1 for score in add_keyword_evidence([0.0, 1.0], [1.0, 0.0], 50.0))


def test_where_keywords_say_nothing_the_scores_stay_to_the_bit() -> None:
    scores = [0.6, 1 / 3, 0.0]
    assert add_keyword_evidence(scores, [8.0, 4.0, 0.0], 0.0) == scores
    assert add_keyword_evidence(scores, [0.0, 0.0, 0.0], 1.0) == scores
    assert add_keyword_evidence([], [], 1.0) == []


def test_log_odds_go_by_the_share_of_the_best_keyword_score() -> None:
    moved = compute_keyword_log_odds([8.0, 4.0, 0.0, -1.0], 2.0)
    beside_the_best_alone = compute_keyword_log_odds([4.0, 8.0], 2.0)
    assert moved is not None
    assert beside_the_best_alone is not None
    assert moved.tolist() == pytest.approx([0.6, -0.4, -1.4, -1.4])
    assert beside_the_best_alone[0] == moved[1]


@pytest.mark.parametrize(("first_scores", "weight"), [([2.0], 0.0), ([-2.0, 0.0], 2.0), ([], 2.0)])
def test_keywords_that_have_no_say_move_nothing(first_scores: list[float], weight: float) -> None:
    assert compute_keyword_log_odds(first_scores, weight) is None


BM25 = [9.0, 8.0, 2.0, 0.0]
MODEL = [0.99, 0.01, 0.4, 0.97]


def order(scores: list[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda hit: -scores[hit])


def test_what_holds_a_number_of_the_query_comes_first() -> None:
    assert order(add_keyword_evidence(MODEL, BM25, 1.8)) == [0, 3, 2, 1]
    scores = add_keyword_evidence(MODEL, BM25, 1.8, [0, 1, 1, 0])
    assert order(scores) == [1, 2, 0, 3]
    assert all(0 < score <= 1 for score in scores)
    # Those that hold none have the scores that they had.
    without = add_keyword_evidence(MODEL, BM25, 1.8)
    assert [scores[hit] for hit in (0, 3)] == [without[hit] for hit in (0, 3)]


def test_what_holds_more_numbers_of_the_query_comes_first() -> None:
    assert order(add_keyword_evidence(MODEL, BM25, 1.8, [1, 0, 2, 1])) == [2, 0, 3, 1]


def test_among_those_that_hold_it_keywords_lead_and_the_model_breaks_ties() -> None:
    held = [1, 1, 1, 1]
    assert order(add_keyword_evidence([0.2, 0.9, 0.3, 0.2], [9.0, 4.0, 4.0, 2.0], 1.8, held)) == [0, 1, 2, 3]
    assert order(add_keyword_evidence([0.2, 0.9], [9.0, 9.0], 1.8, [1, 1])) == [1, 0]


def test_where_no_hit_holds_a_number_nothing_changes() -> None:
    assert add_keyword_evidence(MODEL, BM25, 1.8, [0] * 4) == add_keyword_evidence(MODEL, BM25, 1.8)


def test_an_identifier_is_answered_in_the_keyword_searchs_order() -> None:
    scores = add_keyword_evidence(MODEL, BM25, 1.8, [1, 0, 0, 0], is_identifier=True)
    assert scores == pytest.approx([1.0, 8 / 9, 2 / 9, 0.0])
    assert add_keyword_evidence(MODEL, [0.0] * 4, 1.8, is_identifier=True) == MODEL


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("wireless mouse", 1.0),
        ("logitech keyboard", 1.0),
        ("27 inch monitor HL-2140", 1.0),
        ("防水敷パッド", 4.0),
        ("ヨガマット 折りたたみ", 4.0),
        ("zapatillas deportivas", 2.0),
    ],
)
def test_keywords_weigh_more_in_languages_that_the_encoder_does_not_know(text: str, more: float) -> None:
    weight = weigh_keywords(3.0, load_model().encode_query(text))
    assert weight == pytest.approx(3.0) if more == 1.0 else weight >= 3.0 * more


def test_log_odds_lie_wider_the_more_keywords_weigh() -> None:
    assert [compute_spread(weight) for weight in (0.0, 1.0)] == [1.0, 1.0]
    assert 1 < compute_spread(5.0) < compute_spread(20.0)
    query = replace(load_model().encode_query("wireless mouse"), scale=(0.8, 0.1))
    plain, wide = calibrate(query, [0.1, 0.9]), calibrate(query, [0.1, 0.9], compute_spread(20.0))
    assert plain[0] < wide[0] < wide[1] < plain[1]


def test_keywords_weigh_less_where_facts_tell_what_is_demanded() -> None:
    query = load_model().encode_query("monitor 27 inch")
    assert 0 < weigh_keywords(3.0, query, is_checked=True) < weigh_keywords(3.0, query)
