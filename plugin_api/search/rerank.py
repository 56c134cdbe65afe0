"""Rerank one search: encode its query, gather candidates, fuse and score them, fetch the page."""

import itertools
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

from cachetools import LRUCache, cachedmethod

from mappings.errors import BadRequest, ClusterDown, ModelError
from mappings.settings import SearchSettings, Settings
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.request import RerankRequest
from plugin_api.search.ranking import RankedHits, RankedPage, rank
from plugin_api.search.ranking_cache import SETTLE_SECONDS, RankingCache, RankingKey
from plugin_api.search.reasons import NotReranked, Reason, RerankStatus
from plugin_api.search.report import RerankReport, StageTimes
from plugin_api.search.retrieval.caller_client import CallerClient
from plugin_api.search.retrieval.candidates import fetch_page, gather
from plugin_api.search.retrieval.fusion import fuse
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.retrieval.vector_cache import CallerVectors, VectorCache
from reranker.keyword_evidence import add_keyword_evidence
from reranker.text.intent import strip_intent
from reranker.types import EncodedQuery, Reranker

_P = ParamSpec("_P")
_R = TypeVar("_R")
_log = logging.getLogger("attune")

MAX_UNKNOWN_SHARE = 0.5
"""Share of a query's tokens that the model may not know: from there on its vector says too little."""

_QUERY_CACHE_BYTES = 8_000_000
"""Bytes of the queries that were encoded last, some thousands: shoppers type the same few again and again."""


@dataclass(frozen=True, slots=True)
class RerankTask:
    """One search to rerank, with the model and the settings that it is reranked by."""

    request: RerankRequest
    model: Reranker
    settings: SearchSettings
    caller_key: str
    deadline: Deadline


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

    def prepare(self, request: RerankRequest, caller_key: str, deadline: Deadline) -> RerankTask:
        """Return the task that a request makes.

        Raises BadRequest where `ext.attune` names a model that is not loaded, or weights of 0.
        """
        version = request.options.model or self._reranker.version
        if version not in self._models:
            raise BadRequest(
                f"ext.attune.model: {version} is not loaded; there are: {', '.join(self.models)}"
            )
        settings = request.options.over(self._settings.search)
        return RerankTask(request, self._models[version], settings, caller_key, deadline)

    def rerank(self, task: RerankTask) -> RankedPage:
        """Rerank a search. Raises NotReranked."""
        key = self._rankings.key(task.request, task.caller_key, task.settings.window)
        cached = self._cached_page(task, key) if key else None
        return cached or self._new_page(task, key)

    def _cached_page(self, task: RerankTask, key: RankingKey) -> RankedPage | None:
        """Return a page of a cached ranking; None where there is none that still holds."""
        cached = self._rankings.get(key)
        if cached is None:
            return None
        started = time.perf_counter()
        ranked, keys = cached.ranked, [hit.key for hit in cached.ranked.page(task.request)]
        with _stage("fetching the page", task.deadline):
            page = fetch_page(self._caller(task), task.request, keys, with_fingerprint=True)
        self._rankings.observe(key, page.fingerprint)
        if page.fingerprint != cached.fingerprint or page.hits.keys() != set(keys):
            return None
        took = StageTimes(fetch=_milliseconds(started, time.perf_counter()))
        return RankedPage(ranked, page.hits, _report(ranked, took, cached=True))

    def _new_page(self, task: RerankTask, key: RankingKey | None, is_retry: bool = False) -> RankedPage:
        """Return a page that is ranked now."""
        request, model, settings, started = task.request, task.model, task.settings, time.perf_counter()
        with _stage("encoding the query", task.deadline):
            query = self._encode(model, request.text, task.deadline)
        if query.unknown >= MAX_UNKNOWN_SHARE:
            share = f"{query.unknown:.0%}"
            raise NotReranked(Reason.UNKNOWN_WORDS.because(model=model.version, share=share))
        encoded = time.perf_counter()
        settled = self._rankings.settled_fingerprint(key) if key else b""
        vectors = CallerVectors(self._vectors, task.caller_key)
        with _stage("gathering candidates", task.deadline):
            found = gather(
                self._caller(task), request, query.vector, settings.window, key is not None, vectors
            )
        gathered = time.perf_counter()
        for hit in (*found.own, *found.neighbours):
            if hit.model and hit.model != model.version:
                return self._new_page(replace(task, model=self._other_model(task, hit)), key, is_retry)
        if found.neighbours_error:
            raise NotReranked(Reason.KNN_FAILED.because(error=found.neighbours_error))
        with _stage("scoring", task.deadline):
            own, near = ([hit for hit in hits if hit.vectors] for hits in (found.own, found.neighbours))
            if not own and not near and found.own:
                raise NotReranked(Reason.NOT_INDEXED.because())
            window = fuse(own, near, settings, strip_intent(query.text))
            probabilities = self._score(task, query, window)
            ranked = rank(found, window, probabilities, model.version)
        scored = time.perf_counter()
        keys = [hit.key for hit in ranked.page(request)]
        with _stage("fetching the page", task.deadline):
            hits = found.complete_hits
            if hits is None:
                hits = fetch_page(self._caller(task), request, keys).hits
        if keys and not hits and not is_retry:  # the alias was moved to another index meanwhile
            return self._new_page(task, key, is_retry=True)
        if key:
            self._rankings.observe(key, found.fingerprint)
            if settled and found.fingerprint == settled:
                self._rankings.put(key, ranked, settled)
        times = (started, encoded, gathered, scored, time.perf_counter())
        took = StageTimes(*(_milliseconds(*pair) for pair in itertools.pairwise(times)))
        return RankedPage(ranked, hits, _report(ranked, took))

    def _caller(self, task: RerankTask) -> CallerClient:
        return CallerClient(self._client, task.request.call, task.request.params, task.deadline)

    @cachedmethod(
        lambda self: self._queries,
        key=lambda _self, model, text, _deadline: (model.version, text),
        lock=lambda self: self._lock,
    )
    def _encode(self, model: Reranker, text: str, deadline: Deadline) -> EncodedQuery:
        return self._run(deadline, model.encode_query, text)

    def _other_model(self, task: RerankTask, hit: Hit) -> Reranker:
        """Return the model that encoded a hit's index. Raises NotReranked where it may not be used."""
        may_change = not task.request.options.model and task.model is self._reranker
        if not may_change or hit.model not in self._models:
            details = {"index": hit.index, "made_with": hit.model, "model": task.model.version}
            raise NotReranked(Reason.MODEL_MISMATCH.because(**details))
        return self._models[hit.model]

    def _score(self, task: RerankTask, query: EncodedQuery, window: Sequence[Hit]) -> list[float]:
        """Return the probability that each hit of the window answers the query."""
        if not window:
            return []
        settings = task.settings
        heads = settings.relevance_weight, settings.click_weight, settings.purchase_weight
        stored = [hit.vectors for hit in window]
        scores = self._run(task.deadline, task.model.score, query, stored, heads).tolist()
        if len(scores) != len(window) or not all(map(math.isfinite, scores)):
            raise ModelError(f"model {task.model.version} returned scores that are not probabilities")
        return add_keyword_evidence(scores, [hit.keyword_score for hit in window], settings.keyword_weight)

    def _run(self, deadline: Deadline, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run `work` on the model's threads. Raises TimeoutError when the deadline passes first."""
        future: Future[_R] = self._executor.submit(work, *args, **kwargs)
        try:
            return future.result(timeout=deadline.remaining())
        except TimeoutError:
            future.cancel()
            raise


@contextmanager
def _stage(name: str, deadline: Deadline) -> Iterator[None]:
    """Turn whatever fails in a stage into NotReranked: the shopper still gets OpenSearch's own hits."""
    try:
        yield
    except NotReranked:
        raise
    except TimeoutError as error:
        milliseconds = round(deadline.seconds * 1000)
        raise NotReranked(Reason.DEADLINE.because(stage=name, milliseconds=milliseconds)) from error
    except ClusterDown as error:  # or so it seems: the fallback will tell
        raise NotReranked(Reason.OPENSEARCH_DOWN.because(error=error)) from error
    except ModelError as error:
        raise NotReranked(Reason.MODEL_ERROR.because(error=error)) from error
    except Exception as error:
        # The message may quote the search: it is in the answer to the caller, not in the log.
        _log.warning("%s failed: %s", name, type(error).__name__)
        sentence = str(error) or type(error).__name__
        raise NotReranked(Reason.INTERNAL_ERROR.because(stage=name, error=sentence)) from error


def _report(ranked: RankedHits, took: StageTimes, cached: bool = False) -> RerankReport:
    return RerankReport(
        RerankStatus.RERANKED,
        ranked.model,
        window=ranked.scored,
        took_ms=took,
        cached=cached,
        without_vectors=ranked.without_vectors,
    )


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 2)


def _query_bytes(query: EncodedQuery) -> int:
    return 500 + query.vector.nbytes + query.tokens.nbytes + 100 * len(query.words) + 4 * len(query.text)
