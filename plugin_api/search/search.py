"""One search from end to end: reranked where that can be, else OpenSearch's own answer with the reason."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from mappings.settings import Settings
from plugin_api.opensearch.client import OpenSearchClient, with_query
from plugin_api.opensearch.raw_json import dumps, raw_object
from plugin_api.search import response
from plugin_api.search.caller_key import view_key
from plugin_api.search.circuit_breaker import Breaker
from plugin_api.search.query.request import PlainRequest, RerankRequest, SearchCall, parse_call
from plugin_api.search.rerank import Reranking
from plugin_api.search.response import Answer, Report
from reranker.types import Reranker

Observe = Callable[[Report, float], None]
"""Told of every search: what became of it, and the seconds that it took."""


def unobserved(_report: Report, _seconds: float) -> None:
    """Tell nobody."""


def unhurried(settings: Settings) -> Settings:
    """Settings for a command that searches by itself: OpenSearch's own patience, every search ranked anew."""
    milliseconds = int(settings.opensearch.timeout_seconds * 1000)
    return replace(
        settings,
        sidecar=replace(settings.sidecar, deadline_ms=milliseconds),
        search=replace(settings.search, cache_seconds=0.0),
    )


class Search:
    """Answers searches. Thread-safe; share one among all requests of a process.

    `others` are models that serve the indexes they encoded; all other indexes are `reranker`'s.
    """

    def __init__(
        self,
        client: OpenSearchClient,
        reranker: Reranker,
        settings: Settings,
        others: Sequence[Reranker] = (),
        observe: Observe = unobserved,
    ) -> None:
        self._client = client
        self._reranking = Reranking(client, reranker, others, settings)
        self._settings = settings
        self._observe = observe
        self.breaker = Breaker()
        self._slots = threading.BoundedSemaphore(settings.sidecar.max_concurrent_reranks)

    @property
    def models(self) -> tuple[str, ...]:
        """Versions of the models at hand, the default one first."""
        return self._reranking.models

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
        view = view_key(call.index, call.headers)
        job = self._reranking.job(request, view, began)
        refusal = self.breaker.refusal(view)
        if refusal:
            report = self._report(response.SKIPPED, refusal)
            return self._pass(call, request.plain, report), report
        if not self._slots.acquire(blocking=False):
            limit = self._settings.sidecar.max_concurrent_reranks
            report = self._report(
                response.SHED, f"{limit} searches are being reranked (sidecar.max_concurrent_reranks)"
            )
            return self._pass(call, request.plain, report), report
        try:
            outcome = self._reranking.rerank(job)
        finally:
            self._slots.release()
        report = outcome.report
        if outcome.answer:
            self.breaker.succeeded(view)
            return outcome.answer, report
        answer = self._pass(call, request.plain, report)
        # Where the first stage fails as well, it is not reranking that should rest.
        if report.rerank_status != response.SKIPPED and outcome.counts and answer.status == 200:
            self.breaker.failed(view, report.reason)
        return answer, report

    def _pass(self, call: SearchCall, request: PlainRequest, report: Report) -> Answer:
        """Send the caller's own search; what became of reranking goes with the answer.

        In headers, and in the body where that is a whole answer of no more than sidecar.max_body_bytes.
        """
        headers = dict(call.headers)
        if not request.exact:
            headers |= {"content-type": "application/json", "accept-encoding": "identity"}
        method = "POST" if request.body else call.method
        stream = self._client.stream(method, with_query(call.path, request.params), headers, request.body)
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

    def _report(self, status: str, reason: str) -> Report:
        return Report(status, self.models[0], reason)


def own_words(call: SearchCall, request: PlainRequest) -> PlainRequest | None:
    """The search as it came, for when OpenSearch refuses it with Attune's fields kept out of `_source`.

    OpenSearch 3 does where an index keeps no `_source`. None where it was sent so, or has an `ext.attune`.
    """
    if request.exact or b'"attune"' in call.body:
        return None
    return PlainRequest(call.body, call.params, request.reason, exact=True)
