"""Reranking one search: its query encoded, candidates gathered, fused and scored, the page fetched."""

import logging
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

from mappings import fields
from mappings.errors import BadRequest, ClusterDown, ModelError, ModelMismatch, UnreadableQuery
from mappings.settings import SearchSettings, Settings
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.raw_json import decoded
from plugin_api.search import response
from plugin_api.search.query.request import RerankRequest
from plugin_api.search.query_cache import Encodings
from plugin_api.search.ranking_cache import Keys, RankedWindows
from plugin_api.search.response import Answer, Ranking, Report, Scored, Took
from plugin_api.search.retrieval.candidates import FirstStage, fetch, gather
from plugin_api.search.retrieval.fusion import fuse
from plugin_api.search.retrieval.vector_cache import CallersVectors, KnownVectors
from reranker.keyword_evidence import add_keyword_evidence
from reranker.text.intent import strip_intent
from reranker.types import EncodedQuery, Reranker

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger("attune")

UNREADABLE = 0.5
"""Share of a query's tokens unknown to the model from which on its vector says too little."""

RERANK_SHARE = 0.8
"""Share of a search's time that reranking may take; the rest is for the first stage, should it fail."""

_TIME = re.compile(r"(\d{1,18})(nanos|micros|ms|s|m|h|d)")
_SECONDS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of reranking: an answer, or none and the reason in the report.

    `counts` tells whether a failure says anything of the index or the model: a caller's own mistake does not.
    """

    report: Report
    answer: Answer | None = None
    counts: bool = True


@dataclass(slots=True)
class Job:
    """One reranking under way: what it goes by, and what it has cost so far."""

    request: RerankRequest
    model: Reranker
    settings: SearchSettings
    began: float
    deadline: float
    vectors: CallersVectors
    keys: Keys | None = None
    again: bool = False
    """Whether it is searched a second time."""
    doing: str = "looking for a kept window"
    took: Took = field(default_factory=Took)


class Reranking:
    """Reranks searches. Thread-safe; share one among all requests of a process.

    `others` are models that serve the indexes they encoded; all other indexes are `reranker`'s.
    """

    def __init__(
        self, client: OpenSearchClient, reranker: Reranker, others: Sequence[Reranker], settings: Settings
    ) -> None:
        self._client = client
        self._reranker = reranker
        self._models = {model.version: model for model in (*others, reranker)}
        self._settings = settings
        self._encodings = Encodings()
        self._vectors = KnownVectors()
        self._windows = RankedWindows(settings.search.cache_seconds)
        # The model runs here so that a request can stop waiting for it; more threads than cores would only
        # make all of them late together.
        cores = min(settings.sidecar.threads, os.cpu_count() or 1)
        self._executor = ThreadPoolExecutor(cores, thread_name_prefix="attune-model")

    @property
    def models(self) -> tuple[str, ...]:
        """Versions of the models at hand, the default one first."""
        return tuple(dict.fromkeys((self._reranker.version, *self._models)))

    def job(self, request: RerankRequest, view: str, began: float) -> Job:
        """Put together what a search that began at `began` (time.perf_counter) goes by.

        Raises BadRequest where `ext.attune` names a model that is not there, or weights of nothing.
        """
        version = request.options.model or self._reranker.version
        if version not in self._models:
            raise BadRequest(
                f"ext.attune.model: {version} is not loaded; there are: {', '.join(self.models)}"
            )
        seconds = min(self._settings.sidecar.deadline_ms / 1000, _timeout(request))
        return Job(
            request,
            self._models[version],
            request.options.over(self._settings.search),
            began,
            began + RERANK_SHARE * seconds,
            CallersVectors(self._vectors, view),
        )

    def rerank(self, job: Job) -> Outcome:
        """Rerank a search. Raises nothing.

        Where no answer comes, the first stage's hits are still to be asked for.
        """
        try:
            job.keys = self._windows.keys(job.request, job.vectors.view, job.settings.window)
            return self._kept_page(job) or self._new_page(job)
        except TimeoutError:
            late = f"{job.doing} passed the deadline of {self._settings.sidecar.deadline_ms} ms"
            return self._failed(job, response.TIMEOUT, late)
        except UnreadableQuery as error:
            return self._failed(job, response.SKIPPED, str(error))
        except ModelMismatch as error:
            return self._failed(job, response.MISMATCH, str(error))
        except ClusterDown as error:  # or so it seems: the first stage will tell
            return self._failed(job, response.FAILED, str(error))
        except BadRequest as error:  # its caller's business
            return replace(self._failed(job, response.FAILED, str(error)), counts=False)
        except Exception as error:  # noqa: BLE001  whatever fails here, the shopper still gets hits
            # Not its message, which may quote the search; that is in the answer, for who asked.
            log.warning("%s failed: %s", job.doing, type(error).__name__)
            return self._failed(job, response.FAILED, str(error) or type(error).__name__)

    def _kept_page(self, job: Job) -> Outcome | None:
        """Answer with a page of a window that is kept; None where there is none that still holds."""
        kept = self._windows.get(job.keys) if job.keys else None
        if not job.keys or not kept:
            return None
        job.doing, began = "fetching the page", time.perf_counter()
        keys = [key for key, _ in kept.ranking.page(job.request)]
        page = fetch(self._client, job.request, keys, _left(job.deadline), watched=True)
        self._windows.seen(job.keys, page.state)
        if page.state != kept.state or page.hits.keys() != set(keys):
            return None
        job.took = Took(fetch=_ms(began))
        report = Report(response.RERANKED, kept.model, window=kept.scored, took_ms=job.took, kept=True)
        return _answered(job, kept.ranking, page.hits, report)

    def _new_page(self, job: Job) -> Outcome:
        query = self._encoded(job)
        while True:
            state = self._windows.settled(job.keys) if job.keys else b""
            query, first = self._gather(job, query)
            scored = self._score(job, query, first)
            ranking = response.ranking(first, scored)
            whole = self._whole(job, first, ranking)
            if whole is None:
                job.again = True
                continue
            if job.keys:
                self._windows.seen(job.keys, first.state)
                if first.state and first.state == state:
                    self._windows.keep(job.keys, ranking, state, job.model.version, len(scored))
            report = Report(response.RERANKED, job.model.version, window=len(scored), took_ms=job.took)
            return _answered(job, ranking, whole, report)

    def _encoded(self, job: Job) -> EncodedQuery:
        job.doing, began = "encoding the query", time.perf_counter()
        known = self._encodings.get(job.model.version, job.request.text)
        query = known or self._within(job, job.model.encode_query, job.request.text)
        if not known:
            self._encodings.put(job.model.version, job.request.text, query)
        job.took = replace(job.took, encode=_ms(began))
        if query.unknown >= UNREADABLE:
            raise UnreadableQuery(
                f"model {job.model.version} doesn't know {query.unknown:.0%} of the query: "
                "a model for its language is made by `attune train --query-encoder`"
            )
        return query

    def _gather(self, job: Job, query: EncodedQuery) -> tuple[EncodedQuery, FirstStage]:
        """Gather candidates; return them and the query as the model that encoded them has it."""
        job.doing, began = "gathering candidates", time.perf_counter()
        first = gather(
            self._client,
            job.request,
            query.vector,
            job.settings.window,
            _left(job.deadline),
            watched=job.keys is not None,
            known=job.vectors,
        )
        job.took = replace(job.took, search=_ms(began))
        for hit in (*first.own, *first.neighbours):
            if hit.model and hit.model != job.model.version:
                return self._with_other_model(job, hit.index, hit.model)
        if first.neighbours_error:
            raise ModelError(f"the k-NN search failed: {first.neighbours_error}")
        return query, first

    def _with_other_model(self, job: Job, index: str, version: str) -> tuple[EncodedQuery, FirstStage]:
        """Start over with the model that encoded the index. Raises ModelMismatch where it is not at hand."""
        if job.request.options.model or version not in self._models or job.model is not self._reranker:
            raise ModelMismatch(
                f"index {index} was made with model {version}, not {job.model.version}: "
                "index the catalogue again, or set model.folder to that model"
            )
        job.model = self._models[version]
        return self._gather(job, self._encoded(job))

    def _score(self, job: Job, query: EncodedQuery, first: FirstStage) -> list[Scored]:
        job.doing, began = "scoring", time.perf_counter()
        window = fuse(first, job.settings, strip_intent(query.text))
        if not window:
            return []
        for fused in window:
            if not fused.hit.stored:
                raise ModelError(
                    f"product {fused.hit.id} in {fused.hit.index} has no {fields.TOKENS}: "
                    "index the catalogue with `attune index`"
                )
        heads = job.settings.relevance_weight, job.settings.click_weight, job.settings.purchase_weight
        stored = [fused.hit.stored for fused in window]
        scores = self._within(job, job.model.score, query, stored, heads).tolist()
        if len(scores) != len(window) or not all(map(math.isfinite, scores)):
            raise ModelError(f"model {job.model.version} returned scores that are no probabilities")
        weighed = add_keyword_evidence(
            scores, [fused.first_score for fused in window], job.settings.keyword_weight
        )
        job.took = replace(job.took, score=_ms(began))
        return [Scored(fused, score) for fused, score in zip(window, weighed, strict=True)]

    def _whole(self, job: Job, first: FirstStage, ranking: Ranking) -> response.Hits | None:
        """Return the page's hits whole; None, once, where they are gone: the alias moved on meanwhile."""
        if first.whole is not None:
            return first.whole
        job.doing, began = "fetching the page", time.perf_counter()
        keys = [key for key, _ in ranking.page(job.request)]
        page = fetch(self._client, job.request, keys, _left(job.deadline))
        job.took = replace(job.took, fetch=_ms(began))
        return None if keys and not page.hits and not job.again else page.hits

    def _failed(self, job: Job, status: str, reason: str) -> Outcome:
        return Outcome(Report(status, job.model.version, reason, took_ms=job.took))

    def _within(self, job: Job, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` on the model's threads. Raises TimeoutError when the deadline passes first."""
        future: Future[R] = self._executor.submit(work, *args, **kwargs)
        try:
            return future.result(timeout=_left(job.deadline))
        except TimeoutError:
            future.cancel()
            raise


def _answered(job: Job, ranking: Ranking, whole: response.Hits, report: Report) -> Outcome:
    return Outcome(report, response.ranked_answer(ranking, whole, job.request, report, round(_ms(job.began))))


def _timeout(request: RerankRequest) -> float:
    """Seconds that the caller gives the search; no end where it gives none, or none that can be read."""
    try:
        found = _TIME.fullmatch(str(decoded(request.body.get("timeout"), "")))
    except ValueError:  # no Unicode, or a number beyond all floats: that is OpenSearch's to judge
        return math.inf
    return int(found[1]) * _SECONDS[found[2]] if found else math.inf


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError when there are none."""
    seconds = deadline - time.perf_counter()
    if seconds <= 0:
        raise TimeoutError
    return seconds
