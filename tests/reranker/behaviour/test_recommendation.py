import numpy as np
import pytest

from reranker.behaviour.counts import Profile, add_purchases, add_views
from reranker.behaviour.features import BEHAVIOUR_FEATURES
from reranker.behaviour.recommendation import (
    BehaviourModel,
    Candidate,
    Recommendation,
    RecommendationKind,
    RecommendationRequest,
    recommend_products,
)
from reranker.behaviour.scorer import BEHAVIOUR_UNITS, BehaviourScorer
from reranker.behaviour.shop_counts import ShopCounts, count_shop
from tests.fakes.orders import make_order_log

DAY = 240.0


@pytest.fixture(scope="module")
def shop() -> ShopCounts:
    log = make_order_log()
    return count_shop(
        log, [p.rstrip("0123456789") for p in log.product_ids], ["m"] * len(log.product_ids), DAY
    )


@pytest.fixture(scope="module")
def candidates(shop: ShopCounts) -> dict[str, Candidate]:
    shoppers, orders = shop.by_shoppers.by_target(), shop.by_orders.by_target()
    vectors = np.eye(len(shop.product_ids), dtype=np.float32)
    vectors[shop.rows["honey"]] = 0.8 * vectors[shop.rows["tea"]] + 0.6 * vectors[shop.rows["honey"]]
    return {
        product: Candidate(
            product,
            shop.types[row],
            shop.makers[row],
            shop.popularity[row],
            shop.recent[row],
            shop.reorder[row],
            {shop.product_ids[s]: w for s, w in shoppers.get(row, {}).items()},
            {shop.product_ids[s]: w for s, w in orders.get(row, {}).items()},
            vectors[row],
        )
        for product, row in shop.rows.items()
    }


def _recommend(
    shop: ShopCounts,
    candidates: dict[str, Candidate],
    kind: RecommendationKind,
    profile: Profile | None = None,
    context: tuple[str, ...] = (),
) -> list[Recommendation]:
    request = RecommendationRequest(kind, 5, DAY, profile or Profile(), context)
    model = BehaviourModel(shop.kernels, shop.shares)
    return recommend_products(request, list(candidates.values()), candidates, model)


def test_the_next_purchase_is_the_shoppers_own_staple(
    shop: ShopCounts, candidates: dict[str, Candidate]
) -> None:
    profile = Profile()
    for week in range(8):
        profile = add_purchases(profile, ["staple3"], 180 + week * 7)
    first = _recommend(shop, candidates, RecommendationKind.NEXT_PURCHASE, profile)[0]
    assert first.id == "staple3"
    assert first.reason.describe({}) == "you buy it every 7 days"


def test_products_bought_together_name_their_source(
    shop: ShopCounts, candidates: dict[str, Candidate]
) -> None:
    first = _recommend(shop, candidates, RecommendationKind.BOUGHT_TOGETHER, context=("pasta",))[0]
    assert first.id == "sauce"
    assert first.reason.describe({"pasta": "Spaghetti"}) == "bought with Spaghetti"


def test_a_basket_is_completed_and_never_repeated(shop: ShopCounts, candidates: dict[str, Candidate]) -> None:
    result = _recommend(shop, candidates, RecommendationKind.BASKET, context=("bread", "butter", "tea"))
    assert result[0].id == "honey"
    assert not {"bread", "butter", "tea"} & {r.id for r in result}


def test_similar_products_are_those_with_near_vectors(
    shop: ShopCounts, candidates: dict[str, Candidate]
) -> None:
    first = _recommend(shop, candidates, RecommendationKind.SIMILAR, context=("tea",))[0]
    assert (first.id, first.reason.describe({})) == ("honey", "like tea")


def test_products_without_a_vector_come_after_those_that_are_similar(shop: ShopCounts) -> None:
    none, like = Candidate("none"), Candidate("like", vector=np.array([0.6, 0.8], np.float32))
    known = {"tea": Candidate("tea", vector=np.array([1, 0], np.float32))}
    for kind in (RecommendationKind.SIMILAR, RecommendationKind.SESSION):
        request = RecommendationRequest(kind, 5, DAY, context=("tea",))
        model = BehaviourModel(shop.kernels, shop.shares)
        ranked = recommend_products(request, [none, like], known, model)
        assert [each.id for each in ranked] == ["like", "none"]
        assert [each.id for each in recommend_products(request, [none], known, model)] == ["none"]


def test_a_session_follows_what_was_viewed_last(shop: ShopCounts, candidates: dict[str, Candidate]) -> None:
    result = _recommend(shop, candidates, RecommendationKind.SESSION, context=("bread", "pasta"))
    assert [r.id for r in result[:2]] == ["sauce", "butter"]


def test_a_shopper_who_only_viewed_gets_their_session(
    shop: ShopCounts, candidates: dict[str, Candidate]
) -> None:
    profile = add_views(Profile(), ["tea"], DAY)
    assert _recommend(shop, candidates, RecommendationKind.NEXT_PURCHASE, profile)[0].id == "honey"


def test_an_unknown_shopper_gets_what_is_popular(shop: ShopCounts, candidates: dict[str, Candidate]) -> None:
    result = _recommend(shop, candidates, RecommendationKind.NEXT_PURCHASE)
    assert candidates[result[0].id].popularity == shop.popularity.max()
    assert {r.reason.kind for r in result} == {"popular"}


def test_what_is_bought_more_than_usual_is_trending(
    shop: ShopCounts, candidates: dict[str, Candidate]
) -> None:
    rising = {**candidates, "new lamp": Candidate("new lamp", recent=60.0, popularity=62.0)}
    first = _recommend(shop, rising, RecommendationKind.TRENDING)[0]
    assert first.id == "new lamp"
    assert first.reason.kind == "trending"


def test_a_product_that_nobody_bought_is_reached_by_its_vector(
    shop: ShopCounts, candidates: dict[str, Candidate]
) -> None:
    new = {**candidates, "new tea": Candidate("new tea", vector=candidates["tea"].vector)}
    found = _recommend(shop, new, RecommendationKind.SESSION, context=("tea",))
    assert "new tea" in {r.id for r in found}


def test_a_session_that_nothing_follows_gets_what_is_popular(shop: ShopCounts) -> None:
    pool = {name: Candidate(name, popularity=count) for name, count in (("a", 1.0), ("b", 5.0))}
    result = _recommend(shop, pool, RecommendationKind.SESSION, context=("unknown",))
    assert [r.id for r in result] == ["b", "a"]


def test_a_trained_scorer_does_not_guess_about_what_nobody_bought(
    shop: ShopCounts, candidates: dict[str, Candidate]
) -> None:
    size = len(BEHAVIOUR_FEATURES)
    ones = np.ones(size, np.float32)
    hidden = np.zeros((size, BEHAVIOUR_UNITS), np.float32)
    hidden[BEHAVIOUR_FEATURES.index("popularity")] = -1
    bias, output = np.full(BEHAVIOUR_UNITS, 9, np.float32), np.ones(BEHAVIOUR_UNITS, np.float32)
    scorer = BehaviourScorer(0 * ones, ones, hidden, bias, output, 0.0)  # the less popular, the better
    model = BehaviourModel(shop.kernels, shop.shares, scorer)
    request = RecommendationRequest(
        RecommendationKind.NEXT_PURCHASE, 100, DAY, add_purchases(Profile(), ["tea"], DAY)
    )
    result = recommend_products(request, [Candidate("new"), *candidates.values()], candidates, model)
    assert result[0].id != "new"
    assert [r.score for r in result if r.id == "new"] == [result[-1].score]


def test_new_products_are_ranked_by_what_was_bought_of_their_like(
    shop: ShopCounts, candidates: dict[str, Candidate]
) -> None:
    new = [
        Candidate(name, kind, by_shoppers={source: 0.02}, borrowed=True)
        for name, kind, source in (("new nail", "nail", "hammer"), ("new tea", "tea", "tea"))
    ]
    request = RecommendationRequest(
        RecommendationKind.NEXT_PURCHASE, 100, DAY, add_purchases(Profile(), ["tea"], DAY)
    )
    model = BehaviourModel(shop.kernels, shop.shares)
    result = recommend_products(request, [*new, *candidates.values()], candidates, model)
    assert [each.id for each in result[-2:]] == ["new tea", "new nail"]
    assert result[-2].reason.describe({"tea": "Tea"}) == "like Tea"
    alone = recommend_products(request, new, candidates, model)  # a filter may leave nothing else
    assert [each.id for each in alone] == ["new tea", "new nail"]


def test_what_is_boosted_may_still_be_diverse(shop: ShopCounts) -> None:
    def make(name: str, cosine: float) -> Candidate:
        return Candidate(name, vector=np.array([cosine, (1 - cosine**2) ** 0.5], np.float32))

    pool = [make("same", 1.0), make("again", 0.999), make("other", 0.1)]
    known = {"tea": Candidate("tea", vector=np.array([1, 0], np.float32))}
    model = BehaviourModel(shop.kernels, shop.shares)
    request = RecommendationRequest(
        RecommendationKind.SIMILAR, 2, DAY, context=("tea",), diversity=0.5, boosts={"again": 5.0}
    )
    ranked = [each.id for each in recommend_products(request, pool, known, model)]
    assert ranked == ["again", "other"]


def test_no_candidates_give_no_recommendations(shop: ShopCounts) -> None:
    assert _recommend(shop, {}, RecommendationKind.NEXT_PURCHASE) == []
