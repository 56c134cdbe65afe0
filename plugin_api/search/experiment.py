"""Ranks a search in other ways where an experiment is on: shows two in one list, or one of several."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, cast

from mappings.settings import Settings, list_variants, read_variant
from plugin_api.opensearch.client import OpenSearchClient, encode_credentials
from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.types import RerankRequest
from plugin_api.search.ranking import Additions, RankedHits
from plugin_api.search.report import ShownExperiment, StageTimes
from plugin_api.search.retrieval.hit import Hit
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.experiments.counts import SLOW_SHARE
from plugin_api.shoppers.experiments.tag import INTERLEAVED, ExperimentTag, Variant, write_tag
from plugin_api.shoppers.experiments.watch import ExperimentState, ExperimentWatch
from plugin_api.shoppers.pseudonyms import has_opted_out
from reranker.experiments.assignment import assign_variant
from reranker.experiments.interleaving import interleave
from reranker.understanding.kinds import QUERY_KINDS

_CONTEXTS = 2 * len(QUERY_KINDS)
"""Contexts of a bandit: the kinds of queries, of known shoppers and of others."""

_DRAW_SECONDS = 600
"""For how long a bandit draws the same variant for one shopper and text, if its probabilities stay."""

_FIRST_EXPLORED, _PAGE, _DEEPEST = 3, 10, 30
"""Exploring shows products of the places 11 to 30 at some of the places 4 to 10."""

Rank = Callable[[RerankRequest], RankedHits]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a search shows: interleaved rankings or one variant, drawn with a probability in a context."""

    variant: Variant
    propensity: float = 1.0
    context: int = 0


class Experiment:
    """The experiment of the settings, or none. Thread-safe."""

    def __init__(self, settings: Settings, client: OpenSearchClient) -> None:
        self._settings, self._key = settings.experiment, settings.shoppers.key
        self._variants: Mapping[str, dict[str, Any]] = {
            name: read_variant(text) for name, text in list_variants(settings.experiment).items()
        }
        requests = ClusterRequests(client, encode_credentials(settings.opensearch))
        slow_ms = SLOW_SHARE * settings.sidecar.deadline_ms
        self._watch = (
            ExperimentWatch(requests, settings.experiment, self._key, _CONTEXTS, slow_ms)
            if self._variants
            else None
        )

    def assign(self, request: RerankRequest) -> Assignment | None:
        """Return what a search shows; None where it takes no part.

        Searches that name no shopper take part by their text, unless shoppers are split. Those with settings
        of their own, with collapsed hits, and of shoppers who opted out take none, nor does any once all
        variants but the first are stopped.
        """
        own = self._settings
        if self._watch is None or request.options.sets_ranking or request.collapse_field:
            return None
        if has_opted_out(request.call.headers) or (own.method == "split" and not request.options.user):
            return None
        unit = _name_unit(request)
        shares = {"in": own.share, "out": 1 - own.share}
        if assign_variant(f"{own.name} takes part", unit, shares) == "out":
            return None
        state = self._watch.state
        if len(state.stopped) >= len(self._variants) - 1:
            return None
        if own.method == "interleave":
            return Assignment(INTERLEAVED)
        if own.method == "split":
            shown = assign_variant(own.name, unit, {"first": 1, "second": 1})
            return Assignment(cast(Variant, shown), 0.5)
        return self._draw(request, unit, state) if state.is_known else None

    def _draw(self, request: RerankRequest, unit: str, state: ExperimentState) -> Assignment:
        """Draw a variant by the bandit's probabilities: for a while the same for one shopper and text."""
        context = 2 * QUERY_KINDS.index(request.kind) + bool(request.options.user)
        probabilities = state.probabilities[context]
        seed = f"{self._settings.name}\0{request.text}\0{_count_periods()}"
        drawn = assign_variant(seed, unit, probabilities)
        return Assignment(cast(Variant, drawn), probabilities[drawn], context)

    def rank(self, request: RerankRequest, rank: Rank) -> RankedHits:
        """Return the ranking that a search shows, by `rank` with the settings of the variants."""
        assigned = self.assign(request)
        if assigned is None:
            return rank(request)
        seed = f"{self._settings.name}\0{_name_unit(request)}\0{request.text}"
        if assigned.variant != INTERLEAVED:
            varied = self._vary(request, assigned.variant)
            ranked = rank(varied)
            hits = explore_hits(ranked.hits, varied.settings.explore, f"{seed}\0{_count_periods()}")
            return replace(ranked, hits=hits, variant=assigned.variant)
        first, second = (rank(self._vary(request, name)) for name in self._variants)
        hits, teams = _interleave(first.hits, second.hits, seed)
        added = dict.fromkeys((*first.additions.keys, *second.additions.keys))
        return replace(
            first,
            hits=hits,
            additions=Additions(tuple(added), first.additions.rescued or second.additions.rescued),
            complete=first.complete and second.complete,
            behaviour={**second.behaviour, **first.behaviour},
            variant=INTERLEAVED,
            first_team=teams,
        )

    def _vary(self, request: RerankRequest, variant: str) -> RerankRequest:
        """Return the request with a variant's settings in place of those of its index."""
        return replace(request, settings=replace(request.settings, **self._variants[variant]))

    def describe(
        self, request: RerankRequest, ranked: RankedHits, took_ms: StageTimes
    ) -> ShownExperiment | None:
        """Return what the answer says of the experiment; None where it takes no part."""
        assigned = self.assign(request) if ranked.variant else None
        if assigned is None or assigned.variant != ranked.variant:  # it was drawn anew meanwhile
            return None
        interleaved = ranked.variant == INTERLEAVED
        teams = tuple(hit.key in ranked.first_team for hit in ranked.page(request)) if interleaved else ()
        tag = ExperimentTag(
            self._settings.name,
            ranked.variant,
            request.start,
            teams,
            assigned.propensity,
            assigned.context,
            int(time.time()),
            round(sum(astuple(took_ms))),
            not ranked.hits,
        )
        return ShownExperiment(tag.name, tag.variant, write_tag(tag, self._key))


def _count_periods() -> int:
    return int(time.time() / _DRAW_SECONDS)


def _name_unit(request: RerankRequest) -> str:
    return request.options.user or request.text


def _interleave(
    first: Sequence[Hit], second: Sequence[Hit], seed: str
) -> tuple[tuple[Hit, ...], frozenset[HitKey]]:
    """Return hits of both rankings in one list, and those that the first put there.

    Scores are those of the hits in falling order: the list is not sorted by its own.
    """
    by_name = {"\0".join(hit.key): hit for hit in (*second, *first)}
    names = [["\0".join(hit.key) for hit in hits] for hits in (first, second)]
    mixed = interleave(names[0], names[1], size=len(by_name), seed=seed)
    hits = [by_name[name] for name in mixed.ids]
    scores = sorted((hit.score for hit in hits), reverse=True)
    shown = tuple(hit.with_score(score) for hit, score in zip(hits, scores, strict=True))
    return shown, frozenset(by_name[name].key for name in mixed.first)


def explore_hits(hits: Sequence[Hit], places: int, seed: str) -> tuple[Hit, ...]:
    """Return hits with so many of the first page, from the fourth on, changed for some from below it.

    Only hits that hold as many of the query's model numbers are changed for each other. Scores stay with the
    places, so that they fall.
    """
    order = list(hits)
    coin = random.Random(seed)
    shown = coin.sample(range(_FIRST_EXPLORED, _PAGE), places)
    for place in shown:
        below = [
            at for at in range(_PAGE, min(_DEEPEST, len(order))) if hits[at].numbers == hits[place].numbers
        ]
        if place < len(order) and below:
            other = coin.choice(below)
            order[place], order[other] = order[other], order[place]
    return tuple(hit.with_score(at.score) for hit, at in zip(order, hits, strict=True))
