"""Rewrite searches and score hits for a cluster that reranks by itself (`attune install`).

A search pipeline calls twice, both times with the caller's search as it came: before the search, to make it
hybrid, and after it, to score the hits by the vectors that came with them. Nothing is remembered in between,
and nothing is requested from OpenSearch: the sidecar sees only what the caller's own search found. So what
`attune tune` has recorded in an index does not hold here; the sidecar's own settings do.
"""

import binascii
import math
from collections.abc import Sequence

from mappings import fields
from mappings.errors import BadRequest, ModelError
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import RawObject, decoded, dumps, raw_object
from plugin_api.search.models import MAX_UNKNOWN_SHARE
from plugin_api.search.query.request import parse_call
from plugin_api.search.query.types import AddWhen, RerankRequest, SearchCall
from plugin_api.search.reasons import NotReranked, Reason
from plugin_api.search.retrieval.candidates import nearest
from plugin_api.search.retrieval.named_clauses import find_conditions
from reranker.keyword_evidence import add_keyword_evidence, compute_spread, weigh_keywords
from reranker.length_scaling import calibrate
from reranker.types import EncodedQuery, Reranker

_PAGINATION_DEPTH = 1000
"""Hits down to which a hybrid search is paged. It is constant, or pages would be of different lists."""

NEEDED_FIELDS = (fields.TOKENS, fields.MODEL)
_OTHER_FIELDS = (fields.VECTOR, fields.KEY, fields.HASH, fields.VERSION, fields.CHANGED)


class ClusterSearch:
    """Rewrites searches and scores their hits. Thread-safe; holds no state of a search."""

    def __init__(self, reranker: Reranker, settings: Settings) -> None:
        self._reranker = reranker
        self._settings = settings.search

    def rewrite(self, search: bytes, window: int, hybrid: bool = True) -> bytes:
        """Return the search that OpenSearch is to run: hybrid where vectors may add hits, `window` hits deep.

        A `window` of 0 leaves the page as it is; without `hybrid` the query stays what it is. What can't be
        reranked comes back as it came.
        """
        request = parse_call(SearchCall("", search), self._settings)
        if not isinstance(request, RerankRequest) or request.end > _PAGINATION_DEPTH or request.keeps_order:
            return search
        try:
            query = self._encode(request)
            start, size = self._range(request, window)
        except NotReranked:
            return search
        body: RawObject = {key: raw for key, raw in raw_object(search).items() if key != "sort"}
        changed: JsonObject = {
            "from": start,
            "size": size,
            "_source": _with_vectors(decoded(body.get("_source"))),
        }
        if decoded(body.get("track_total_hits")) is False:
            del body["track_total_hits"]  # the rerank processor fails where there is no total
        if request.add_when is AddWhen.ALWAYS and "query" in body and hybrid:
            own, k = body["query"], max(window, self._settings.window)
            arms = [own, nearest(query.vector, k, find_conditions(request))]
            changed["query"] = {"hybrid": {"queries": arms, "pagination_depth": _PAGINATION_DEPTH}}
            highlight = decoded(body.get("highlight"))
            if isinstance(highlight, dict):
                # A k-NN query has no words to highlight; the caller's has.
                changed["highlight"] = {"highlight_query": own, **highlight}
        return dumps({**body, **changed})

    def score(self, search: bytes, tokens: Sequence[str], models: Sequence[str], window: int) -> list[float]:
        """Return a score for each hit, given by what its NEEDED_FIELDS hold, in first-stage order.

        Scores are the probabilities that `_search` gives, with the hit's rank in place of its keyword score.
        Where there are more hits than the caller's page has, the page's score higher than all others.
        Raises NotReranked; BadRequest where tokens and models are not of the same hits.
        """
        request = parse_call(SearchCall("", search), self._settings)
        if not isinstance(request, RerankRequest):
            raise NotReranked(request.cause)
        if request.keeps_order:
            raise NotReranked(Reason.ORDER_KEPT.because(kind=request.kind))
        if len(tokens) != len(models):
            raise BadRequest(f"{len(tokens)} tokens and {len(models)} models: one of each for every hit")
        if other := next((model for model in models if model != self._reranker.version), ""):
            versions = {"made_with": other, "model": self._reranker.version}
            raise NotReranked(Reason.MODEL_MISMATCH.because(index="of this search", **versions))
        query = self._encode(request)
        deep = bool(window) and request.start >= window
        inside = 0 if deep else min(len(tokens), window or len(tokens))
        first = request.start if not window else 0
        scores = self._probabilities(query, [_decode(text) for text in tokens[:inside]], first)
        lowest = min(scores, default=1 / (2 + request.start))
        scores += [lowest / divisor for divisor in range(2, 2 + len(tokens) - inside)]
        if not window or deep or len(tokens) <= request.size:
            return scores
        return _page_first(scores, request.start, request.size)

    def _encode(self, request: RerankRequest) -> EncodedQuery:
        query = self._reranker.encode_query(request.text)
        if query.unknown >= MAX_UNKNOWN_SHARE:
            details = {"model": self._reranker.version, "share": f"{query.unknown:.0%}"}
            raise NotReranked(Reason.UNKNOWN_WORDS.because(**details))
        return query

    def _range(self, request: RerankRequest, window: int) -> tuple[int, int]:
        """Return from and size so that the whole window comes, wherever the page lies in it."""
        return (request.start, request.size) if request.start >= window else (0, max(request.end, window))

    def _probabilities(self, query: EncodedQuery, stored: Sequence[bytes], first: int) -> list[float]:
        """Return the probabilities of hits from rank `first` on, 0 being the best."""
        if not stored:
            return []
        scores = self._reranker.score_raw(query, stored, self._settings.head_weights).tolist()
        if len(scores) != len(stored) or not all(map(math.isfinite, scores)):
            raise ModelError(f"model {self._reranker.version} returned scores that are not probabilities")
        shares = [_keyword_share(rank) for rank in range(first, first + len(stored))]
        # One more hit, of the best share, keeps a later page from being measured by its own best.
        weight = weigh_keywords(self._settings.keyword_weight, query)
        weighed = add_keyword_evidence([*scores, 0.5], [*shares, 1.0], weight)
        return calibrate(query, weighed[:-1], compute_spread(weight))


def _with_vectors(source: object) -> JsonObject:
    """Return a `_source` that has the fields that scoring needs beside those that the caller requests."""
    if source is False:
        return {"includes": list(NEEDED_FIELDS)}
    source_filter = source if isinstance(source, dict) else {"includes": _names(source)}
    includes, excludes = (_names(source_filter.get(key)) for key in ("includes", "excludes"))
    excludes = [name for name in excludes if name.split(".")[0] not in (fields.ATTUNE, "*")]
    return {
        "includes": [*includes, *NEEDED_FIELDS] if includes else [],
        "excludes": [*excludes, *_OTHER_FIELDS],
    }


def _names(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(name) for name in value]
    return [value] if isinstance(value, str) else []


def _decode(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text + "==")
    except binascii.Error as error:
        raise BadRequest(f"{fields.TOKENS} is not base64") from error


def _keyword_share(rank: int) -> float:
    """Return the typical share of the best keyword score at a rank: 1 at the top, 0.2 at the 100th.

    A pipeline does not pass keyword scores on. Whole-catalogue nDCG@10 on the electronics judgements, over
    BM25 on all fields and on two fields, at weight 5: 0.801 and 0.782 by rank; 0.721 and 0.707 without.
    """
    return max(1 - 0.8 * math.log(1 + rank, 101), 0.0)


def _page_first(scores: Sequence[float], start: int, size: int) -> list[float]:
    """Lower the scores of all hits outside the page: the pipeline can only cut a list off at its end."""
    ranked = sorted(range(len(scores)), key=lambda hit: -scores[hit])
    page = set(ranked[start : start + size])
    lowest = min((scores[hit] for hit in page), default=1.0)
    return [score if hit in page else lowest * score / 2 for hit, score in enumerate(scores)]
