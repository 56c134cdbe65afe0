"""Made queries, gathered and scored once, and ordered under any settings as a search would order them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mappings.settings import SearchSettings, Settings
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient, encode_credentials
from plugin_api.search.deadline import Deadline
from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.types import RerankRequest, SearchCall
from plugin_api.search.ranking import rank
from plugin_api.search.result_set import rate_neighbours
from plugin_api.search.retrieval.caller_client import CallerClient, SearchRefused
from plugin_api.search.retrieval.candidates import Candidates, gather
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from plugin_api.search.window import list_candidates, order_window
from plugin_api.tuning.products import FactsReader
from reranker.probes.measure import measure_ranking
from reranker.probes.queries import ProbeQuery
from reranker.probes.truth import ProbedProducts
from reranker.types import EncodedQuery, Reranker
from reranker.understanding.facts import unpack_facts
from reranker.understanding.interpreter import QueryInterpreter

PLACES = 10
"""Places of a ranking that are measured."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A probe's candidates with the model's probabilities; `relevant` are those that answer it."""

    probe: ProbeQuery
    kind: str
    request: RerankRequest
    query: EncodedQuery
    candidates: Candidates
    probability: dict[HitKey, float]
    relevant: frozenset[str]

    def measure_own(self) -> float:
        """Return nDCG@10 of OpenSearch's own order."""
        return self._measure([hit.id for hit in self.candidates.own])

    def measure_vectors(self) -> float:
        """Return nDCG@10 of the vectors' order alone."""
        return self._measure([hit.id for hit in self.candidates.neighbours])

    def measure_attune(self, settings: SearchSettings) -> float:
        """Return nDCG@10 of the order that a search has under these settings."""
        candidates, width = self.candidates, settings.window
        cut = replace(
            candidates,
            own=candidates.own[:width],
            neighbours=candidates.neighbours[:width],
            satisfying=candidates.satisfying[:width],
        )
        window = order_window(replace(self.request, settings=settings), self.query, cut, self.probability)
        return self._measure([hit.id for hit in rank(cut.own, window.hits, window.scores, window.scores)])

    def _measure(self, ids: Sequence[str]) -> float:
        hits = np.array([i in self.relevant for i in ids[:PLACES]], dtype=bool)
        return measure_ranking(hits, len(self.relevant), PLACES)[1]


class ProbeSearches:
    """Gathers probes from one index, in a window of `width`. Not thread-safe.

    `refusal` is the last one of OpenSearch's.
    """

    def __init__(
        self,
        client: OpenSearchClient,
        model: Reranker,
        settings: Settings,
        index: str,
        make_query: Callable[[str], JsonObject],
        width: int,
    ) -> None:
        self._settings = without_time_limits(settings)
        self._client, self._model, self._index = client, model, index
        self._make_query, self._width = make_query, width
        self._searcher = Searcher(client, model, self._settings)
        self.refusal: SearchRefused | None = None

    def find_interpreter(self) -> QueryInterpreter | None:
        """Return what understands the index's queries; None where it has no vocabulary."""
        return self._searcher.text_reader.find_interpreter(self._make_call("", 0))

    def gather(self, probe: ProbeQuery, facts: FactsReader) -> Replay | None:
        """Gather and score a probe; None where no candidate answers it, or the search can't be reranked.

        Raises ClusterDown, and TimeoutError.
        """
        gathered = self._gather(probe.text)
        if gathered is None:
            return None
        request, query, candidates, probability = gathered
        ids = list(
            dict.fromkeys(hit.id for hit in (*candidates.own, *candidates.neighbours, *candidates.satisfying))
        )
        known = facts.fetch(ids)
        products = ProbedProducts(
            ids, unpack_facts([known[i].facts for i in ids]), [known[i].price for i in ids]
        )
        answers = probe.truth(products)
        relevant = frozenset(i for i, is_answer in zip(ids, answers.tolist(), strict=True) if is_answer)
        if not relevant:
            return None
        return Replay(probe, request.kind, request, query, candidates, probability, relevant)

    def find_likeliest(self, text: str) -> float | None:
        """Return the greatest probability by which a product is added to a text; None where none can be."""
        gathered = self._gather(text)
        if gathered is None:
            return None
        _, query, candidates, probability = gathered
        near = [hit for hit in candidates.neighbours if hit.vectors]
        return max(rate_neighbours(query, near, probability), default=0.0)

    def _make_call(self, text: str, size: int) -> SearchCall:
        body = json.dumps({"query": self._make_query(text), "size": size, "_source": False}).encode()
        return SearchCall.of(self._index, body, headers=encode_credentials(self._settings.opensearch))

    def _gather(
        self, text: str
    ) -> tuple[RerankRequest, EncodedQuery, Candidates, dict[HitKey, float]] | None:
        call = self._make_call(text, PLACES)
        request = self._searcher.parse(call)
        if not isinstance(request, RerankRequest) or request.fixed:
            return None
        query = self._model.encode_query(request.text)
        deadline = Deadline.after(self._settings.opensearch.timeout_seconds)
        caller = CallerClient(self._client, call, request.params, deadline)
        try:
            gathered = gather(caller, request, query.vector, self._width)
        except SearchRefused as error:  # a template may make a query of some text that can't be parsed
            self.refusal = error
            return None
        candidates = list_candidates(gathered)
        if gathered.neighbours_error or not candidates:
            return None
        heads = self._settings.search.head_weights
        scores = self._model.score_raw(query, [hit.vectors for hit in candidates], heads).tolist()
        return request, query, gathered, dict(zip((hit.key for hit in candidates), scores, strict=True))
