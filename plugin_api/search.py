"""One search from end to end: candidates, reranking, and the first stage's hits when anything goes wrong."""

import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import ParamSpec, Protocol, TypeVar

from mappings import fields
from mappings.errors import BadRequest, ClusterDown, ModelError, ModelMismatch, UnreadableQuery
from mappings.settings import SearchSettings, Settings
from plugin_api import response
from plugin_api.breaker import Breaker, circuit_key
from plugin_api.candidates import FirstStage, fetch, gather
from plugin_api.encodings import Encodings
from plugin_api.json_bytes import decoded, dumps, raw_object
from plugin_api.keyword_evidence import with_keywords
from plugin_api.request import PlainRequest, RerankRequest, SearchCall, parse_call
from plugin_api.response import Answer, Report, Scored, Took
from plugin_api.upstream import Upstream, with_query
from plugin_api.window import fuse
from reranker.intent import without_intent
from reranker.types import EncodedQuery, Floats

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger("attune")

UNREADABLE = 0.5
"""Share of a query's tokens unknown to the model from which on its vector says too little."""

RERANK_SHARE = 0.8
"""Share of a search's time that reranking may take; the rest is for the first stage, should it fail."""

_TIME = re.compile(r"(\d{1,18})(nanos|micros|ms|s|m|h|d)")
_SECONDS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Reranker(Protocol):
    """What searching needs of a model; reranker.model.Model is one."""

    @property
    def version(self) -> str:
        """Stamped on every product that this model encoded."""

    def encode_query(self, text: str) -> EncodedQuery:
        """Encode one query."""

    def score(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        """Probability (n,) of each product, its heads weighted. Raises ModelError for malformed bytes."""


Observe = Callable[[Report, float], None]
"""Told of every search: what became of it, and the seconds that it took."""


def unobserved(_report: Report, _seconds: float) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class _Job:
    """One reranking under way: what it goes by, and what it has cost so far."""

    request: RerankRequest
    model: Reranker
    settings: SearchSettings
    began: float
    deadline: float
    counts: bool = True
    """Whether its failure tells of the index or the model: a caller's own mistake does not."""
    again: bool = False
    """Whether it is searched a second time."""
    took: Took = field(default_factory=Took)


class Search:
    """Answers searches. Thread-safe; share one among all requests of a process.

    `others` are models that serve the indexes they encoded; all other indexes are `reranker`'s.
    """

    def __init__(
        self,
        upstream: Upstream,
        reranker: Reranker,
        settings: Settings,
        others: Sequence[Reranker] = (),
        observe: Observe = unobserved,
    ) -> None:
        self._upstream = upstream
        self._reranker = reranker
        self._models = {model.version: model for model in (*others, reranker)}
        self._settings = settings
        self._observe = observe
        self._encodings = Encodings()
        self.breaker = Breaker()
        self._slots = threading.BoundedSemaphore(settings.sidecar.max_reranks)
        # The model runs here so that a request can stop waiting for it; more threads than cores would only
        # make all of them late together.
        cores = min(settings.sidecar.threads, os.cpu_count() or 1)
        self._executor = ThreadPoolExecutor(cores, thread_name_prefix="attune-model")

    @property
    def models(self) -> tuple[str, ...]:
        """Versions of the models at hand, the default one first."""
        return tuple(dict.fromkeys((self._reranker.version, *self._models)))

    def answer(self, call: SearchCall) -> Answer:
        """Answer one `_search`. Raises ClusterDown when OpenSearch does not answer, BadRequest."""
        return self.answer_parsed(call, parse_call(call))

    def answer_parsed(self, call: SearchCall, request: RerankRequest | PlainRequest) -> Answer:
        """Answer a search that is already read. Raises as `answer` does."""
        began = time.perf_counter()
        if isinstance(request, PlainRequest):
            report = self._report(response.SKIPPED, request.reason)
            answer = self._pass(call, request, report)
        else:
            answer, report = self._reranked(call, request, began)
        self._observe(report, time.perf_counter() - began)
        return answer

    def first_stage(self, call: SearchCall) -> Answer:
        """Answer one `_search` without reranking. Raises as `answer` does."""
        request = parse_call(call)
        plain = request.plain if isinstance(request, RerankRequest) else request
        return self._pass(call, plain, self._report(response.SKIPPED, "reranking was not asked for"))

    def _reranked(self, call: SearchCall, request: RerankRequest, began: float) -> tuple[Answer, Report]:
        job = self._job(request, began)
        circuit = circuit_key(call.index, call.headers)
        refusal = self.breaker.refusal(circuit)
        if refusal:
            report = self._report(response.SKIPPED, refusal)
        elif not self._slots.acquire(blocking=False):
            limit = self._settings.sidecar.max_reranks
            report = self._report(response.SHED, f"{limit} searches are being reranked (sidecar.max_reranks)")
        else:
            try:
                outcome = self._rerank(job)
            finally:
                self._slots.release()
            if isinstance(outcome, tuple):
                self.breaker.succeeded(circuit)
                return outcome
            report = outcome
        answer = self._pass(call, request.plain, report)
        # Where the first stage fails as well, it is not reranking that should rest.
        if (
            report.rerank_status not in (response.SKIPPED, response.SHED)
            and job.counts
            and answer.status == 200
        ):
            self.breaker.failed(circuit, report.reason)
        return answer, report

    def _job(self, request: RerankRequest, began: float) -> _Job:
        """Put together what a search goes by. Raises BadRequest for a model that is not there."""
        version = request.options.model or self._reranker.version
        if version not in self._models:
            raise BadRequest(
                f"ext.attune.model: {version} is not loaded; there are: {', '.join(self.models)}"
            )
        seconds = min(self._settings.sidecar.deadline_ms / 1000, _timeout(request))
        return _Job(
            request,
            self._models[version],
            request.options.over(self._settings.search),
            began,
            began + RERANK_SHARE * seconds,
        )

    def _rerank(self, job: _Job) -> tuple[Answer, Report] | Report:
        """Rerank, or report why not: then the first stage's hits are still to be asked for."""
        doing = "encoding the query"
        try:
            query = self._encoded(job)
            while True:
                doing = "gathering candidates"
                query, first = self._gather(job, query)
                doing = "scoring"
                scored = self._score(job, query, first)
                doing = "fetching the page"
                answered = self._answered(job, first, scored)
                if answered:
                    return answered
                job.again = True
        except TimeoutError:
            late = f"{doing} passed the deadline of {self._settings.sidecar.deadline_ms} ms"
            return self._failed(job, response.TIMEOUT, late)
        except UnreadableQuery as error:
            return self._failed(job, response.SKIPPED, str(error))
        except ModelMismatch as error:
            return self._failed(job, response.MISMATCH, str(error))
        except ClusterDown as error:  # or so it seems: the first stage will tell
            return self._failed(job, response.FAILED, str(error))
        except BadRequest as error:  # its caller's business
            job.counts = False
            return self._failed(job, response.FAILED, str(error))
        except Exception as error:  # noqa: BLE001  whatever fails here, the shopper still gets hits
            # Not its message, which may quote the search; that is in the answer, for who asked.
            log.warning("%s failed: %s", doing, type(error).__name__)
            return self._failed(job, response.FAILED, str(error) or type(error).__name__)

    def _encoded(self, job: _Job) -> EncodedQuery:
        began = time.perf_counter()
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

    def _gather(self, job: _Job, query: EncodedQuery) -> tuple[EncodedQuery, FirstStage]:
        """Gather candidates; return them and the query as the model that encoded them has it."""
        began = time.perf_counter()
        first = gather(self._upstream, job.request, query.vector, job.settings.window, _left(job.deadline))
        job.took = replace(job.took, search=_ms(began))
        for hit in (*first.own, *first.neighbours):
            if hit.model and hit.model != job.model.version:
                return self._with_other_model(job, hit.index, hit.model)
        if first.neighbours_error:
            raise ModelError(f"the k-NN search failed: {first.neighbours_error}")
        return query, first

    def _with_other_model(self, job: _Job, index: str, version: str) -> tuple[EncodedQuery, FirstStage]:
        """Start over with the model that encoded the index. Raises ModelMismatch where it is not at hand."""
        if job.request.options.model or version not in self._models or job.model is not self._reranker:
            raise ModelMismatch(
                f"index {index} was made with model {version}, not {job.model.version}: "
                "index the catalogue again, or set model.folder to that model"
            )
        job.model = self._models[version]
        return self._gather(job, self._encoded(job))

    def _score(self, job: _Job, query: EncodedQuery, first: FirstStage) -> list[Scored]:
        began = time.perf_counter()
        window = fuse(first, job.settings, without_intent(query.text))
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
        weighed = with_keywords(scores, [fused.first_score for fused in window], job.settings.keyword_weight)
        job.took = replace(job.took, score=_ms(began))
        return [Scored(fused, score) for fused, score in zip(window, weighed, strict=True)]

    def _answered(self, job: _Job, first: FirstStage, scored: list[Scored]) -> tuple[Answer, Report] | None:
        """Return the page; None, once, where its hits are gone: the alias moved on after they were found."""
        began = time.perf_counter()
        order = response.ranking(first, scored)
        whole = first.whole
        if whole is None:
            keys = [key for key, _ in order.page(job.request)]
            whole = fetch(self._upstream, job.request, keys, _left(job.deadline))
            job.took = replace(job.took, fetch=_ms(began))
            if keys and not whole and not job.again:
                return None
        report = Report(response.RERANKED, job.model.version, window=len(scored), took_ms=job.took)
        took_ms = round(_ms(job.began))
        return response.ranked_answer(first, order, whole, job.request, report, took_ms), report

    def _failed(self, job: _Job, status: str, reason: str) -> Report:
        return Report(status, job.model.version, reason, took_ms=job.took)

    def _pass(self, call: SearchCall, request: PlainRequest, report: Report) -> Answer:
        """Send the caller's own search; what became of reranking goes with the answer.

        In headers, and in the body where that is a whole answer of no more than sidecar.max_body_bytes.
        """
        headers = dict(call.headers)
        if not request.exact:
            headers |= {"content-type": "application/json", "accept-encoding": "identity"}
        method = "POST" if request.body else call.method
        stream = self._upstream.stream(method, with_query(call.path, request.params), headers, request.body)
        own = own_words(call, request) if stream.status == 400 else None
        if own:
            for _ in stream.chunks:
                pass
            return self._pass(call, own, report)
        named = dict(stream.headers)
        size = int(named.get("content-length", self._settings.sidecar.max_body_bytes + 1))
        if (
            request.exact
            or stream.status != 200
            or not named.get("content-type", "").startswith("application/json")
            or size > self._settings.sidecar.max_body_bytes
        ):
            return Answer(stream.status, stream.chunks, (*stream.headers, *report.headers))
        came = b"".join(stream.chunks)
        try:
            body = dumps(response.with_report(raw_object(came), report))
        except ValueError:  # no answer of OpenSearch's: its reader shall judge it
            return Answer(200, came, (*stream.headers, *report.headers))
        return Answer(200, body, response.json_headers(stream.headers, report))

    def _within(self, job: _Job, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` on the model's threads. Raises TimeoutError when the deadline passes first."""
        future: Future[R] = self._executor.submit(work, *args, **kwargs)
        try:
            return future.result(timeout=_left(job.deadline))
        except TimeoutError:
            future.cancel()
            raise

    def _report(self, status: str, reason: str) -> Report:
        return Report(status, self._reranker.version, reason)


def own_words(call: SearchCall, request: PlainRequest) -> PlainRequest | None:
    """The search as it came, for when OpenSearch refuses it with Attune's fields kept out of `_source`.

    OpenSearch 3 does where an index keeps no `_source`. None where it was sent so, or has an `ext.attune`.
    """
    if request.exact or b'"attune"' in call.body:
        return None
    return PlainRequest(call.body, call.params, request.reason, exact=True)


def _timeout(request: RerankRequest) -> float:
    """Seconds that the caller gives the search; no end where it gives none, or none that can be read."""
    found = _TIME.fullmatch(str(decoded(request.body.get("timeout"), "")))
    return int(found[1]) * _SECONDS[found[2]] if found else math.inf


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError when there are none."""
    seconds = deadline - time.perf_counter()
    if seconds <= 0:
        raise TimeoutError
    return seconds
