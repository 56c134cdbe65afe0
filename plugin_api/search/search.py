"""Answer one search: reranked where that is possible, else by OpenSearch alone, with the reason."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from mappings.settings import Settings
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.answer import Answer
from plugin_api.search.calls.call_parser import CallParser, find_text
from plugin_api.search.calls.client_search import mark_answer
from plugin_api.search.deadline import Deadline
from plugin_api.search.experiment import Experiment
from plugin_api.search.fallback import FallbackSender
from plugin_api.search.memory.index_records import IndexRecords
from plugin_api.search.memory.ranking_cache import RankingCache
from plugin_api.search.memory.rerank_limiter import RerankLimiter
from plugin_api.search.models import SearchModels
from plugin_api.search.pictures.ranker import PictureRanker
from plugin_api.search.pictures.tower import PictureSearchTower, SearchedPicture
from plugin_api.search.query.types import AddWhen, FallbackRequest, RerankRequest, SearchCall, TextSearch
from plugin_api.search.reasons import Cause, NotReranked, Reason
from plugin_api.search.render import render_page
from plugin_api.search.report import RerankReport
from plugin_api.search.rerank import SearchReranker
from plugin_api.search.result_set import ResultSets
from plugin_api.search.retrieval.vector_cache import VectorCache
from plugin_api.search.text_reader import TextReader
from plugin_api.search.timing import SearchTiming
from plugin_api.shoppers.personaliser import Personaliser
from reranker.types import Reranker

Observe = Callable[[RerankReport, float], None]
"""Called after every search with its report and the seconds that it took."""

_SCHEMA_SHARE = 0.2
"""Share of sidecar.deadline_ms in which OpenSearch must tell what an index is like."""

_RERANK_SHARE = 0.8
"""Share of a search's time that reranking may take. The rest is for the fallback, should reranking fail."""


def ignore_report(_report: RerankReport, _seconds: float) -> None:
    """Ignore the report of a search."""


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
        models = SearchModels(reranker, others, settings.sidecar.threads)
        vectors = VectorCache()
        rankings = RankingCache(settings.search.cache_seconds, timing.settle_seconds)
        records = IndexRecords(client, models)
        schema_seconds = _SCHEMA_SHARE * settings.sidecar.deadline_ms / 1000
        self._models = models
        self._result_sets = ResultSets(client, models, vectors, rankings)
        self._reranker = SearchReranker(
            client,
            models,
            vectors,
            rankings,
            self._result_sets,
            Personaliser(client, settings),
            Experiment(settings, client),
        )
        self._pictures = PictureRanker(client, models, records, pictures)
        self._deadline_seconds = settings.sidecar.deadline_ms / 1000
        self._observe = observe
        self.text_reader = TextReader(client, records, settings, schema_seconds)
        self._parser = CallParser(
            client, settings.search, settings.domain.name, schema_seconds, self.text_reader.add_conditions
        )
        self.rules = self._parser.rules
        self._fallback = FallbackSender(client, self.rules)
        self.limiter = RerankLimiter(settings.sidecar, timing.open_seconds)

    @property
    def models(self) -> tuple[str, ...]:
        """Versions of the loaded models, the default one first."""
        return self._models.versions

    def parse(self, call: SearchCall) -> RerankRequest | FallbackRequest:
        """Decide what to do with a call. Raises BadRequest."""
        return self.text_reader.read_request(self._parser.parse(call))

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
            answer = self._fallback.send(call, widened, report)
        self._observe(report, time.perf_counter() - started)
        return mark_answer(answer, self.rules)

    def shows_marked(self, call: SearchCall) -> bool:
        """Return whether a search asks for what does not suit its client, too."""
        return self._parser.shows_marked(call)

    def answer_count(self, call: SearchCall) -> Answer:
        """Answer one `_count`, of all that the same query finds in a search. Raises as `answer` does."""
        request = self.text_reader.read_request(self._parser.parse_count(call))
        widened, report = self._widen(request, self._time_for(math.inf, None))
        return self._fallback.send(replace(call, action="_count"), widened, report)

    def read_text(self, call: SearchCall) -> TextSearch | None:
        """Return the text of a search with what it demands, as hits are ranked by it; None for none.

        Waits for the vocabulary of the index. Raises BadRequest.
        """
        self.text_reader.find_interpreter(call)
        return find_text(self.parse(call))

    def encode_picture(self, call: SearchCall, image: str, model: str) -> SearchedPicture:
        """Encode the picture of a search, as its hits are ranked by a model's version. Raises BadRequest."""
        return self._pictures.encode(call, image, model)

    def answer_unranked(self, call: SearchCall) -> Answer:
        """Answer one `_search` without reranking. Raises as `answer` does."""
        if self.shows_marked(call):
            return self._parser.split_marked(call).fetch(
                lambda part: self._send_unranked(part, self._parse_part(part, ""))
            )
        return self._send_unranked(call, self.parse(call))

    def report(self, cause: Cause) -> RerankReport:
        """Return the report on a search that is not reranked."""
        report = RerankReport(cause.reason.status, self.models[0], cause.reason, cause.sentence)
        return replace(report, notice=self.rules.notice)

    def _rerank(self, request: RerankRequest, deadline: Deadline) -> tuple[Answer, RerankReport]:
        """Answer a search with reranked hits, or with the fallback where that fails."""
        started, call, running = time.perf_counter(), request.call, 0
        try:
            with self.limiter.admit(call) as running:
                ranker = self._pictures if request.options.image else self._reranker
                page = ranker.rerank(request, deadline)
                self.limiter.record_success(call)
                took_ms = round((time.perf_counter() - started) * 1000)
                report = replace(page.report, notice=self.rules.notice)
                return render_page(page, report, request, took_ms), report
        except NotReranked as error:
            cause = error.cause
        report = self.report(cause)
        answer = self._fallback.send(call, request.fallback, report)
        # Where the fallback fails as well, OpenSearch is at fault and not reranking.
        if answer.status == 200:
            self.limiter.record_failure(request, cause, deadline, running)
        return answer, report

    def _widen(self, request: FallbackRequest, deadline: Deadline) -> tuple[FallbackRequest, RerankReport]:
        """Return the request with what the vectors add to its text; as it is where that fails."""
        search = request.search
        report = self.report(request.cause)
        if search is None or search.add_when is AddWhen.NEVER:
            return request, report
        try:
            with self.limiter.admit(search.call):
                additions = self._result_sets.find_additions(search, deadline)
        except NotReranked as error:
            is_unreadable = error.cause.reason is Reason.UNKNOWN_WORDS  # then nothing is to be added
            return request, report if is_unreadable else self.report(error.cause)
        report = replace(report.with_text(search), rescued=additions.rescued)
        widened = request.with_query(search.query.widen(additions.keys)) if additions.keys else request
        return widened, report

    def _send_unranked(self, call: SearchCall, request: RerankRequest | FallbackRequest) -> Answer:
        fallback = request.fallback if isinstance(request, RerankRequest) else request
        answer = self._fallback.send(call, fallback, self.report(Reason.NOT_REQUESTED.because()))
        return mark_answer(answer, self.rules)

    def _parse_part(self, part: SearchCall, image: str) -> RerankRequest | FallbackRequest:
        """Return a part of a marked search parsed, with the picture that its body does not have."""
        parsed = self.text_reader.read_request(self._parser.parse_part(part))
        if not isinstance(parsed, RerankRequest) or not image:
            return parsed
        return replace(parsed, options=msgspec.structs.replace(parsed.options, image=image))

    def _time_for(self, limit: float, deadline: Deadline | None) -> Deadline:
        """Return by when Attune's part of a search must be done, of the time that the search has."""
        now = time.monotonic()
        most = deadline.at - now if deadline else self._deadline_seconds
        seconds = max(min(most, limit), 0.0)
        return Deadline(now + _RERANK_SHARE * seconds, seconds)
