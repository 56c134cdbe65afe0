"""What a cluster that reranks by itself (`attune install`) asks of the sidecar: widening and scoring.

A search pipeline calls twice, both times with the caller's search as it came: before the search, to make it
hybrid, and after it, to score the hits by the vectors that came with them. Nothing is remembered in between,
and the sidecar asks OpenSearch nothing: it sees what the caller's own search found, and no more.
"""

import binascii
import math
from collections.abc import Sequence

from mappings import fields
from mappings.errors import BadRequest, ModelError
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import RawObject, decoded, dumps, raw_object
from plugin_api.search.query.request import RerankRequest, SearchCall, parse_call
from plugin_api.search.rerank import UNREADABLE
from plugin_api.search.retrieval.candidates import nearest
from reranker.keyword_evidence import add_keyword_evidence
from reranker.types import EncodedQuery, Reranker

DEPTH = 1000
"""How far down a hybrid search is paged. Constant, or pages would be of different lists."""

RANK_WEIGHT = 5 / 3
"""Weight of a hit's rank in the first stage, over its keyword score's, which a pipeline doesn't hand on.

Whole-catalogue nDCG@10 on the electronics judgements, over BM25 on all fields and on two: 0.801 and 0.782; by
keyword scores at weight 1, as the sidecar's own `_search` goes, 0.796 and 0.778; 0.721 and 0.707 by neither.
"""

NEEDED = (fields.TOKENS, fields.MODEL)
UNNEEDED = (fields.VECTOR, fields.ID, fields.HASH, fields.VERSION, fields.CHANGED)


class NotReranked(Exception):
    """The search keeps the hits and the order that OpenSearch gave it; the message says why."""


class ClusterSearch:
    """Rewrites searches and scores their hits. Thread-safe; holds no state of a search."""

    def __init__(self, reranker: Reranker, settings: Settings) -> None:
        self._reranker = reranker
        self._settings = settings.search
        wanted = settings.search
        self._heads = (wanted.relevance_weight, wanted.click_weight, wanted.purchase_weight)

    def rewritten(self, search: bytes, window: int, hybrid: bool = True) -> bytes:
        """Return the search that OpenSearch is to run: hybrid where vectors may add hits, `window` hits deep.

        A `window` of 0 leaves the page as it is; without `hybrid` the query stays what it is. What can't be
        reranked comes back as it came.
        """
        request = _read(search)
        if not isinstance(request, RerankRequest):
            return search
        try:
            query = self._encoded(request)
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
        if request.widens and hybrid:
            own, k = body["query"], max(window, self._settings.window)
            arms = [own, nearest(query.vector, k, request.conditions)]
            changed["query"] = {"hybrid": {"queries": arms, "pagination_depth": DEPTH}}
            highlight = decoded(body.get("highlight"))
            if isinstance(highlight, dict):
                # A k-NN query has no words to highlight; the caller's has.
                changed["highlight"] = {"highlight_query": own, **highlight}
        return dumps({**body, **changed})

    def scores(self, search: bytes, tokens: Sequence[str], models: Sequence[str], window: int) -> list[float]:
        """Return a score for each hit, given by what its fields of NEEDED hold, in first-stage order.

        Scores are the probabilities that `_search` gives, with the hit's rank in place of its keyword score.
        Where there are more hits than the caller's page has, the page's score higher than all others.
        Raises NotReranked; BadRequest where tokens and models are not of the same hits.
        """
        request = _read(search)
        if not isinstance(request, RerankRequest):
            raise NotReranked(request)
        if len(tokens) != len(models):
            raise BadRequest(f"{len(tokens)} tokens and {len(models)} models: one of each for every hit")
        if other := next((model for model in models if model != self._reranker.version), ""):
            raise NotReranked(
                f"an index was made with model {other}, this is {self._reranker.version}: index the "
                "catalogue again, or set model.folder to that model"
            )
        query = self._encoded(request)
        deep = bool(window) and request.start >= window
        inside = 0 if deep else min(len(tokens), window or len(tokens))
        first = request.start if not window else 0
        scores = self._probabilities(query, [_stored(text) for text in tokens[:inside]], first)
        lowest = min(scores, default=1 / (2 + request.start))
        scores += [lowest / divisor for divisor in range(2, 2 + len(tokens) - inside)]
        if not window or deep or len(tokens) <= request.size:
            return scores
        return _page_first(scores, request.start, request.size)

    def _encoded(self, request: RerankRequest) -> EncodedQuery:
        query = self._reranker.encode_query(request.text)
        if query.unknown >= UNREADABLE:
            raise NotReranked(f"model {self._reranker.version} doesn't know {query.unknown:.0%} of the query")
        return query

    def _range(self, request: RerankRequest, window: int) -> tuple[int, int]:
        """From and size to ask for, so that the whole window is there wherever the page lies in it."""
        end = request.start + request.size
        if end > DEPTH:
            raise NotReranked(f"hits below the {DEPTH}th keep their order")
        return (request.start, request.size) if request.start >= window else (0, max(end, window))

    def _probabilities(self, query: EncodedQuery, stored: Sequence[bytes], first: int) -> list[float]:
        """Probabilities of hits from rank `first` on, 0 being the best."""
        if not stored:
            return []
        scores = self._reranker.score(query, stored, self._heads).tolist()
        if len(scores) != len(stored) or not all(map(math.isfinite, scores)):
            raise ModelError(f"model {self._reranker.version} returned scores that are no probabilities")
        shares = [_share(rank) for rank in range(first, first + len(stored))]
        # One more hit, of the best share, keeps a later page from being measured by its own best.
        weighed = add_keyword_evidence(
            [*scores, 0.5], [*shares, 1.0], RANK_WEIGHT * self._settings.keyword_weight
        )
        return weighed[:-1]


def _read(search: bytes) -> RerankRequest | str:
    """The search if it can be reranked, else why it can't."""
    request = parse_call(SearchCall("", search))
    return request if isinstance(request, RerankRequest) else request.reason


def _with_vectors(source: object) -> JsonObject:
    """The `_source` that brings what scoring needs besides what the caller wants."""
    if source is False:
        return {"includes": list(NEEDED)}
    wanted = source if isinstance(source, dict) else {"includes": _names(source)}
    includes, excludes = (_names(wanted.get(key)) for key in ("includes", "excludes"))
    kept = [name for name in excludes if name.split(".")[0] not in (fields.ATTUNE, "*")]
    return {"includes": [*includes, *NEEDED] if includes else [], "excludes": [*kept, *UNNEEDED]}


def _names(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(name) for name in value]
    return [value] if isinstance(value, str) else []


def _stored(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text + "==")
    except binascii.Error as error:
        raise BadRequest(f"{fields.TOKENS} is no base64") from error


def _share(rank: int) -> float:
    """How much of the best keyword score a hit of this rank typically has: 1 at the top, 0.2 at the 100th."""
    return max(1 - 0.8 * math.log(1 + rank, 101), 0.0)


def _page_first(scores: Sequence[float], start: int, size: int) -> list[float]:
    """Lower the scores of all hits but the page's, since the pipeline can only cut a list off at its end."""
    ranked = sorted(range(len(scores)), key=lambda hit: -scores[hit])
    page = set(ranked[start : start + size])
    lowest = min((scores[hit] for hit in page), default=1.0)
    return [score if hit in page else lowest * score / 2 for hit, score in enumerate(scores)]
