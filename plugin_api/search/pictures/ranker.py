"""Rank one search by its picture, and by its words where it has some.

The result set of such a search is its candidates, the best `search.window` of them: a picture has no words
that OpenSearch could look for. Facets, totals and pages are of that set.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
from msgspec import Raw

from mappings.errors import BadRequest
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.raw_json import dumps
from plugin_api.search.deadline import Deadline
from plugin_api.search.failures import find_cause
from plugin_api.search.hit_key import HitKey
from plugin_api.search.memory.index_records import IndexRecords
from plugin_api.search.models import SearchModels, run_in_time
from plugin_api.search.pictures.candidates import (
    PictureCandidates,
    compute_words_cosines,
    gather_by_picture,
)
from plugin_api.search.pictures.tower import PictureQuery, PictureSearchTower, SearchedPicture
from plugin_api.search.query.clauses import match_hits
from plugin_api.search.query.query_text import QueryText
from plugin_api.search.query.types import RerankRequest, SearchCall
from plugin_api.search.ranking import RankedHits, RankedPage, collapse
from plugin_api.search.reasons import NotReranked, Reason
from plugin_api.search.report import StageTimes
from plugin_api.search.retrieval.caller_client import CallerClient
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.retrieval.page import fetch_page
from plugin_api.search.window import calibrate_scores, score_hits
from reranker.encoders.codec import unpack_vectors
from reranker.log_odds import compute_log_odds, compute_probabilities
from reranker.pictures.evidence import compute_picture_evidence
from reranker.types import EncodedQuery, Floats, Reranker

_AT_ONCE = 2
"""Pictures that a process unpacks at a time: each may take 160 MB, and must not keep texts waiting."""


class PictureRanker:
    """Ranks searches by picture. Thread-safe; share one among all requests of a process."""

    def __init__(
        self,
        client: OpenSearchClient,
        models: SearchModels,
        records: IndexRecords,
        tower: PictureSearchTower | None,
    ) -> None:
        self._client, self._models, self._records, self._tower = client, models, records, tower
        self._executor = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="attune-picture")

    def rerank(self, request: RerankRequest, deadline: Deadline) -> RankedPage:
        """Rank a search by the picture in its options.

        Raises NotReranked, and BadRequest where the picture can't be read or no tower is loaded.
        """
        tower = self._require_tower()
        model = self._models.choose(request)
        caller = CallerClient(self._client, request.call, request.params, deadline)
        try:
            return self._rank_page(request, model, caller, tower)
        except (NotReranked, BadRequest):
            raise
        except Exception as error:  # the caller still gets OpenSearch's own hits, and why
            raise NotReranked(find_cause(error, deadline)) from error

    def encode(self, call: SearchCall, image: str, model: str) -> SearchedPicture:
        """Encode the picture of a call, as its hits are ranked by the model of this version.

        Raises BadRequest where the picture can't be read or no tower is loaded.
        """
        tower = self._require_tower()
        is_comparable = self._records.find(call).pictures == tower.version
        return SearchedPicture(tower.encode(image, model), is_comparable, tower.weight)

    def _require_tower(self) -> PictureSearchTower:
        if self._tower is None:
            raise BadRequest(
                "ext.attune.image: searches by picture are off: set pictures.search = true, which needs "
                "pip install 'attune[pictures]'"
            )
        return self._tower

    def _rank_page(
        self, request: RerankRequest, model: Reranker, caller: CallerClient, tower: PictureSearchTower
    ) -> RankedPage:
        started = time.perf_counter()
        deadline = caller.deadline
        picture = run_in_time(
            self._executor,
            "encoding the picture",
            deadline,
            tower.encode,
            request.options.image,
            model.version,
        )
        query = self._models.encode(model, request.text, deadline) if request.text else None
        encoded = time.perf_counter()
        has_pictures = self._records.find(request.call).pictures == tower.version
        if not has_pictures and picture.words is None:
            raise NotReranked(Reason.NO_PICTURES.because())
        vector = query.vector if query else None
        candidates = gather_by_picture(caller, request, picture, vector, has_pictures)
        other = self._models.choose_for(request, model, candidates.hits)
        if other is not model:
            return self._rank_page(request, other, caller, tower)
        gathered = time.perf_counter()
        ranked = self._rank(request, model, query, picture, candidates, deadline, tower.weight)
        scored = time.perf_counter()
        narrowed = _narrow(request, [hit.key for hit in ranked.hits])
        page = fetch_page(caller, narrowed, (), [hit.key for hit in ranked.page(request)])
        times = (started, encoded, gathered, scored, time.perf_counter())
        took = StageTimes(*(round((end - start) * 1000, 2) for start, end in pairwise(times)))
        return RankedPage(ranked, page.hits, page.shell, page.headers, took, request, labels=picture.labels)

    def _rank(
        self,
        request: RerankRequest,
        model: Reranker,
        query: EncodedQuery | None,
        picture: PictureQuery,
        candidates: PictureCandidates,
        deadline: Deadline,
        weight: float,
    ) -> RankedHits:
        """Return the best candidates, in order."""
        hits = [hit for hit in candidates.hits if hit.vectors and model.is_readable(hit.vectors)]
        log_odds, ranks = np.zeros(len(hits)), [0] * len(hits)
        if query and hits:
            probability = self._models.score(model, query, hits, request.settings.head_weights, deadline)
            scores, ranks = score_hits(request, query, hits, probability)
            log_odds = compute_log_odds(scores)
        alike = np.array([candidates.alike.get(hit.key, np.nan) for hit in hits], np.float32)
        evidence = compute_picture_evidence(alike, _compare_words(picture, hits), picture.scale, weight)
        total = compute_probabilities(log_odds + sum(evidence.values())).tolist()
        shown = calibrate_scores(request, query, total) if query else total
        order = sorted(range(len(hits)), key=lambda i: (ranks[i], total[i]), reverse=True)
        best = [hits[i].with_score(shown[i]) for i in order]
        if request.collapse_field:
            best = collapse(best)
        best = best[: request.settings.window]
        parts: dict[HitKey, dict[str, float]] = {
            hit.key: {name: round(float(values[i]), 4) for name, values in evidence.items()}
            for i, hit in enumerate(hits)
        }
        return RankedHits(tuple(best), len(hits), 0, model.version, picture=parts)


def _compare_words(picture: PictureQuery, hits: list[Hit]) -> Floats | None:
    if picture.words is None or not hits:
        return None
    return compute_words_cosines(picture.words, unpack_vectors([hit.vectors for hit in hits]))


def _narrow(request: RerankRequest, keys: list[HitKey]) -> RerankRequest:
    """Return the search for these products alone, each shown as the caller's search shows it."""
    query = {"bool": {"filter": [match_hits(keys)], "should": [request.query.query]}}
    if not request.text:
        query = {"bool": {"filter": [match_hits(keys)]}}
    body = {**request.body, "query": Raw(dumps(query))}
    return replace(request, query=QueryText(request.text, query, optional=True), body=body)
