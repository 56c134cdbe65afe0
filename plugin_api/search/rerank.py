"""Rerank one search: encode its query, gather candidates, fuse and score them, fetch the page."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from cachetools import LRUCache, cachedmethod

from mappings.errors import BadRequest, ClusterDown, ModelError
from mappings.settings import Settings
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.types import RerankRequest
from plugin_api.search.ranking import RankedHits, RankedPage
from plugin_api.search.ranking_cache import SETTLE_SECONDS, RankingCache, RankingKey
from plugin_api.search.reasons import Cause, NotReranked, Reason
from plugin_api.search.report import StageTimes
from plugin_api.search.retrieval.caller_client import CallerClient, OpenSearchLate, SearchRefused
from plugin_api.search.retrieval.candidates import Candidates, fetch_fresh_page, fetch_page, gather
from plugin_api.search.retrieval.fusion import fuse
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.retrieval.vector_cache import CallerVectors, VectorCache
from reranker.keyword_evidence import add_keyword_evidence
from reranker.types import EncodedQuery, Reranker

_P = ParamSpec("_P")
_R = TypeVar("_R")
_log = logging.getLogger("attune")

MAX_UNKNOWN_SHARE = 0.5
"""Share of a query's tokens that the model may not know: from there on its vector says too little."""

_QUERY_CACHE_BYTES = 8_000_000
"""Bytes of the queries that were encoded last, some thousands: shoppers type the same few again and again."""


class SearchReranker:
    """Reranks searches. Thread-safe; share one among all requests of a process.

    `others` are models that serve the indexes they encoded; all other indexes are `reranker`'s.
    """

    def __init__(
        self,
        client: OpenSearchClient,
        reranker: Reranker,
        others: Sequence[Reranker],
        settings: Settings,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._client = client
        self._reranker = reranker
        self._models = {model.version: model for model in (*others, reranker)}
        self._settings = settings
        self._lock = threading.Lock()
        self._queries: LRUCache[tuple[str, str], EncodedQuery] = LRUCache(_QUERY_CACHE_BYTES, _query_bytes)
        self._vectors = VectorCache()
        self._rankings = RankingCache(settings.search.cache_seconds, settle_seconds)
        # The model runs here so that a request can stop waiting for it; more threads than cores would only
        # make all of them late together.
        cores = min(settings.sidecar.threads, os.cpu_count() or 1)
        self._executor = ThreadPoolExecutor(cores, thread_name_prefix="attune-model")

    @property
    def models(self) -> tuple[str, ...]:
        """Versions of the loaded models, the default one first."""
        return tuple(dict.fromkeys((self._reranker.version, *self._models)))

    def rerank(self, request: RerankRequest, caller_key: str, deadline: Deadline) -> RankedPage:
        """Rerank a search. Raises NotReranked, and BadRequest where `ext.attune` names an unknown model."""
        version = request.options.model or self._reranker.version
        if version not in self._models:
            loaded = ", ".join(self.models)
            raise BadRequest(f"ext.attune.model: {version} is not loaded; there are: {loaded}")
        caller = CallerClient(self._client, request.call, request.params, deadline)
        try:
            key = self._rankings.key(request, caller_key)
            page = self._cached_page(request, caller, key) if key else None
            return page or self._new_page(request, self._models[version], caller, caller_key, key)
        except NotReranked:
            raise
        except Exception as error:  # the shopper still gets OpenSearch's own hits
            raise NotReranked(_cause_of(error, deadline)) from error

    def _cached_page(
        self, request: RerankRequest, caller: CallerClient, key: RankingKey
    ) -> RankedPage | None:
        """Return a page of a cached ranking; None where there is none that still holds."""
        cached = self._rankings.get(key)
        if cached is None:
            return None
        started = time.perf_counter()
        keys = [hit.key for hit in cached.ranked.page(request)]
        page = fetch_fresh_page(caller, request, keys, key.shards)
        self._rankings.observe(key, page.fingerprint)
        if page.fingerprint.digest != cached.digest or page.hits.keys() != set(keys):
            return None
        took = StageTimes(fetch=_milliseconds(started, time.perf_counter()))
        return RankedPage(cached.ranked, page.hits, page.shell, page.headers, took, cached=True)

    def _new_page(
        self,
        request: RerankRequest,
        model: Reranker,
        caller: CallerClient,
        caller_key: str,
        key: RankingKey | None,
        is_retry: bool = False,
    ) -> RankedPage:
        """Return a page that is ranked now."""
        settings, started = request.settings, time.perf_counter()
        query = self._encode(model, request.text, caller.deadline)
        if query.unknown >= MAX_UNKNOWN_SHARE:
            share = f"{query.unknown:.0%}"
            raise NotReranked(Reason.UNKNOWN_WORDS.because(model=model.version, share=share))
        encoded = time.perf_counter()
        settled = self._rankings.settled_digest(key) if key else b""
        vectors = CallerVectors(self._vectors, caller_key, model.is_readable)
        found = gather(caller, request, query.vector, settings.window, key.shards if key else 0, vectors)
        gathered = time.perf_counter()
        for hit in (*found.own, *found.neighbours):
            if hit.model and hit.model != model.version:
                other = self._other_model(request, model, hit)
                return self._new_page(request, other, caller, caller_key, key, is_retry)
        if not all(hit.id for hit in found.own):  # neither `_id` was requested nor is there an `attune.id`
            raise NotReranked(Reason.HITS_WITHOUT_ID.because())
        own, near = ([hit for hit in hits if hit.vectors] for hits in (found.own, found.neighbours))
        if not own and not near and found.own:
            raise NotReranked(Reason.NOT_INDEXED.because())
        if found.neighbours_error:
            raise NotReranked(Reason.KNN_FAILED.because(error=found.neighbours_error))
        window = fuse(own, near, settings, query.query_type)
        ranked = rank(
            found, window, self._score(request, model, query, window, caller.deadline), model.version
        )
        scored = time.perf_counter()
        keys = [hit.key for hit in ranked.page(request)]
        hits = found.complete_hits
        if hits is None:
            hits = fetch_page(caller, request, keys)
        if keys and not hits and not is_retry:  # the alias was moved to another index meanwhile
            return self._new_page(request, model, caller, caller_key, key, is_retry=True)
        if key:
            self._rankings.observe(key, found.fingerprint)
            if settled and found.fingerprint.digest == settled:
                self._rankings.put(key, ranked, settled)
        times = (started, encoded, gathered, scored, time.perf_counter())
        took = StageTimes(*map(_milliseconds, times, times[1:]))
        return RankedPage(ranked, hits, found.shell, found.headers, took)

    @cachedmethod(
        lambda self: self._queries,
        key=lambda _self, model, text, _deadline: (model.version, text),
        lock=lambda self: self._lock,
    )
    def _encode(self, model: Reranker, text: str, deadline: Deadline) -> EncodedQuery:
        return self._run("encoding the query", deadline, model.encode_query, text)

    def _other_model(self, request: RerankRequest, model: Reranker, hit: Hit) -> Reranker:
        """Return the model that encoded a hit's index. Raises NotReranked where it may not be used."""
        may_change = not request.options.model and model is self._reranker
        if not may_change or hit.model not in self._models:
            details = {"index": hit.index, "made_with": hit.model, "model": model.version}
            raise NotReranked(Reason.MODEL_MISMATCH.because(**details))
        return self._models[hit.model]

    def _score(
        self,
        request: RerankRequest,
        model: Reranker,
        query: EncodedQuery,
        window: Sequence[Hit],
        deadline: Deadline,
    ) -> list[float]:
        """Return the probability that each hit of the window answers the query."""
        if not window:
            return []
        settings = request.settings
        heads = settings.relevance_weight, settings.click_weight, settings.purchase_weight
        stored = [hit.vectors for hit in window]
        scores = self._run("scoring", deadline, model.score, query, stored, heads).tolist()
        if len(scores) != len(window) or not all(map(math.isfinite, scores)):
            raise ModelError(f"model {model.version} returned scores that are not probabilities")
        return add_keyword_evidence(scores, [hit.keyword_score for hit in window], settings.keyword_weight)

    def _run(
        self, stage: str, deadline: Deadline, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        """Run `work` on the model's threads. Raises NotReranked when the deadline passes first."""
        future: Future[_R] = self._executor.submit(work, *args, **kwargs)
        try:
            return future.result(timeout=deadline.remaining())
        except TimeoutError as error:
            future.cancel()
            raise NotReranked(_late(stage, deadline)) from error


def rank(
    candidates: Candidates, window: Sequence[Hit], probabilities: Sequence[float], model: str
) -> RankedHits:
    """Order the window by probability; the caller's other hits follow in their own order.

    Below the window a score is the window's lowest divided by 2, 3, 4 …, so that scores never rise down the
    list, on any page. A hit that has no vectors keeps its place in the caller's order, with the score of the
    hit above it.
    """
    hits = [hit.with_score(score) for hit, score in zip(window, probabilities, strict=True)]
    hits.sort(key=lambda hit: hit.score, reverse=True)
    inside = {hit.key for hit in hits}
    lowest = hits[-1].score if hits else 0.0
    rest = [hit for hit in candidates.own if hit.vectors and hit.key not in inside]
    rest += [hit for hit in candidates.below if hit.key not in inside]
    hits += [hit.with_score(lowest / n) for n, hit in enumerate(rest, start=2)]
    unscored = [(place, hit) for place, hit in enumerate(candidates.own) if not hit.vectors]
    for place, hit in unscored:
        above = hits[max(place - 1, 0)].score if hits else 0.0
        hits.insert(place, hit.with_score(above))
    added = sum(hit.is_added for hit in window)
    return RankedHits(tuple(hits), len(window), added, len(unscored), model)


def _cause_of(error: Exception, deadline: Deadline) -> Cause:
    """Return why a search was not reranked, from what failed."""
    match error:
        case SearchRefused() if error.status == 429 or error.status >= 500:
            return Reason.OPENSEARCH_ERROR.because(status=error.status, error=error.error)
        case SearchRefused():
            return Reason.SEARCH_REFUSED.because(error=error.error)
        case OpenSearchLate():
            return Reason.OPENSEARCH_LATE.because(milliseconds=round(deadline.seconds * 1000))
        case TimeoutError():
            return _late("waiting for OpenSearch", deadline)
        case ClusterDown():
            return Reason.OPENSEARCH_DOWN.because(error=error)
        case ModelError():
            return Reason.MODEL_ERROR.because(error=error)
    # The message may quote the search: it is in the answer to the caller, not in the log.
    _log.warning("reranking failed: %s", type(error).__name__)
    return Reason.INTERNAL_ERROR.because(error=str(error) or type(error).__name__)


def _late(stage: str, deadline: Deadline) -> Cause:
    return Reason.DEADLINE.because(stage=stage, milliseconds=round(deadline.seconds * 1000))


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 2)


def _query_bytes(query: EncodedQuery) -> int:
    return 500 + query.vector.nbytes + query.tokens.nbytes + 100 * len(query.words) + 4 * len(query.text)
