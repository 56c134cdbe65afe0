import numpy as np
import pytest

from reranker.training.clicks.position_bias import (
    BANDS,
    Doubles,
    Impressions,
    assign_bands,
    fit_position_model,
)

POSITIONS = np.arange(1, 9)


def simulated(curve: Doubles, swaps: float, seed: int = 5) -> tuple[Impressions, Doubles, Doubles]:
    """Return shows of 30 queries with 8 products, ranked partly by merit, their attraction, and raw CTR.

    Each search shows the products in the query's order with noise `swaps` on the ranks.
    """
    random = np.random.default_rng(seed)
    attraction = random.beta(1.2, 5, (30, 8))
    liked = np.argsort(np.argsort(-attraction, axis=1), axis=1) + random.normal(0, 3, (30, 8))
    order = np.argsort(
        liked[:, None] + swaps * random.normal(size=(30, 400, 8)), axis=2
    )  # (query, search, place)
    attracts = np.take_along_axis(attraction[:, None], order, axis=2)
    clicks = random.random(order.shape) < curve * attracts
    cell = (
        64 * np.arange(30)[:, None, None] + 8 * order + np.arange(8)
    )  # (query, product, place) as one number
    shown, clicked = (
        np.bincount(cell.ravel(), weights, 1920).reshape(240, 8) for weights in (None, clicks.ravel())
    )
    pair, band = np.nonzero(shown)
    shows = Impressions(pair, band, shown[pair, band].astype(float), clicked[pair, band])
    return shows, attraction.ravel(), clicked.sum(1) / shown.sum(1)


def agreement(found: Doubles, truth: Doubles) -> float:
    """Return the mean over queries of the rank correlation (Spearman) with the truth."""
    ranks = [np.argsort(np.argsort(x.reshape(-1, 8), axis=1), axis=1) for x in (found, truth)]
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)]))


@pytest.mark.parametrize("steepness", [0.7, 1.0])
def test_recovers_examination_although_good_products_stand_high(steepness: float) -> None:
    curve = POSITIONS**-steepness
    shows, truth, raw = simulated(curve, swaps=1.5)
    model = fit_position_model(shows, strength=5)
    np.testing.assert_allclose(model.examination[:8], curve, atol=0.08)
    assert 0.9 * shows.clicked.sum() < model.compared <= shows.clicked.sum()
    assert agreement(model.attraction, truth) > agreement(raw, truth) + 0.01
    assert np.abs(model.attraction - truth).mean() < 0.4 * np.abs(raw - truth).mean()


def test_products_that_never_move_leave_the_assumed_curve() -> None:
    shows, truth, raw = simulated(POSITIONS**-0.7, swaps=0.0)
    model = fit_position_model(shows, strength=5)
    np.testing.assert_allclose(model.examination[:8], POSITIONS**-0.5)
    assert model.compared == 0
    assert agreement(model.attraction, truth) > agreement(raw, truth)


def test_little_evidence_is_drawn_to_the_mean() -> None:
    # Everything at position 1: 100 shows with 20 clicks, 2 with 2.
    rows = np.array([0, 1])
    shows = Impressions(rows, np.array([0, 0]), np.array([100.0, 2.0]), np.array([20.0, 2.0]))
    model = fit_position_model(shows, strength=8)
    mean = 22 / 102
    assert model.mean == pytest.approx(mean)
    np.testing.assert_allclose(model.attraction, [(20 + 8 * mean) / 108, (2 + 8 * mean) / 10])
    np.testing.assert_allclose(model.examined, [100, 2])


def test_a_log_without_clicks_attracts_nobody() -> None:
    shows = Impressions(np.array([0, 0]), np.array([0, 3]), np.array([9.0, 4.0]), np.zeros(2))
    model = fit_position_model(shows, strength=5)
    assert model.attraction.tolist() == [0.0]
    assert np.isfinite(model.examination).all()


def test_deep_positions_share_a_band() -> None:
    found = assign_bands([1, 10, 11, 15, 16, 100, 101, 5000]).tolist()
    assert [BANDS[band] for band in found] == [1, 10, 11, 11, 16, 51, 101, 101]
