"""Ranks a search in two ways, where an experiment is on, and shows both in one list or one of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mappings.settings import Settings, read_variant
from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.types import RerankRequest
from plugin_api.search.ranking import Additions, RankedHits
from plugin_api.search.report import ShownExperiment
from plugin_api.search.retrieval.hit import Hit
from plugin_api.shoppers.experiment_tag import ExperimentTag, Variant, write_tag
from plugin_api.shoppers.pseudonyms import has_opted_out
from reranker.experiments.assignment import assign_variant
from reranker.experiments.interleaving import interleave

Rank = Callable[[RerankRequest], RankedHits]


class Experiment:
    """The experiment of the settings, or none. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._key = settings.experiment, settings.shoppers.key
        own = settings.experiment
        written = {"first": own.first, "second": own.second} if own.name else {}
        self._variants: Mapping[str, dict[str, Any]] = {
            key: read_variant(text) for key, text in written.items()
        }

    def assign(self, request: RerankRequest) -> Variant | None:
        """Return what a search shows; None where it takes no part.

        Searches that name no shopper take part by their text, where rankings are interleaved. Those with
        settings of their own, with collapsed hits, and of shoppers who opted out take none.
        """
        own = self._settings
        if not own.name or request.options.sets_ranking or request.collapse_field:
            return None
        if has_opted_out(request.call.headers) or (own.method == "split" and not request.options.user):
            return None
        unit = _name_unit(request)
        shares = {"in": own.share, "out": 1 - own.share}
        if assign_variant(f"{own.name} takes part", unit, shares) == "out":
            return None
        if own.method == "interleave":
            return "interleaved"
        return "first" if assign_variant(own.name, unit, {"first": 1, "second": 1}) == "first" else "second"

    def rank(self, request: RerankRequest, rank: Rank) -> RankedHits:
        """Return the ranking that a search shows, by `rank` with the settings of the variants."""
        variant = self.assign(request)
        if variant is None:
            return rank(request)
        if variant != "interleaved":
            return replace(rank(self._vary(request, variant)), variant=variant)
        first, second = (rank(self._vary(request, key)) for key in self._variants)
        seed = f"{self._settings.name}\0{_name_unit(request)}\0{request.text}"
        hits, teams = _interleave(first.hits, second.hits, seed)
        added = dict.fromkeys((*first.additions.keys, *second.additions.keys))
        return replace(
            first,
            hits=hits,
            additions=Additions(tuple(added), first.additions.rescued or second.additions.rescued),
            complete=first.complete and second.complete,
            behaviour={**second.behaviour, **first.behaviour},
            variant=variant,
            first_team=teams,
        )

    def _vary(self, request: RerankRequest, variant: str) -> RerankRequest:
        """Return the request with a variant's settings in place of those of its index."""
        return replace(request, settings=replace(request.settings, **self._variants[variant]))

    def describe(self, request: RerankRequest, ranked: RankedHits) -> ShownExperiment | None:
        """Return what the answer says of the experiment; None where it takes no part."""
        if not ranked.variant:
            return None
        interleaved = ranked.variant == "interleaved"
        teams = tuple(hit.key in ranked.first_team for hit in ranked.page(request)) if interleaved else ()
        tag = ExperimentTag(self._settings.name, ranked.variant, request.start, teams)
        return ShownExperiment(tag.name, tag.variant, write_tag(tag, self._key))


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
