from math import exp

import numpy as np
import pytest

from reranker.behaviour.counts import (
    DECAY_DAYS,
    MAX_PRODUCTS,
    MAX_VIEWS,
    Profile,
    add_purchases,
    add_views,
    count_popularity,
    count_season,
)
from reranker.behaviour.purchases import Purchase, build_purchase_log


def test_counts_decay_from_order_to_order() -> None:
    profile = add_purchases(add_purchases(Profile(), ["tea"], 100), ["tea"], 130)
    assert profile.counts(130)["tea"] == pytest.approx(1 + exp(-30 / DECAY_DAYS))
    assert profile.counts(160)["tea"] == pytest.approx(exp(-30 / DECAY_DAYS) + exp(-60 / DECAY_DAYS))
    assert profile.bought["tea"].gap == 30


def test_orders_that_come_late_give_the_same_profile() -> None:
    early = add_purchases(add_purchases(Profile(), ["tea"], 100), ["tea"], 130)
    late = add_purchases(add_purchases(Profile(), ["tea"], 130), ["tea"], 100)
    assert late.counts(200)["tea"] == pytest.approx(early.counts(200)["tea"])
    assert late.bought["tea"].first == early.bought["tea"].first


def test_a_profile_keeps_the_products_with_the_highest_counts() -> None:
    profile = Profile()
    for day in range(20):
        profile = add_purchases(profile, ["staple", *(f"p{day}-{at}" for at in range(30))], day)
    assert len(profile.bought) == MAX_PRODUCTS
    assert "staple" in profile.bought
    assert "p0-0" not in profile.bought


def test_views_keep_the_latest_in_their_order() -> None:
    profile = add_views(Profile(), [f"p{at}" for at in range(MAX_VIEWS + 5)], 1)
    profile = add_views(profile, ["p10"], 2)
    assert len(profile.viewed) == MAX_VIEWS
    assert list(profile.viewed)[-1] == "p10"


def test_adding_changes_no_profile() -> None:
    profile = add_purchases(Profile(), ["tea"], 1)
    add_purchases(profile, ["milk"], 2)
    add_views(profile, ["milk"], 2)
    assert set(profile.bought) == {"tea"}
    assert not profile.viewed


def test_popularity_counts_what_was_bought_before_and_decays() -> None:
    log = build_purchase_log(
        [Purchase("a", "x", "1", 10), Purchase("b", "x", "1", 20), Purchase("c", "y", "1", 50)]
    )
    popularity = dict(zip(log.product_ids, count_popularity(log, 30, 10), strict=True))
    assert popularity["x"] == pytest.approx(exp(-2) + exp(-1))
    assert popularity["y"] == 0


def test_the_season_is_the_same_weeks_of_earlier_years() -> None:
    rows = [Purchase("a", "lights", str(year), 365.25 * year + 350) for year in range(2)]
    rows += [Purchase("a", "milk", str(day), day) for day in range(0, 700, 50)]
    log = build_purchase_log(rows)
    season = dict(zip(log.product_ids, count_season(log, 365.25 * 2 + 351), strict=True))
    assert season["lights"] == 1
    assert not np.any(count_season(log, 10))
