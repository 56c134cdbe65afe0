"""One search from end to end: candidates, reranking, and the first stage's hits when anything goes wrong."""

import binascii
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import ParamSpec, Protocol, TypeVar
from urllib.parse import quote

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, RequestError, SerializationError, TransportError

from mappings import fields
from mappings.errors import BadRequest, ClusterDown, ModelError, ModelMismatch, UnreadableQuery
from mappings.settings import Settings
from mappings.types import Hit
from plugin_api import response
from plugin_api.candidates import FirstStage, Fused, fuse
from plugin_api.hybrid import Gathering
from plugin_api.request import PlainRequest, RerankRequest, SearchCall, parse_call
from plugin_api.response import Answer, Report, Scored, Took
from reranker.intent import without_intent
from reranker.types import EncodedQuery, Floats

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger("attune")

TYPICAL_SHARE = 0.7
"""Share of the best BM25 score that says nothing for or against: so probabilities stay calibrated as a whole.

Measured on the electronics judgements, scorers held out: expected calibration error 0.055; 0.086 for 1.
"""

UNREADABLE = 0.5
"""Share of a query's tokens unknown to the model from which on its vector says too little."""


class Reranker(Protocol):
    """What searching needs of a model; reranker.model.Model is one."""

    @property
    def version(self) -> str:
        """Stamped on every product that this model encoded."""

    def encode_query(self, text: str) -> EncodedQuery:
        """Encode one query."""

    def score(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        """Probability (n,) of each product, its heads weighted. Raises ModelError for malformed bytes."""


class Search:
    """Answers searches. Thread-safe; share one among all requests of a process."""

    def __init__(self, client: OpenSearch, reranker: Reranker, settings: Settings) -> None:
        self._client = client
        self._reranker = reranker
        self._settings = settings
        wanted = settings.search
        self._heads = (wanted.relevance_weight, wanted.click_weight, wanted.purchase_weight)
        self._gathering = Gathering(client, settings.search)
        # The model runs here so that a request can stop waiting for it; more threads than cores would only
        # make all of them late together.
        cores = min(settings.sidecar.threads, os.cpu_count() or 1)
        self._executor = ThreadPoolExecutor(cores, thread_name_prefix="attune-model")

    def answer(self, call: SearchCall) -> Answer:
        """Answer one `_search`. Raises ClusterDown when OpenSearch does not answer."""
        began = time.perf_counter()
        request = parse_call(call)
        if isinstance(request, PlainRequest):
            return self._pass(call, request, self._report(response.SKIPPED, request.reason))
        answer = self._rerank(call, request, began + self._settings.sidecar.deadline_ms / 1000)
        if "took" in answer.body:
            return replace(answer, body={**answer.body, "took": round(_ms(began))})
        return answer

    def first_stage(self, call: SearchCall) -> Answer:
        """Answer one `_search` without reranking. Raises as `answer` does."""
        request = parse_call(call)
        plain = request.plain if isinstance(request, RerankRequest) else request
        return self._pass(call, plain, self._report(response.SKIPPED, "reranking was not asked for"))

    def _rerank(self, call: SearchCall, request: RerankRequest, deadline: float) -> Answer:
        began = time.perf_counter()
        took = Took()
        try:
            query = self._within(deadline, self._reranker.encode_query, request.text)
            took = replace(took, encode=_ms(began))
            if query.unknown >= UNREADABLE:
                raise UnreadableQuery(
                    f"model {self._reranker.version} doesn't know {query.unknown:.0%} of the query: "
                    "a model for its language is made by `attune train --query-encoder`"
                )
            began = time.perf_counter()
            first = self._gathering.gather(request, query.vector, call.headers, _left(deadline))
            took = replace(took, search=_ms(began))
        except (TimeoutError, ConnectionTimeout):
            report = self._report(response.TIMEOUT, self._late("gathering candidates"), took)
            return self._pass(call, request.plain, report)
        except UnreadableQuery as error:
            return self._pass(call, request.plain, self._report(response.SKIPPED, str(error), took))
        except NoConnection as error:
            raise self._down(error) from error
        except Exception as error:  # noqa: BLE001  whatever fails here, the shopper still gets hits
            if not isinstance(error, BadRequest | RequestError):  # a bad query is its caller's business
                log.warning("gathering candidates failed: %s", error)
            return self._pass(call, request.plain, self._report(response.FAILED, _why(error), took))
        began = time.perf_counter()
        try:
            ranked = self._scored(query, first, deadline)
            report = self._report(response.RERANKED, "", replace(took, score=_ms(began)))
            return response.ranked_answer(first, ranked, request, replace(report, window=len(ranked)))
        except ModelMismatch as error:
            report = self._report(response.MISMATCH, str(error), took)
        except TimeoutError:
            report = self._report(response.TIMEOUT, self._late("scoring"), replace(took, score=_ms(began)))
        except Exception as error:  # noqa: BLE001  as above
            log.warning("reranking failed: %s", error)
            report = self._report(response.FAILED, _why(error), replace(took, score=_ms(began)))
        return response.first_stage_answer(first, request, report)

    def _scored(self, query: EncodedQuery, first: FirstStage, deadline: float) -> list[Scored]:
        for hit in (*first.keyword, *first.neighbours):
            made_with = _field(hit, fields.MODEL)
            if made_with and made_with != self._reranker.version:
                raise ModelMismatch(
                    f"index {hit.index} was made with model {made_with}, not {self._reranker.version}: "
                    "index the catalogue again, or set model.folder to that model"
                )
        if first.neighbours_error:
            raise ModelError(f"the k-NN search failed: {first.neighbours_error}")
        window = fuse(first, self._settings.search, without_intent(query.text))
        if not window:
            return []
        stored = [_stored(fused) for fused in window]
        scores = self._within(deadline, self._reranker.score, query, stored, self._heads).tolist()
        if len(scores) != len(window) or not all(map(math.isfinite, scores)):
            raise ModelError(f"model {self._reranker.version} returned scores that are no probabilities")
        weighed = with_keywords(
            scores, [fused.bm25 for fused in window], self._settings.search.keyword_weight
        )
        return [Scored(fused, score) for fused, score in zip(window, weighed, strict=True)]

    def _pass(self, call: SearchCall, request: PlainRequest, report: Report) -> Answer:
        """Send the caller's own search and report why it was not reranked."""
        try:
            body = self._client.transport.perform_request(
                "POST",
                f"/{quote(call.index, safe=',*')}/_search",
                params=dict(request.params),
                body=request.body or None,
                headers=dict(call.headers),
                timeout=self._settings.opensearch.timeout_seconds,
            )
        except NoConnection as error:
            raise self._down(error) from error
        except SerializationError as error:
            raise BadRequest("the sidecar answers in JSON only: leave out the parameter format") from error
        except TransportError as error:
            status = int(error.status_code)
            if isinstance(error.info, dict) and "error" in error.info:
                return Answer(status, error.info)
            return response.error_answer(status, "status_exception", str(error.error))
        # filter_path asks for some keys and no others.
        plain = "filter_path" in request.params or not isinstance(body, dict)
        return Answer(200, body if plain else response.with_report(body, report))

    def _within(self, deadline: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` on the model's threads. Raises TimeoutError when the deadline passes first."""
        future: Future[R] = self._executor.submit(work, *args, **kwargs)
        try:
            return future.result(timeout=_left(deadline))
        except TimeoutError:
            future.cancel()
            raise

    def _report(self, status: str, reason: str, took: Took | None = None) -> Report:
        return Report(status, self._reranker.version, reason, took_ms=took or Took())

    def _late(self, doing: str) -> str:
        return f"{doing} passed the deadline of {self._settings.sidecar.deadline_ms} ms"

    def _down(self, error: Exception) -> ClusterDown:
        kind = "did not answer in time" if isinstance(error, ConnectionTimeout) else "does not answer"
        return ClusterDown(
            f"OpenSearch {kind} at {self._settings.opensearch.url}: start one with `attune up`, "
            "or set opensearch.url (ATTUNE_OPENSEARCH_URL)"
        )


def with_keywords(scores: Sequence[float], bm25: Sequence[float], weight: float) -> list[float]:
    """Move each probability's log-odds by how near its hit comes to the best keyword hit.

    By `weight` x (its share of the best BM25 score - TYPICAL_SHARE); what the keyword search did not return
    has none of it: two engines that agree are better evidence than one. Measured on the electronics
    judgements, scorers held out: whole-catalogue nDCG@10 is 0.720 at weight 0, 0.771 at 1.2, 0.785 at 1.8,
    0.801 at 3, 0.804 at 4; over judged products alone 0.939, 0.928, 0.924, 0.923, 0.915.
    """
    best = max(bm25, default=0.0)
    if not best or not weight:
        return list(scores)
    nearer = [weight * (score / best - TYPICAL_SHARE) for score in bm25]
    return [_sigmoid(_logit(score) + more) for score, more in zip(scores, nearer, strict=True)]


def _logit(probability: float) -> float:
    kept = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(kept / (1 - kept))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _stored(fused: Fused) -> bytes:
    encoded = _field(fused.hit, fields.TOKENS)
    if not encoded:
        raise ModelError(
            f"product {fused.hit.id} in {fused.hit.index} has no {fields.TOKENS}: "
            "index the catalogue with `attune index`"
        )
    try:
        return binascii.a2b_base64(encoded + "==")  # OpenSearch leaves the padding out
    except binascii.Error as error:
        raise ModelError(
            f"product {fused.hit.id} in {fused.hit.index}: {fields.TOKENS} is no base64"
        ) from error


def _field(hit: Hit, name: str) -> str:
    values = hit.raw.get("fields", {}).get(name)
    return str(values[0]) if values else ""


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError when there are none."""
    seconds = deadline - time.perf_counter()
    if seconds <= 0:
        raise TimeoutError
    return seconds
