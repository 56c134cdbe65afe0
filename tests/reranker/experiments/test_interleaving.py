import pytest

from reranker.experiments.interleaving import interleave

FIRST = ["a", "b", "c", "d"]
SECOND = ["c", "e", "a", "f"]


def test_every_id_is_there_once_and_belongs_to_one_ranking() -> None:
    for seed in range(50):
        mixed = interleave(FIRST, SECOND, 6, str(seed))
        assert len(set(mixed.ids)) == 6
        assert mixed.first | mixed.second == set(mixed.ids)
        assert not mixed.first & mixed.second


def test_a_page_begins_with_either_rankings_best() -> None:
    assert {interleave(FIRST, SECOND, 4, str(seed)).ids[0] for seed in range(50)} == {"a", "c"}


def test_the_same_seed_gives_the_same_list() -> None:
    assert interleave(FIRST, SECOND, 4, "x") == interleave(FIRST, SECOND, 4, "x")


def test_a_short_ranking_leaves_its_places_to_the_other() -> None:
    assert set(interleave(["a"], SECOND, 9, "x").ids) == {"a", "c", "e", "f"}


def test_equal_rankings_share_the_credit() -> None:
    credit = sum(interleave(FIRST, FIRST, 4, str(seed)).credit(["a"]) for seed in range(2000))
    assert credit / 2000 == pytest.approx(0, abs=0.08)


def test_clicks_credit_the_ranking_that_showed_the_product() -> None:
    mixed = interleave(FIRST, SECOND, 6, "x")
    assert mixed.credit(mixed.first) == len(mixed.first)
    assert mixed.credit(mixed.second) == -len(mixed.second)
    assert mixed.credit(["unknown"]) == 0
