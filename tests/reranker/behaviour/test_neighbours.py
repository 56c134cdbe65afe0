import numpy as np
import pytest

from reranker.behaviour.neighbours import MIN_USERS, NEIGHBOURS, Neighbours, fit_cosine, fit_ease
from reranker.behaviour.purchases import Purchase, PurchaseLog, build_purchase_log
from tests.fakes.orders import PAIRS, make_order_log


@pytest.fixture(scope="module")
def log() -> PurchaseLog:
    return make_order_log()


def _best_target(neighbours: Neighbours, log: PurchaseLog, source: str) -> str:
    scores = neighbours.score(np.array([list(log.product_ids).index(source)]), np.ones(1))
    return log.product_ids[int(scores.argmax())]


def test_products_of_one_order_find_each_other(log: PurchaseLog) -> None:
    cosine = fit_cosine(log)
    for first, second in PAIRS:
        assert _best_target(cosine, log, first) == second
        assert _best_target(cosine, log, second) == first


@pytest.mark.parametrize("pairs_at_once", [1, 300, 1_000_000])
def test_pairs_are_counted_alike_however_many_at_once(log: PurchaseLog, pairs_at_once: int) -> None:
    orders: dict[int, set[int]] = {}
    owners: dict[tuple[int, int], set[int]] = {}
    for user, order, product in zip(
        log.users.tolist(), log.orders.tolist(), log.products.tolist(), strict=True
    ):
        orders.setdefault(order, set()).add(product)
        for other in orders[order] - {product}:
            owners.setdefault((product, other), set()).add(user)
            owners.setdefault((other, product), set()).add(user)
    cosine = fit_cosine(log, pairs_at_once).by_target()
    totals = np.bincount(log.products)
    assert cosine
    for target, sources in cosine.items():
        for source, weight in sources.items():
            both = sum({source, target} <= basket for basket in orders.values())
            assert len(owners[source, target]) >= MIN_USERS
            assert weight == pytest.approx(both / (totals[source] ** 0.7 * totals[target] ** 0.3))


def test_ease_is_the_closed_form_of_its_paper() -> None:
    rng = np.random.default_rng(1)
    x = (rng.random((60, 10)) < 0.4).astype(float)
    users, products = np.nonzero(x)
    log = build_purchase_log(
        Purchase(str(u), f"{p:02d}", "1", 1) for u, p in zip(users, products, strict=True)
    )
    ids = [int(i) for i in log.product_ids]
    inverse = np.linalg.inv(x.T @ x + 30 * np.eye(10))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    ease = fit_ease(log, 30)
    for source in range(10):
        mine = ease.score(np.array([ids.index(source)]), np.ones(1))
        theirs = np.maximum(expected[source], 0)
        together = x.T @ x
        theirs[together[source] < MIN_USERS] = 0
        assert [mine[ids.index(t)] for t in range(10)] == pytest.approx(theirs.tolist(), abs=1e-5)


def test_pairs_of_few_shoppers_are_left_out() -> None:
    rows = [
        Purchase(f"s{s}", product, str(order), order)
        for s in range(MIN_USERS - 1)
        for order in range(50)
        for product in ("secret", "rare")
    ]
    log = build_purchase_log(rows)
    assert len(fit_cosine(log).weights) == 0
    assert len(fit_ease(log).weights) == 0


def test_a_product_has_a_bounded_number_of_sources(log: PurchaseLog) -> None:
    for neighbours in (fit_cosine(log), fit_ease(log)):
        by_target = neighbours.by_target()
        assert max(map(len, by_target.values())) <= NEIGHBOURS
        assert all(target not in sources for target, sources in by_target.items())


def test_strengths_weigh_the_sources(log: PurchaseLog) -> None:
    cosine = fit_cosine(log)
    rows = np.array([list(log.product_ids).index(name) for name in ("bread", "tea")])
    separate = [cosine.score(rows[[at]], np.ones(1)) for at in range(2)]
    assert cosine.score(rows, np.array([2.0, 0.5])) == pytest.approx(2 * separate[0] + 0.5 * separate[1])
    assert not cosine.score(np.empty(0, np.int64), np.empty(0)).any()


def test_an_empty_log_has_no_neighbours() -> None:
    log = build_purchase_log([])
    assert len(fit_cosine(log).weights) == len(fit_ease(log).weights) == 0
