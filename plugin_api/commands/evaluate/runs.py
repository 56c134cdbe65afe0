"""The rankings of an index that `attune evaluate` measures: Attune's, its parts', and plain BM25's.

Each system answers every query twice: over the whole catalogue, timed, and over the query's judged products
alone. The latter is the same search with an `ids` filter, so products are scored as in any filtered search;
only the window is widened, where more products are judged than fit in it.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError

from indexer.store.opensearch_errors import translate_errors
from mappings import fields
from mappings.errors import EvaluationError, ModelMismatch
from mappings.settings import FusionMethod, SearchSettings, Settings
from mappings.types import JsonObject, Product
from plugin_api.commands.searched_index import (
    IndexFacts,
    MakeQuery,
    SearchedIndex,
    describe_missing_index,
    fetch_index_facts,
    filter_query,
)
from plugin_api.opensearch.client import encode_credentials
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.request import parse_call
from plugin_api.search.query.types import RerankRequest, SearchCall
from plugin_api.search.reasons import Reason, RerankStatus
from plugin_api.search.retrieval.caller_client import CallerClient, OpenSearchLate, SearchRefused
from plugin_api.search.retrieval.candidates import gather
from plugin_api.search.retrieval.fusion import fuse
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from reranker.encoders.codec import quantise_vector
from reranker.evaluation.comparison import RankedList, System, SystemRun
from reranker.evaluation.losses import QueryKind
from reranker.evaluation.measures import Grades
from reranker.types import Reranker

_MAX_WINDOW = 1000
"""The widest window that the setting search.window takes."""

Terms = tuple[JsonObject, ...]
Ask = Callable[[str, Terms, int], RankedList]
"""A query's text, filters, how many hits → its ranking, without time."""

Advance = Callable[[int], None]


def look_up_index(client: OpenSearch, index: str) -> IndexFacts:
    """Look an index up. Raises EvaluationError where there is none, naming those that there are."""
    with translate_errors(f"looking up {index}"):
        try:
            return fetch_index_facts(client, index)
        except NotFoundError as error:
            raise EvaluationError(describe_missing_index(client, index)) from error


def check_version(facts: IndexFacts, index: str, model: Reranker) -> None:
    """Raise ModelMismatch unless `model` encoded the index."""
    if facts.models != (model.version,):
        made = f"was made with {' and '.join(facts.models)}" if facts.models else "has no vectors of Attune's"
        raise ModelMismatch(
            f"index {index} {made}; the model to evaluate is {model.version}: index the catalogue with it, "
            "or name the folder of the index's model by --model"
        )


def fetch_judged_products(
    client: OpenSearch, index: str, ids: Sequence[str], searched: SearchedIndex
) -> dict[str, Product]:
    """Look products up by id: those that are in the index, with their texts."""
    products: dict[str, Product] = {}
    for start in range(0, len(ids), _MAX_WINDOW):
        some = list(ids[start : start + _MAX_WINDOW])
        body = {
            "query": {"ids": {"values": some}},
            "size": len(some),
            "_source": {"excludes": [fields.ATTUNE]},
        }
        with translate_errors(f"looking up judged products in {index}"):
            hits = client.search(index=index, body=body)["hits"]["hits"]
        for hit in hits:
            products[hit["_id"]] = searched.read_product(hit["_id"], hit.get("_source", {}))
    return products


class Searching:
    """The systems over one index with one model; each is an `Ask`."""

    def __init__(
        self,
        client: OpenSearch,
        index: str,
        model: Reranker,
        settings: Settings,
        make_query: MakeQuery = keyword_query,
    ) -> None:
        self._make_query = make_query
        self._settings = without_time_limits(settings)  # time is measured, not limited
        self._client, self._index, self._model = client, index, model
        self._opensearch = HttpClient(settings.opensearch)
        self._search = Searcher(self._opensearch, model, self._settings)

    def widened(self, window: int) -> "Searching":
        """Return the same over a window that holds as many products at least."""
        search = self._settings.search
        wide = replace(search, window=min(max(search.window, window), _MAX_WINDOW))
        settings = replace(self._settings, search=wide)
        return Searching(self._client, self._index, self._model, settings, self._make_query)

    def ask(self, system: str) -> Ask:
        """Return the system of this name: one of SYSTEMS, but not the article recipe."""
        return {
            "attune": self.attune,
            "bm25": lambda text, filters, size: self._hits(
                filter_query(self._make_query(text), filters), size
            ),
            "bm25-plain": lambda text, filters, size: self._hits(_plain_query(text, filters), size),
            "vectors": self.vectors,
            "minmax": lambda text, filters, size: self._fused("minmax", text, filters, size),
            "rrf": lambda text, filters, size: self._fused("rrf", text, filters, size),
        }[system]

    def attune(self, text: str, filters: Terms, size: int) -> RankedList:
        """Rank by the sidecar's own code.

        Raises EvaluationError where a search was not reranked, unless its kind keeps OpenSearch's order.
        """
        answer = self._search.answer(self._call(text, filters, size)).json()
        if "error" in answer:
            raise EvaluationError(f"OpenSearch refused the search for {text!r}: {_cause(answer)}")
        report = answer["ext"][fields.ATTUNE]
        if report["rerank_status"] == RerankStatus.MISMATCH:
            raise ModelMismatch(report["reason"])
        is_kept = report.get("reason_code") == Reason.ORDER_KEPT.value
        if report["rerank_status"] != RerankStatus.RERANKED and not is_kept:
            raise EvaluationError(f"the search for {text!r} was not reranked: {report['reason']}")
        hits = answer["hits"]["hits"]
        # Below the window a score only keeps the order.
        likely = tuple(hit["_score"] for hit in hits[: report["window"]])
        return RankedList(tuple(hit["_id"] for hit in hits), likely)

    def vectors(self, text: str, filters: Terms, size: int) -> RankedList:
        """Rank by k-NN alone."""
        near: JsonObject = {"vector": quantise_vector(self._model.encode_query(text).vector), "k": size}
        if filters:
            near["filter"] = {"bool": {"filter": list(filters)}}
        return self._hits({"knn": {fields.VECTOR: near}}, size)

    def list_kinds(self, texts: Iterable[str]) -> dict[str, QueryKind]:
        """Return the kind of each query, with what it demands where the index has a vocabulary to tell it."""
        call = SearchCall.of(self._index, headers=encode_credentials(self._settings.opensearch))
        kinds = {}
        for text in texts:
            understanding = self._search.text_reader.understand(call, text)
            if understanding is None:
                return {}
            kinds[text] = QueryKind.of(text, tuple(demand.kind for demand in understanding.demands))
        return kinds

    def windows(self, texts: Iterable[str], advance: Advance) -> dict[str, tuple[str, ...]]:
        """Return, for each query's text, the ids that Attune would rerank, in the first stage's order."""
        windows = {}
        for text in texts:
            windows[text] = self._first_stage(self._settings.search, text, (), 1)[0]
            advance(1)
        return windows

    def _fused(self, fusion: FusionMethod, text: str, filters: Terms, size: int) -> RankedList:
        inside, below = self._first_stage(replace(self._settings.search, fusion=fusion), text, filters, size)
        return RankedList((*inside, *below)[:size])

    def _first_stage(
        self, settings: SearchSettings, text: str, filters: Terms, size: int
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Ids of the fused window, and of the keyword hits below it down to `size`."""
        request = parse_call(self._call(text, filters, size))
        if not isinstance(request, RerankRequest):
            raise EvaluationError(f"the search for {text!r} can't be reranked: {request.cause.sentence}")
        query = self._model.encode_query(request.text)
        deadline = Deadline.after(self._settings.opensearch.timeout_seconds)
        caller = CallerClient(self._opensearch, request.call, request.params, deadline)
        try:
            first = gather(caller, request, query.vector, settings.window)
        except (SearchRefused, OpenSearchLate, TimeoutError) as error:
            raise EvaluationError(f"searching for {text!r} failed: {error}") from error
        if first.neighbours_error:
            raise EvaluationError(f"the k-NN search for {text!r} failed: {first.neighbours_error}")
        near = [hit for hit in first.neighbours if hit.meets]
        inside = tuple(hit.id for hit in fuse(first.own, near, settings, query.query_type))
        known = set(inside)
        return inside, tuple(hit.id for hit in first.own if hit.id not in known)

    def _hits(self, query: JsonObject, size: int) -> RankedList:
        with translate_errors(f"searching {self._index}"):
            answer = self._client.search(
                index=self._index, body={"query": query, "size": size, "_source": False}
            )
        return RankedList(tuple(hit["_id"] for hit in answer["hits"]["hits"]))

    def _call(self, text: str, filters: Terms, size: int) -> SearchCall:
        query = self._make_query(text)
        if filters:  # all products that meet them are ranked, whether the keyword search finds them or not
            query = {"bool": {"filter": list(filters), "should": [query]}}
        body = {"query": query, "size": size, "_source": False}
        headers = encode_credentials(self._settings.opensearch)
        return SearchCall.of(self._index, json.dumps(body).encode(), headers=headers)


def rank_queries(
    asks: Mapping[System, tuple[Ask, Ask]], grades: Mapping[str, Grades], depth: int, advance: Advance
) -> list[SystemRun]:
    """Ask every system every query, over the whole catalogue and over its judged products.

    Each system comes with two asks, the second with a window wide enough for judged products. One query after
    the other, one system after the other, a different one first each time: none gains by another's caches.
    """
    catalogue: dict[System, dict[str, RankedList]] = {system: {} for system in asks}
    pool: dict[System, dict[str, RankedList]] = {system: {} for system in asks}
    order = list(asks)
    for ask, _ in asks.values():
        ask(next(iter(grades)), (), depth)  # opens connections, loads the model: not part of any search
    for turn, (text, query_grades) in enumerate(grades.items()):
        only: Terms = ({"ids": {"values": list(query_grades)}},)
        for system in _from(order, turn):
            ask, within = asks[system]
            began = time.perf_counter()
            answer = ask(text, (), depth)
            ms = (time.perf_counter() - began) * 1000
            catalogue[system][text] = replace(answer, ms=ms)
            pool[system][text] = within(text, only, len(query_grades))
        advance(1)
    return [SystemRun(system, catalogue[system], pool[system]) for system in asks]


def _from(order: Sequence[System], turn: int) -> Iterator[System]:
    for step in range(len(order)):
        yield order[(turn + step) % len(order)]


def _plain_query(text: str, filters: Terms) -> JsonObject:
    words = {"multi_match": {"query": text, "fields": [fields.TITLE, fields.DESCRIPTION]}}
    return {"bool": {"must": [words], "filter": list(filters)}} if filters else words


def _cause(answer: JsonObject) -> str:
    causes = answer["error"].get("root_cause") or [answer["error"]]
    return str(causes[0].get("reason"))
