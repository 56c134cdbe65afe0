"""Rerank one search: encode its query, gather candidates, fuse and score them, fetch the page."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.deadline import Deadline
from plugin_api.search.experiment import Experiment
from plugin_api.search.failures import find_cause
from plugin_api.search.hit_key import HitKey
from plugin_api.search.memory.ranking_cache import RankingCache, RankingKey
from plugin_api.search.models import SearchModels
from plugin_api.search.query.types import AddWhen, RerankRequest
from plugin_api.search.ranking import Additions, RankedHits, RankedPage, append_rest, collapse, rank
from plugin_api.search.reasons import NotReranked, Reason
from plugin_api.search.report import StageTimes
from plugin_api.search.result_set import ResultSets
from plugin_api.search.retrieval.caller_client import CallerClient
from plugin_api.search.retrieval.candidates import Candidates, gather, gather_neighbours
from plugin_api.search.retrieval.gathering import Gathering
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.retrieval.page import (
    copy_shell,
    fetch_hits,
    fetch_order,
    fetch_page,
    grow_total,
    has_exact_total,
)
from plugin_api.search.retrieval.vector_cache import CallerVectors, VectorCache
from plugin_api.search.window import ScoredWindow, calibrate_scores, list_candidates, order_window
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.personaliser import Personaliser, ShopperHistory, apply_behaviour
from reranker.behaviour.attention import encode_recent_texts
from reranker.behaviour.popularity import weigh_priors
from reranker.behaviour.window_products import StoredHit
from reranker.text.query_type import is_identifier
from reranker.types import EncodedQuery, Reranker

_PROFILE_SHARE = 0.5
"""Share of the time that is left in which a shopper's profile must be read."""


class SearchReranker:
    """Reranks searches. Thread-safe; share one among all requests of a process."""

    def __init__(
        self,
        client: OpenSearchClient,
        models: SearchModels,
        vectors: VectorCache,
        rankings: RankingCache,
        result_sets: ResultSets,
        personaliser: Personaliser,
        experiment: Experiment,
    ) -> None:
        self._client, self._models, self._personaliser = client, models, personaliser
        self._experiment = experiment
        self._vectors, self._rankings, self._result_sets = vectors, rankings, result_sets

    def rerank(self, request: RerankRequest, deadline: Deadline) -> RankedPage:
        """Rerank a search. Raises NotReranked, and BadRequest where `ext.attune` names an unknown model."""
        model = self._models.choose(request)
        caller = CallerClient(self._client, request.call, request.params, deadline)
        try:
            # A profile changes with every purchase, and no fingerprint of the index tells of it.
            key = None if request.is_personal else self._rankings.key(request)
            page = self._cached_page(request, caller, key) if key else None
            return page or self._new_page(request, model, caller, key)
        except NotReranked:
            raise
        except Exception as error:  # the shopper still gets OpenSearch's own hits
            raise NotReranked(find_cause(error, deadline)) from error

    def _cached_page(
        self, request: RerankRequest, caller: CallerClient, key: RankingKey
    ) -> RankedPage | None:
        """Return a page of a cached ranking; None where there is none that still holds."""
        cached = self._rankings.get(key)
        if cached is None or (request.end > len(cached.value.hits) and not cached.value.complete):
            return None
        assigned = self._experiment.assign(request)
        if cached.value.variant != (assigned.variant if assigned else None):
            return None
        started, ranked = time.perf_counter(), cached.value
        keys = [hit.key for hit in ranked.page(request)]
        page = fetch_page(caller, request, ranked.additions.keys, keys, key.shards, ranked.shell)
        self._rankings.observe(key, page.fingerprint)
        if page.fingerprint.digest != cached.digest or page.hits.keys() != set(keys):
            return None
        took = StageTimes(fetch=_milliseconds(started, time.perf_counter()))
        experiment = self._experiment.describe(request, ranked, took)
        return RankedPage(ranked, page.hits, page.shell, page.headers, took, request, True, experiment)

    def _new_page(
        self,
        request: RerankRequest,
        model: Reranker,
        caller: CallerClient,
        key: RankingKey | None,
        is_retry: bool = False,
    ) -> RankedPage:
        """Return a page that is ranked now."""
        started = time.perf_counter()
        query = self._models.encode(model, request.text, caller.deadline)
        encoded = time.perf_counter()
        new = self._rankings.begin(key)
        vectors = CallerVectors(self._vectors, request.call.caller_key, model.is_readable)
        how = Gathering.by(vectors, new.shards)
        window = request.settings.window
        vector = query.vector if request.add_when is AddWhen.ALWAYS else None
        candidates = gather(caller, request, vector, window, how)
        rescued = False
        if self._needs_more(request, candidates, caller):
            more = gather_neighbours(caller, request, query.vector, window, how)
            candidates = replace(
                candidates,
                neighbours=more.neighbours,
                near_satisfying=more.near_satisfying,
                neighbours_error=more.neighbours_error,
            )
            rescued = request.add_when is AddWhen.NOTHING_FOUND
        gathered = time.perf_counter()
        other = self._models.choose_for(request, model, (*candidates.own, *candidates.neighbours))
        if other is not model:
            return self._new_page(request, other, caller, key, is_retry)
        _check(candidates)
        ranked = self._rank(request, model, query, candidates, caller.deadline, rescued)
        scored = time.perf_counter()
        if request.end > len(ranked.hits) and not ranked.complete:
            ranked = self._with_rest(request, candidates, ranked, caller)
        keys = [hit.key for hit in ranked.page(request)]
        if candidates.complete:
            hits, shell, headers = candidates.complete.hits, candidates.complete.shell, candidates.headers
        elif candidates.shell is not None:
            added = _list_added(candidates, ranked) if has_exact_total(candidates.shell) else []
            doubtful = added if len(candidates.own) >= window else []
            hits, own = fetch_hits(caller, request, ranked.additions.keys, keys, doubtful)
            shell = grow_total(candidates.shell, len(added) - own) if added else candidates.shell
            headers = candidates.headers
            if not any(name.casefold() == "warning" for name, _ in headers):  # it comes with every search
                ranked = replace(ranked, shell=copy_shell(shell))
        else:
            page = fetch_page(caller, request, ranked.additions.keys, keys)
            hits, shell, headers = page.hits, page.shell, page.headers
        if keys and not hits and not is_retry:  # the alias was moved to another index meanwhile
            return self._new_page(request, model, caller, key, is_retry=True)
        self._rankings.finish(new, candidates.fingerprint, ranked)
        times = (started, encoded, gathered, scored, time.perf_counter())
        took = StageTimes(*map(_milliseconds, times, times[1:]))
        experiment = self._experiment.describe(request, ranked, took)
        return RankedPage(ranked, hits, shell, headers, took, request, experiment=experiment)

    def _needs_more(self, request: RerankRequest, candidates: Candidates, caller: CallerClient) -> bool:
        """Return whether the text finds so little that products are added."""
        may_add = request.add_when in (AddWhen.FEW_FOUND, AddWhen.NOTHING_FOUND)
        return (
            may_add
            and len(candidates.own) < request.min_hits
            and self._result_sets.finds_few(request, caller)
        )

    def _rank(
        self,
        request: RerankRequest,
        model: Reranker,
        query: EncodedQuery,
        candidates: Candidates,
        deadline: Deadline,
        rescued: bool,
    ) -> RankedHits:
        """Return the order of the window, and what the vectors add to the result set.

        Two rankings of an experiment are made of one profile, and of one scoring where they weigh the heads
        alike.
        """
        score = cache(partial(self._models.score, model, query, list_candidates(candidates)))
        read_history = cache(partial(self._read_history, request, model, query, deadline))
        return self._experiment.rank(
            request,
            lambda varied: self._order(
                varied,
                model,
                query,
                candidates,
                score(varied.settings.head_weights, deadline),
                read_history(),
                rescued,
            ),
        )

    def _order(
        self,
        request: RerankRequest,
        model: Reranker,
        query: EncodedQuery,
        candidates: Candidates,
        probability: Mapping[HitKey, float],
        shopper: ShopperHistory,
        rescued: bool,
    ) -> RankedHits:
        """Return the order of the window by the settings of the request."""
        window = order_window(request, query, candidates, probability)
        weighed, reasons = self._apply_behaviour(request, query, window, shopper)
        behaviour = {hit.key: parts for hit, parts in zip(window.hits, reasons, strict=False) if parts}
        shown = calibrate_scores(request, query, weighed)
        hits = rank(candidates.own, window.hits, weighed, shown)
        if request.collapse_field and not request.fixed:  # OpenSearch has collapsed a search sent whole
            hits = collapse(hits)
        added = window.added
        additions = Additions(() if request.query.optional else added, rescued and bool(added))
        unscored = sum(not hit.vectors for hit in candidates.own)
        return RankedHits(
            tuple(hits), len(window.hits), unscored, model.version, additions, window.is_all, behaviour
        )

    def _apply_behaviour(
        self, request: RerankRequest, query: EncodedQuery, window: ScoredWindow, shopper: ShopperHistory
    ) -> tuple[list[float], Sequence[Mapping[str, float]]]:
        """Return the scores of a window with what behaviour adds, and by feature what it added to each hit.

        Behaviour does not move the hits of a query that is an identifier.
        """
        bound = 0.0 if is_identifier(request.text) else request.settings.popularity
        popular: list[float] = weigh_priors([hit.prior for hit in window.hits], bound).tolist()
        known = shopper.profile.bought or shopper.profile.viewed or shopper.texts
        if not known and not any(popular):
            return window.scores, ()
        hits = [
            StoredHit(hit.id, hit.vectors, rank, popularity, hit.price)
            for hit, rank, popularity in zip(window.hits, window.ranks, popular, strict=True)
        ]
        return apply_behaviour(shopper, request.settings.user_strength, query, hits, window.scores)

    def _with_rest(
        self, request: RerankRequest, candidates: Candidates, ranked: RankedHits, caller: CallerClient
    ) -> RankedHits:
        """Return the order down to the end of a page that lies below the window."""
        order: tuple[Hit, ...]
        if candidates.complete:
            order = (*candidates.own, *candidates.complete.below)
        else:
            order = fetch_order(caller, request, ranked.additions.keys, request.end)
        hits = append_rest(ranked.hits, order, bool(request.collapse_field) and not request.fixed)
        return replace(ranked, hits=tuple(hits), complete=False)

    def _read_history(
        self, request: RerankRequest, model: Reranker, query: EncodedQuery, deadline: Deadline
    ) -> ShopperHistory:
        """Return what a search is ranked by of its shopper; nothing where it is not personal."""
        if not request.is_personal or is_identifier(request.text):
            return ShopperHistory()
        limit = Deadline.after(_PROFILE_SHARE * (deadline.at - time.monotonic()))
        profile = self._personaliser.read(request.options.user, limit.at - time.monotonic())

        def encode(text: str) -> EncodedQuery | None:
            try:
                return self._models.encode(model, text, limit)
            except NotReranked:
                return None

        return ShopperHistory(
            profile, encode_recent_texts(profile, query, time.time() / SECONDS_A_DAY, encode)
        )


def _check(candidates: Candidates) -> None:
    """Raise NotReranked where the hits can't be ranked."""
    if not all(hit.id for hit in candidates.own):  # neither `_id` was requested nor is there an `attune.key`
        raise NotReranked(Reason.HITS_WITHOUT_ID.because())
    if candidates.own and not any(hit.vectors for hit in (*candidates.own, *candidates.neighbours)):
        raise NotReranked(Reason.NOT_INDEXED.because())
    if candidates.neighbours_error:
        raise NotReranked(Reason.KNN_FAILED.because(error=candidates.neighbours_error))


def _list_added(candidates: Candidates, ranked: RankedHits) -> list[HitKey]:
    """Return the hits that are not among the best of the caller's own query, but may be further down."""
    own, added = {hit.key for hit in candidates.own}, set(ranked.additions.keys)
    return [hit.key for hit in candidates.neighbours if hit.meets and hit.key in added and hit.key not in own]


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 2)
