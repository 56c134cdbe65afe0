"""Answer one search: reranked where that is possible, else by OpenSearch alone, with the reason."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from mappings.settings import Settings
from plugin_api.opensearch.client import OpenSearchClient, append_query
from plugin_api.opensearch.raw_json import dumps, raw_object
from plugin_api.search.answer import Answer
from plugin_api.search.calls.call_parser import CallParser, find_text
from plugin_api.search.calls.client_search import mark_answer
from plugin_api.search.calls.demand_filter import filter_by_demands
from plugin_api.search.deadline import Deadline
from plugin_api.search.experiment import Experiment
from plugin_api.search.memory.circuit_breaker import OPEN_SECONDS, CircuitBreaker
from plugin_api.search.memory.index_records import IndexRecords
from plugin_api.search.memory.index_words import IndexWords
from plugin_api.search.memory.ranking_cache import SETTLE_SECONDS, RankingCache
from plugin_api.search.models import SearchModels
from plugin_api.search.pictures.ranker import PictureRanker
from plugin_api.search.pictures.tower import PictureSearchTower, SearchedPicture
from plugin_api.search.query.types import (
    AddWhen,
    FallbackRequest,
    Options,
    RerankRequest,
    SearchCall,
    TextSearch,
)
from plugin_api.search.reasons import Cause, NotReranked, Reason
from plugin_api.search.render import add_report, json_headers, render_page
from plugin_api.search.report import RerankReport
from plugin_api.search.rerank import SearchReranker
from plugin_api.search.result_set import ResultSets
from plugin_api.search.retrieval.vector_cache import VectorCache
from plugin_api.shoppers.personaliser import Personaliser
from reranker.types import Reranker
from reranker.understanding.demands import Understanding
from reranker.understanding.interpreter import QueryInterpreter

Observe = Callable[[RerankReport, float], None]
"""Called after every search with its report and the seconds that it took."""

_Request = TypeVar("_Request", FallbackRequest, RerankRequest | FallbackRequest)
_Search = TypeVar("_Search", bound=TextSearch)

_FULL_SHARE = 0.9
"""Share of sidecar.deadline_ms that a search must have had for its failure to count."""

_SCHEMA_SHARE = 0.2
"""Share of sidecar.deadline_ms in which OpenSearch must tell what an index is like."""

_UNREAD = frozenset({
    Reason.SCROLL, Reason.FILTER_PATH, Reason.OTHER_FORMAT, Reason.POINT_IN_TIME, Reason.COUNT,
})  # fmt: skip
"""Reasons for which the body of an answer stays as it came: the report is in its headers alone."""

_RERANK_SHARE = 0.8
"""Share of a search's time that reranking may take. The rest is for the fallback, should reranking fail."""


def ignore_report(_report: RerankReport, _seconds: float) -> None:
    """Ignore the report of a search."""


def without_time_limits(settings: Settings) -> Settings:
    """Return settings for a command that searches by itself: OpenSearch's time limit, no cached rankings."""
    milliseconds = int(settings.opensearch.timeout_seconds * 1000)
    return replace(
        settings,
        sidecar=replace(settings.sidecar, deadline_ms=milliseconds),
        search=replace(settings.search, cache_seconds=0.0),
    )


@dataclass(frozen=True, slots=True)
class SearchTiming:
    """How long an index must not have changed before its rankings are cached, and how long it rests.

    It rests, which means that its searches are not reranked, after that failed several times in a row.
    """

    settle_seconds: float = SETTLE_SECONDS
    open_seconds: float = OPEN_SECONDS


class Searcher:
    """Answers searches. Thread-safe; share one among all requests of a process.

    `others` are models that serve the indexes they encoded; all other indexes are `reranker`'s. `pictures`
    encodes pictures that are searched for.
    """

    def __init__(
        self,
        client: OpenSearchClient,
        reranker: Reranker,
        settings: Settings,
        others: Sequence[Reranker] = (),
        observe: Observe = ignore_report,
        timing: SearchTiming | None = None,
        pictures: PictureSearchTower | None = None,
    ) -> None:
        timing = timing or SearchTiming()
        self._client = client
        self._models = SearchModels(reranker, others, settings.sidecar.threads)
        vectors = VectorCache()
        rankings = RankingCache(settings.search.cache_seconds, timing.settle_seconds)
        self._result_sets = ResultSets(client, self._models, vectors, rankings)
        personaliser = Personaliser(client, settings)
        self._reranker = SearchReranker(
            client,
            self._models,
            vectors,
            rankings,
            self._result_sets,
            personaliser,
            Experiment(settings, client),
        )
        self._records = IndexRecords(client, self._models)
        self._pictures = PictureRanker(client, self._models, self._records, pictures)
        self._index_words = IndexWords(client)
        self._settings, self._search_settings = settings.sidecar, settings.search
        self._origins = settings.origins
        self._user_header = settings.shoppers.user_header.lower()
        self._schema_seconds = _SCHEMA_SHARE * settings.sidecar.deadline_ms / 1000
        self._observe = observe
        self._parser = CallParser(
            client, settings.search, settings.domain.name, self._schema_seconds, self._filter
        )
        self.rules = self._parser.rules
        self.breaker = CircuitBreaker(timing.open_seconds)
        self._lock = threading.Lock()
        self._running = 0

    @property
    def models(self) -> tuple[str, ...]:
        """Versions of the loaded models, the default one first."""
        return self._models.versions

    def parse(self, call: SearchCall) -> RerankRequest | FallbackRequest:
        """Decide what to do with a call. Raises BadRequest."""
        return self._understand(self._parser.parse(call))

    def _filter(self, call: SearchCall, search: TextSearch) -> SearchCall:
        """Return the call for what meets those demands of its text that the settings make conditions."""
        self.find_interpreter(call)  # wait for it: a condition holds from the first search on
        return filter_by_demands(call, self._read(search), self._search_settings.filter_kinds)

    def answer(self, call: SearchCall) -> Answer:
        """Answer one `_search`. Raises ClusterDown when OpenSearch does not answer, BadRequest."""
        return self.answer_request(call, self.parse(call))

    def answer_request(
        self, call: SearchCall, request: RerankRequest | FallbackRequest, deadline: Deadline | None = None
    ) -> Answer:
        """Answer a parsed search, where there is a `deadline` by then. Raises as `answer` does."""
        if self.shows_marked(call):
            image = request.options.image if isinstance(request, RerankRequest) else ""
            return self._parser.split_marked(call).fetch(
                lambda part: self.answer_request(part, self._parse_part(part, image), deadline)
            )
        started = time.perf_counter()
        if isinstance(request, RerankRequest) and request.keeps_order:
            request = request.as_unranked(Reason.ORDER_KEPT.because(kind=request.kind))
        if isinstance(request, RerankRequest):
            answer, report = self._rerank(request, self._time_for(request.timeout_seconds, deadline))
        else:
            widened, report = self._widen(request, self._time_for(math.inf, deadline))
            answer = self._send(call, widened, report)
        self._observe(report, time.perf_counter() - started)
        return mark_answer(answer, self.rules)

    def shows_marked(self, call: SearchCall) -> bool:
        """Return whether a search asks for what does not suit its client, too."""
        return self._parser.shows_marked(call)

    def _parse_part(self, part: SearchCall, image: str) -> RerankRequest | FallbackRequest:
        """Return a part of a marked search parsed, with the picture that its body does not have."""
        parsed = self._understand(self._parser.parse_part(part))
        if not isinstance(parsed, RerankRequest) or not image:
            return parsed
        return replace(parsed, options=msgspec.structs.replace(parsed.options, image=image))

    def answer_count(self, call: SearchCall) -> Answer:
        """Answer one `_count`, of all that the same query finds in a search. Raises as `answer` does."""
        request = self._understand(self._parser.parse_count(call))
        widened, report = self._widen(request, self._time_for(math.inf, None))
        return self._send(replace(call, action="_count"), widened, report)

    def read_text(self, call: SearchCall) -> TextSearch | None:
        """Return the text of a search with what it demands, as hits are ranked by it; None for none.

        Waits for the vocabulary of the index. Raises BadRequest.
        """
        self.find_interpreter(call)
        return find_text(self.parse(call))

    def encode_picture(self, call: SearchCall, image: str, model: str) -> SearchedPicture:
        """Encode the picture of a search, as its hits are ranked by a model's version. Raises BadRequest."""
        return self._pictures.encode(call, image, model)

    def understand(self, call: SearchCall, text: str) -> Understanding | None:
        """Return what a text demands of the products in a call's index; None where nothing tells."""
        interpreter = self.find_interpreter(call)
        return interpreter.understand(text) if interpreter else None

    def find_interpreter(self, call: SearchCall) -> QueryInterpreter | None:
        """Return what understands the queries of a call's index; None where it has no vocabulary."""
        return self._records.load_interpreter(call)

    def _understand(self, request: _Request) -> _Request:
        """Return the request with what the index of its search records: its settings, and a vocabulary by
        which the text's demands are read.
        """
        if isinstance(request, RerankRequest):
            return self._read(request)
        return replace(request, search=self._read(request.search)) if request.search else request

    def _read(self, search: _Search) -> _Search:
        record = self._records.find(search.call, self._schema_seconds)
        tuned = record.tuned.over(self._search_settings, self._origins)
        options = search.options.with_shopper(search.call.headers.get(self._user_header, ""))
        search = replace(search, options=options, settings=options.over(tuned), made_with=record.model)
        interpreter = record.interpreter
        if interpreter is None or search.options.verbatim or search.fixed:
            return search
        understanding = self._correct(search, interpreter)
        return replace(search, text=understanding.core, understanding=understanding, interpreter=interpreter)

    def _correct(self, search: TextSearch, interpreter: QueryInterpreter) -> Understanding:
        """Return what a text demands, with its words corrected that neither vocabulary nor index know."""
        understanding = interpreter.understand(search.text, corrects=not search.query.is_prefix)
        unknown = interpreter.corrector.list_unknown(understanding.corrections)
        known = self._index_words.find(search, unknown, Deadline.after(self._schema_seconds))
        return interpreter.understand(search.text, keep=known) if known else understanding

    def _time_for(self, limit: float, deadline: Deadline | None) -> Deadline:
        """Return by when Attune's part of a search must be done, of the time that the search has."""
        now = time.monotonic()
        most = deadline.at - now if deadline else self._settings.deadline_ms / 1000
        seconds = max(min(most, limit), 0.0)
        return Deadline(now + _RERANK_SHARE * seconds, seconds)

    def _widen(self, request: FallbackRequest, deadline: Deadline) -> tuple[FallbackRequest, RerankReport]:
        """Return the request with what the vectors add to its text; as it is where that fails."""
        search = request.search
        report = self.report(request.cause)
        if search is None or search.add_when is AddWhen.NEVER:
            return request, report
        try:
            with self._slot(search.call):
                additions = self._result_sets.find_additions(search, deadline)
        except NotReranked as error:
            is_unreadable = error.cause.reason is Reason.UNKNOWN_WORDS  # then nothing is to be added
            return request, report if is_unreadable else self.report(error.cause)
        report = replace(report.with_text(search), rescued=additions.rescued)
        widened = request.with_query(search.query.widen(additions.keys)) if additions.keys else request
        return widened, report

    def answer_unranked(self, call: SearchCall) -> Answer:
        """Answer one `_search` without reranking. Raises as `answer` does."""
        if self.shows_marked(call):
            return self._parser.split_marked(call).fetch(
                lambda part: self._send_unranked(part, self._parse_part(part, ""))
            )
        return self._send_unranked(call, self.parse(call))

    def _send_unranked(self, call: SearchCall, request: RerankRequest | FallbackRequest) -> Answer:
        fallback = request.fallback if isinstance(request, RerankRequest) else request
        answer = self._send(call, fallback, self.report(Reason.NOT_REQUESTED.because()))
        return mark_answer(answer, self.rules)

    def report(self, cause: Cause) -> RerankReport:
        """Return the report on a search that is not reranked."""
        report = RerankReport(cause.reason.status, self.models[0], cause.reason, cause.sentence)
        return replace(report, notice=self.rules.notice)

    def _rerank(self, request: RerankRequest, deadline: Deadline) -> tuple[Answer, RerankReport]:
        """Answer a search with reranked hits, or with the fallback where that fails."""
        started, call, running = time.perf_counter(), request.call, 0
        try:
            with self._slot(call) as running:
                ranker = self._pictures if request.options.image else self._reranker
                page = ranker.rerank(request, deadline)
                self.breaker.record_success(call.caller_key)
                took_ms = round((time.perf_counter() - started) * 1000)
                report = replace(page.report, notice=self.rules.notice)
                return render_page(page, report, request, took_ms), report
        except NotReranked as error:
            cause = error.cause
        report = self.report(cause)
        answer = self._send(call, request.fallback, report)
        # Where the fallback fails as well, OpenSearch is at fault and not reranking.
        if answer.status == 200 and self._is_fault(cause, request, deadline, running):
            self.breaker.record_failure(call.caller_key, cause)
        return answer, report

    @contextmanager
    def _slot(self, call: SearchCall) -> Iterator[int]:
        """Count a search as running; yield how many run with it.

        Raises NotReranked where its index rests, or where too many run.
        """
        if cause := self.breaker.cause_to_skip(call.caller_key):
            raise NotReranked(cause)
        with self._lock:
            self._running += 1
            running = self._running
        try:
            if running > self._settings.max_concurrent_reranks:
                raise NotReranked(Reason.BUSY.because(limit=self._settings.max_concurrent_reranks))
            yield running
        finally:
            with self._lock:
                self._running -= 1

    def _is_fault(self, cause: Cause, request: RerankRequest, deadline: Deadline, running: int) -> bool:
        """Return whether a failure counts for the circuit breaker, which rests an index for all searches.

        What a caller can bring about by an option, a condition or a short time limit does not, nor does a
        late answer while the sidecar has more to do than its cores: each search ends by its own deadline.
        """
        is_default = request.options.with_shopper("", replaces=True) == Options()
        is_condition = cause.reason is Reason.KNN_FAILED and bool(request.required)
        had_time = deadline.seconds >= _FULL_SHARE * self._settings.deadline_ms / 1000
        is_overload = cause.reason is Reason.OPENSEARCH_LATE and running > (os.cpu_count() or 1)
        return cause.reason.is_fault and is_default and had_time and not (is_overload or is_condition)

    def _send(self, call: SearchCall, request: FallbackRequest, report: RerankReport) -> Answer:
        """Send the caller's own search.

        The report goes into the answer's headers, and into its body where that is a JSON answer.
        """
        headers = dict(call.headers)
        if not request.verbatim:
            headers["content-type"] = "application/json"
        method = "POST" if request.body else call.method
        target = append_query(call.path, request.params)
        original = self._client.request(method, target, headers, request.body)
        # Unmodified, a search would show what its client may not be shown.
        unmodified = unmodified_request(call, request) if original.status == 400 and not self.rules else None
        if unmodified:
            return self._send(call, unmodified, report)
        unread = Answer(original.status, original.body, (*original.headers, *report.headers))
        content_type = dict(original.headers).get("content-type", "")
        is_read = request.cause.reason not in _UNREAD
        if not is_read or original.status != 200 or not content_type.startswith("application/json"):
            return unread
        try:
            body = dumps(add_report(raw_object(original.body), report))
        except ValueError:  # not an answer of OpenSearch: whoever reads it judges it
            return unread
        return Answer(200, body, json_headers(original.headers, report))


def unmodified_request(call: SearchCall, request: FallbackRequest) -> FallbackRequest | None:
    """Return the search as it came, for OpenSearch refused it with Attune's fields left out of `_source`.

    OpenSearch 3 does so where an index keeps no `_source`. None where the search was sent so, or has an
    `ext.attune`.
    """
    if request.verbatim or b'"attune"' in call.body:
        return None
    return FallbackRequest(call.body, call.params, request.cause, verbatim=True)
