import numpy as np

from reranker.behaviour.counts import Profile, add_purchases
from reranker.behaviour.personal_search import WindowProduct, personalise

WINDOW = [
    WindowProduct("a", "milk", "acme", 1),
    WindowProduct("b", "milk", "best", 1),
    WindowProduct("c", "cream", "acme", 0),
]
PLAIN = np.array([1.0, 0.5, 0.0], np.float32)


def _profile(*products: str) -> Profile:
    profile = Profile()
    for day in range(5):
        profile = add_purchases(profile, products, day * 7)
    return profile


def _history(*products: WindowProduct) -> dict[str, WindowProduct]:
    return {product.id: product for product in products}


def test_what_was_bought_before_rises_and_says_why() -> None:
    result = personalise(_profile("b"), _history(WINDOW[1]), WINDOW, PLAIN, 40)
    assert result.log_odds.argmax() == 1
    assert max(result.reasons[1], key=lambda name: result.reasons[1][name]) == "bought"


def test_a_history_of_other_things_changes_nothing() -> None:
    other = WindowProduct("x", "lamp", "shine")
    result = personalise(_profile("x"), _history(other), WINDOW, PLAIN, 40)
    assert result.log_odds is PLAIN
    assert result.reasons == ({}, {}, {})
    assert personalise(Profile(), {}, WINDOW, PLAIN, 40).log_odds is PLAIN


def test_no_strength_changes_nothing() -> None:
    assert personalise(_profile("b"), _history(WINDOW[1]), WINDOW, PLAIN, 40, 0).log_odds is PLAIN


def test_the_change_is_bounded_and_the_reasons_add_up_to_it() -> None:
    result = personalise(_profile("b"), _history(WINDOW[1]), WINDOW, PLAIN, 40, 0.5)
    change = result.log_odds - PLAIN
    assert np.abs(change).max() <= 0.5 + 1e-6
    assert abs(sum(result.reasons[1].values()) - change[1]) < 0.01


def test_a_hit_that_lacks_words_stays_below_those_that_have_them() -> None:
    result = personalise(_profile("c"), _history(WINDOW[2]), WINDOW, PLAIN, 40, 4)
    assert result.log_odds[2] < result.log_odds[:2].min()


def test_a_maker_bought_before_lifts_its_other_products() -> None:
    bought = WindowProduct("x", "butter", "best")
    window = [WindowProduct("a", "milk", "acme"), WindowProduct("b", "milk", "best")]
    result = personalise(_profile("x"), _history(bought), window, np.zeros(2, np.float32), 40)
    assert result.log_odds[1] > result.log_odds[0]
    assert set(result.reasons[1]) == {"maker"}


def _priced(id_: str, kind: str, price: float | None) -> WindowProduct:
    return WindowProduct(id_, kind, "", price=price)


def _price_levels(window: list[WindowProduct], *bought: WindowProduct) -> list[float]:
    scores = personalise(
        _profile(*(product.id for product in bought)),
        _history(*bought),
        window,
        np.zeros(len(window), np.float32),
        40,
    )
    return [reasons.get("price_level", 0.0) for reasons in scores.reasons]


def test_products_that_cost_what_the_shopper_pays_for_their_type_rise() -> None:
    window = [
        _priced("cheap", "wine", 4.0),
        _priced("usual", "wine", 9.0),
        _priced("dear", "wine", 60.0),
        _priced("other", "cheese", 9.0),
    ]
    cheap, usual, dear, other = _price_levels(window, _priced("x", "wine", 10.0))
    assert usual > 0 > dear
    assert usual > cheap > dear
    assert other == 0


def test_unknown_prices_and_types_say_nothing_of_a_price_level() -> None:
    window = [_priced("a", "wine", 4.0), _priced("b", "wine", None), _priced("c", "", 9.0)]
    assert _price_levels(window, _priced("x", "wine", 10.0))[1:] == [0, 0]
    assert _price_levels(window, _priced("x", "wine", None)) == [0, 0, 0]
    assert _price_levels(window, _priced("x", "", 10.0)) == [0, 0, 0]
    assert _price_levels(window, _priced("x", "wine", 0.0)) == [0, 0, 0]


def test_attention_is_a_named_part_within_the_bound_and_after_the_words() -> None:
    attention = np.array([-0.4, 0.6, 0.9])
    result = personalise(Profile(), {}, WINDOW, PLAIN, 40, attention=attention)
    assert [set(reasons) for reasons in result.reasons] == [{"history_attention"}] * 3
    assert result.log_odds[1] > PLAIN[1]
    assert result.log_odds[2] < result.log_odds[:2].min()
    bounded = personalise(Profile(), {}, WINDOW, PLAIN, 40, 0.1, attention * 9)
    assert np.abs(bounded.log_odds - PLAIN)[:2].max() <= 0.1 + 1e-6
    assert personalise(Profile(), {}, WINDOW, PLAIN, 40, 0, attention).log_odds is PLAIN
    assert personalise(Profile(), {}, WINDOW, PLAIN, 40, attention=np.zeros(3)).log_odds is PLAIN
