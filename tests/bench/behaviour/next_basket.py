"""The next order of households never trained on: all of it, what was bought before, and what never was."""

from collections.abc import Iterable, Iterator, Mapping

from mappings.types import JsonObject
from reranker.behaviour.evaluation.next_orders import OrderRanking, pick_diverse, rank_orders
from reranker.behaviour.evaluation.order_scores import fit_implicit, make_baselines, score_by_attune
from reranker.behaviour.evaluation.order_split import OrderSplit
from reranker.behaviour.evaluation.ranking_values import (
    RankingFigures,
    RankingValues,
    ShownProducts,
    summarise_rankings,
)
from reranker.behaviour.order_replay import OrderExample
from reranker.behaviour.scorer import BehaviourScorer, score_untrained
from reranker.behaviour.shop_counts import ShopCounts
from reranker.evaluation.interval import Interval
from reranker.types import Floats

BasketValues = dict[str, dict[str, dict[str, RankingValues]]]
"""Which orders → what of an order counts → ranking → its values."""


def rank_baskets(
    split: OrderSplit, shop: ShopCounts, scorer: BehaviourScorer, vectors: Floats
) -> BasketValues:
    """Return the values of each ranking: of each household's next order, and of every order of four weeks."""
    mlp = score_by_attune(split.shop_at, scorer.logits)
    simple = {**make_baselines(split.shop_at), **fit_implicit(split.train, split.shop_at)}
    rankings = {
        "MLP": OrderRanking(mlp),
        "MLP, MMR 0.3": OrderRanking(mlp, pick_diverse(vectors)),
        "untrained": OrderRanking(score_by_attune(split.shop_at, score_untrained)),
        **{name: OrderRanking(score) for name, score in simple.items()},
    }
    orders = list(split.examples())
    return {
        name: rank_orders(examples, rankings, len(shop.product_ids))
        for name, examples in (("next order", _take_first(orders)), ("every order", orders))
    }


def summarise_baskets(values: BasketValues, shop: ShopCounts, vectors: Floats) -> JsonObject:
    """Return the figures of each ranking by which orders, and what of an order, counts."""
    return {name: _summarise(of_orders, shop, vectors) for name, of_orders in values.items()}


def list_figures(figures: Mapping[str, RankingFigures]) -> JsonObject:
    """Return figures by ranking, rounded."""
    return {name: _list_one(one) for name, one in figures.items()}


def _take_first(orders: Iterable[OrderExample]) -> Iterator[OrderExample]:
    """Yield the first order of each user."""
    seen: set[int] = set()
    for order in orders:
        if order.user not in seen:
            seen.add(order.user)
            yield order


def _summarise(
    values: Mapping[str, Mapping[str, RankingValues]], shop: ShopCounts, vectors: Floats
) -> JsonObject:
    products = ShownProducts(shop.popularity, vectors)
    figures = {kind: summarise_rankings(of_kind, "MLP", products) for kind, of_kind in values.items()}
    explore = figures["explore"]
    return {
        **{kind: list_figures(of_kind) for kind, of_kind in figures.items()},
        "explore_coverage_over_item_knn": {
            name: round(explore[name].coverage / explore["item-kNN (implicit)"].coverage, 2)
            for name in ("MLP", "MLP, MMR 0.3")
        },
    }


def _list_one(figures: RankingFigures) -> JsonObject:
    row: JsonObject = {
        **{name: _round(value) for name, value in figures.means.items()},
        "households": figures.shoppers,
        "different_products": figures.different_products,
        "novelty_bits": round(figures.novelty, 2),
        "diversity": None if figures.diversity is None else round(figures.diversity, 3),
    }
    if figures.compared:
        row |= {"first_is_better_by": _round(figures.compared.change), "p": round(figures.compared.p_holm, 4)}
    return row


def _round(value: Interval) -> list[float]:
    """Return the mean and the bounds of the interval."""
    return [round(number, 4) for number in (value.mean, value.low, value.high)]
