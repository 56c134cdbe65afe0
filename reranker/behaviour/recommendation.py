"""Recommendations: what candidates are scored by for each kind, and a faithful reason for each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from reranker.behaviour.counts import DECAY_DAYS, Profile
from reranker.behaviour.diversity import diversify
from reranker.behaviour.features import (
    RECENT_DECAY_DAYS,
    ProductFacts,
    Shares,
    build_behaviour_features,
)
from reranker.behaviour.likeness import score_by_likeness, score_new_products
from reranker.behaviour.reasons import RecommendationReason, explain_again, mask_parts, name_leading_parts
from reranker.behaviour.repurchase import RepurchaseKernels
from reranker.behaviour.scorer import BehaviourScorer, score_untrained
from reranker.types import Doubles, Floats

HISTORY_SHARE = 0.1
"""What one decayed purchase of one's own is worth beside the weights of a basket's products."""

SESSION_DECAY = 0.8
"""What a product viewed is worth beside the one viewed after it."""

_LIKENESS_SHARE = 0.2


class RecommendationKind(StrEnum):
    """What is recommended, and from what."""

    NEXT_PURCHASE = "next_purchase"
    """What the shopper buys next, known or new, by their history."""
    SIMILAR = "similar"
    """Products like a product, by their vectors."""
    BOUGHT_TOGETHER = "bought_together"
    """What is in the same orders as a product."""
    BASKET = "basket"
    """What completes a basket."""
    SESSION = "session"
    """What comes next after the products viewed lately."""
    TRENDING = "trending"
    """What is bought more than usual."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A product that may be recommended, and what counting says of it.

    `by_shoppers` and `by_orders` map other products to what their purchase says for this one. Where
    `borrowed`, they are products like it, since few shoppers have bought it. `vector` is None where the
    product has none.
    """

    id: str
    type: str = ""
    maker: str = ""
    popularity: float = 0.0
    recent: float = 0.0
    reorder: float = 0.0
    by_shoppers: Mapping[str, float] = field(default_factory=dict)
    by_orders: Mapping[str, float] = field(default_factory=dict)
    vector: Floats | None = None
    borrowed: bool = False


@dataclass(frozen=True, slots=True)
class RecommendationRequest:
    """What is asked for. `context` are a product, a basket, or products viewed, oldest first.

    `diversity` is 0 for the order of the scores, and up to 1 for products that differ. `boosts` lift products
    by so many standard deviations of all scores.
    """

    kind: RecommendationKind
    size: int
    day: float
    profile: Profile = field(default_factory=Profile)
    context: tuple[str, ...] = ()
    diversity: float = 0.0
    boosts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A product, its score on a scale of its own, and why it is here."""

    id: str
    score: float
    reason: RecommendationReason


@dataclass(frozen=True, slots=True, eq=False)
class BehaviourModel:
    """What a shop's orders taught: kernels, shares, and the scorer where one was trained."""

    kernels: RepurchaseKernels
    shares: Shares
    scorer: BehaviourScorer | None = None


def recommend_products(
    request: RecommendationRequest,
    candidates: Sequence[Candidate],
    known: Mapping[str, Candidate],
    model: BehaviourModel,
) -> list[Recommendation]:
    """Return the best `size` candidates, best first, each with its reason.

    `known` has what is known of the history's and the context's products. Products of the context are not
    recommended.
    """
    pool = [candidate for candidate in candidates if candidate.id not in request.context]
    if not pool:
        return []
    match request.kind:
        case RecommendationKind.NEXT_PURCHASE:
            scores, reasons = _score_next_purchase(request, pool, known, model)
        case RecommendationKind.SIMILAR:
            scores, reasons = _score_similar(request, pool, known)
        case RecommendationKind.TRENDING:
            scores, reasons = _score_trending(pool)
        case _:
            scores, reasons = _score_together(request, pool, known)
    if request.boosts:
        boosts = np.array([request.boosts.get(candidate.id, 0.0) for candidate in pool])
        scores = scores + (float(np.std(scores)) or 1.0) * boosts
    vectors = _stack(pool) if request.diversity > 0 else np.zeros((len(pool), 1), dtype=np.float32)
    rows = diversify(scores.astype(np.float32), vectors, request.size, request.diversity)
    return [Recommendation(pool[row].id, float(scores[row]), reasons[row]) for row in rows]


def _score_next_purchase(
    request: RecommendationRequest,
    pool: Sequence[Candidate],
    known: Mapping[str, Candidate],
    model: BehaviourModel,
) -> tuple[Doubles, list[RecommendationReason]]:
    """Score by the behaviour scorer; a shopper without orders by their session, then by popularity."""
    profile, day = request.profile, request.day
    if not profile.bought:
        return _score_together(request, pool, known)
    strengths = {product: float(np.sqrt(count)) for product, count in profile.counts(day).items()}
    facts = ProductFacts(
        [candidate.id for candidate in pool],
        [candidate.type for candidate in pool],
        [candidate.maker for candidate in pool],
        np.array([candidate.popularity for candidate in pool]),
        np.array([candidate.recent for candidate in pool]),
        np.array([candidate.reorder for candidate in pool]),
    )
    features = build_behaviour_features(
        profile,
        {product: (fact.type, fact.maker) for product in profile.bought if (fact := known.get(product))},
        facts,
        np.array([_weigh(candidate.by_shoppers, strengths) for candidate in pool]),
        np.array([_weigh(candidate.by_orders, strengths) for candidate in pool]),
        model.kernels,
        model.shares,
        day,
    )
    score = model.scorer.logits if model.scorer else score_untrained
    scores = score(features)
    is_new = facts.popularity <= 0
    if is_new.any():  # no example had such a product: what the scorer says is a guess
        floor = scores[~is_new].min() - 1 if not is_new.all() else 0.0
        scores = np.where(is_new, floor + score_new_products(features), scores)
    parts = name_leading_parts(
        features, scores, {name: score(masked) for name, masked in mask_parts(features).items()}
    )
    reasons = []
    for candidate, part in zip(pool, parts, strict=True):
        if part == "again":
            reasons.append(explain_again(profile.bought[candidate.id]))
        elif part == "together" or (candidate.borrowed and not candidate.popularity):
            source = _find_source((candidate.by_shoppers, candidate.by_orders), strengths)
            reasons.append(_explain_neighbour(candidate, source))
        else:
            reasons.append(RecommendationReason(part))
    return scores.astype(np.float64), reasons


def _score_together(
    request: RecommendationRequest, pool: Sequence[Candidate], known: Mapping[str, Candidate]
) -> tuple[Doubles, list[RecommendationReason]]:
    """Score by what shares orders with the context, by the shopper's own orders, then by popularity.

    In a session, likeness to what was viewed counts too, and the last product viewed most.
    """
    session = request.kind in (RecommendationKind.SESSION, RecommendationKind.NEXT_PURCHASE)
    context = request.context or tuple(request.profile.viewed)
    strengths = {
        product: SESSION_DECAY**age if session else 1.0 for age, product in enumerate(reversed(context))
    }
    own = request.profile.counts(request.day)
    together = np.array([_weigh(candidate.by_orders, strengths) for candidate in pool])
    if session:
        together += np.array([_weigh(candidate.by_shoppers, strengths) for candidate in pool])
    again = np.array([HISTORY_SHARE * own.get(candidate.id, 0.0) for candidate in pool])
    alike = np.zeros(len(pool))
    nearest = [""] * len(pool)
    sources = _select_with_vectors(strengths, known)
    if session and sources:
        vectors, source_vectors = _stack_beside(pool, sources)
        weights = np.array([strengths[source.id] for source in sources])
        alike = _LIKENESS_SHARE * score_by_likeness(vectors, source_vectors, weights)
        nearest = [sources[row].id for row in (vectors @ source_vectors.T).argmax(1)]
    popular = _popularity_share(pool)
    reasons = []
    for row, candidate in enumerate(pool):
        parts = {
            "popular": popular[row],
            "again": again[row],
            "together": together[row],
            "similar": alike[row],
        }
        kind = max(parts, key=lambda name: parts[name])
        if kind == "again":
            reasons.append(explain_again(request.profile.bought[candidate.id]))
        elif kind == "together":
            source = _find_source((candidate.by_orders, candidate.by_shoppers), strengths)
            reasons.append(_explain_neighbour(candidate, source))
        elif kind == "similar":
            reasons.append(RecommendationReason("similar", (nearest[row],)))
        else:
            reasons.append(RecommendationReason("popular"))
    return together + again + alike + popular, reasons


def _score_similar(
    request: RecommendationRequest, pool: Sequence[Candidate], known: Mapping[str, Candidate]
) -> tuple[Doubles, list[RecommendationReason]]:
    """Score by the cosine to the nearest product of the context; popularity breaks ties."""
    sources = _select_with_vectors(request.context, known)
    if not sources:
        return _popularity_share(pool), [RecommendationReason("popular")] * len(pool)
    vectors, source_vectors = _stack_beside(pool, sources)
    cosines = (vectors @ source_vectors.T).astype(np.float64)  # (n, m)
    reasons = [RecommendationReason("similar", (sources[row].id,)) for row in cosines.argmax(1)]
    return cosines.max(1) + 1e-3 * _popularity_share(pool), reasons


def _score_trending(pool: Sequence[Candidate]) -> tuple[Doubles, list[RecommendationReason]]:
    """Score by how many standard deviations recent purchases are above what older ones let expect."""
    recent = np.array([candidate.recent for candidate in pool])
    usual = np.array([candidate.popularity for candidate in pool]) * (RECENT_DECAY_DAYS / DECAY_DAYS)
    reasons = [
        RecommendationReason("trending", value=round(float(ratio), 1))
        if ratio >= 1.1
        else RecommendationReason("popular")
        for ratio in (recent + 1) / (usual + 1)
    ]
    return (recent - usual) / np.sqrt(usual + 1), reasons


def _weigh(weights: Mapping[str, float], strengths: Mapping[str, float]) -> float:
    return float(sum(weight * strengths[p] for p, weight in weights.items() if p in strengths))


def _explain_neighbour(candidate: Candidate, source: str) -> RecommendationReason:
    if candidate.borrowed and source:
        return RecommendationReason("similar", (source,))
    return RecommendationReason("together", (source,) if source else ())


def _find_source(weights: Sequence[Mapping[str, float]], strengths: Mapping[str, float]) -> str:
    """Return the product that speaks most by the first weights by which any does; empty where none does."""
    for table in weights:
        parts = {p: weight * strengths[p] for p, weight in table.items() if p in strengths}
        if parts:
            return max(parts, key=lambda product: parts[product])
    return ""


def _select_with_vectors(products: Iterable[str], known: Mapping[str, Candidate]) -> list[Candidate]:
    return [known[product] for product in products if product in known and known[product].vector is not None]


def _popularity_share(pool: Sequence[Candidate]) -> Doubles:
    popularity = np.array([candidate.popularity for candidate in pool])
    return 1e-3 * popularity / max(float(popularity.max()), 1.0)


def _stack_beside(pool: Sequence[Candidate], sources: Sequence[Candidate]) -> tuple[Floats, Floats]:
    """Return the vectors (n, d) of the pool and (m, d) of the sources, zero where one has none."""
    vectors = _stack([*sources, *pool])
    return vectors[len(sources) :], vectors[: len(sources)]


def _stack(products: Sequence[Candidate]) -> Floats:
    """Return the vectors (n, d) of products, zero where one has none."""
    width = next((len(product.vector) for product in products if product.vector is not None), 1)
    none = np.zeros(width, dtype=np.float32)
    return np.stack([none if product.vector is None else product.vector for product in products])
