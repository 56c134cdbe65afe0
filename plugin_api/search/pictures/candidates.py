"""The candidates of a search by picture: alike pictures, near texts, and what the words find.

All meet the conditions of the caller's query and its `post_filter`, before the nearest are chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mappings import fields
from mappings.types import JsonObject
from plugin_api.search.hit_key import HitKey
from plugin_api.search.pictures.tower import PictureQuery
from plugin_api.search.query.clauses import match_hits
from plugin_api.search.query.types import RerankRequest
from plugin_api.search.retrieval.caller_client import (
    CallerClient,
    CallerSearch,
    SearchRefused,
    error_sentence,
)
from plugin_api.search.retrieval.candidates import MATCH_KEYS, nearest, read_groups
from plugin_api.search.retrieval.demand_clauses import build_demand_clauses
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.retrieval.named_clauses import find_conditions
from plugin_api.search.retrieval.slim_hits import read_slim_answer, slim_body
from reranker.encoders.codec import quantise_vector
from reranker.types import Floats

_UNCOUNTED: JsonObject = {"track_total_hits": False}


@dataclass(frozen=True, slots=True)
class PictureCandidates:
    """The candidates, each once, and the cosine of those whose own picture was compared."""

    hits: tuple[Hit, ...]
    alike: dict[HitKey, float] = field(default_factory=dict)


def gather_by_picture(
    caller: CallerClient,
    request: RerankRequest,
    picture: PictureQuery,
    text_vector: Floats | None,
    has_pictures: bool,
    with_ids: bool = False,
) -> PictureCandidates:
    """Return the candidates of a search. `text_vector` is that of its words, None where it has none.

    Raises SearchRefused where OpenSearch refuses the caller's search, and as CallerClient does.
    """
    conditions = [*request.required, *find_conditions(request)]
    window = request.settings.window
    demands = request.understanding.sought if request.understanding else ()
    clauses = build_demand_clauses(demands, request.understanding.text) if request.understanding else []
    near: list[JsonObject] = []
    for filters in [conditions, [*conditions, *clauses]] if clauses else [conditions]:
        near += [near_picture(picture.vector, window, filters)] if has_pictures else []
        near += [nearest(picture.words, window, filters)] if picture.words is not None else []
    if text_vector is not None:
        near.append(nearest(text_vector, window, conditions))
    slim = _slim_keys(request, with_ids)
    searches = [CallerSearch({"query": query, **_UNCOUNTED, **slim, "size": window}) for query in near]
    if request.text:
        own = {key: request.body[key] for key in MATCH_KEYS if key in request.body}
        searches.append(
            CallerSearch({**own, "query": request.body["query"], **_UNCOUNTED, **slim, "size": window})
        )
    _, answers = caller.search_all(searches)
    hits: dict[HitKey, Hit] = {}
    alike: dict[HitKey, float] = {}
    for place, answer in enumerate(answers):
        parsed = read_slim_answer(answer)
        if parsed.error:
            raise SearchRefused(parsed.status, error_sentence(parsed.error))
        if not with_ids and not all(hit.id for hit in parsed.hits):
            return gather_by_picture(caller, request, picture, text_vector, has_pictures, with_ids=True)
        is_own = bool(request.text) and place == len(answers) - 1
        groups = read_groups(request, answer)
        for number, hit in enumerate(parsed.hits):
            if place < len(near) and fields.PICTURE in near[place]["knn"]:
                alike[hit.key] = score_to_cosine(hit.score)
            before = hits.get(hit.key)
            hits[hit.key] = Hit(
                *hit.key,
                hit.score if is_own else before.keyword_score if before else 0.0,
                0.0,
                hit.vectors.tokens,
                hit.model,
                group=groups[number] if groups else b"",
                facts=hit.vectors.facts,
                price=hit.price,
            )
    if has_pictures and (rest := [key for key in hits if key not in alike]):
        alike |= _compare_pictures(caller, picture, rest)
    return PictureCandidates(tuple(hits.values()), alike)


def near_picture(vector: Floats, k: int, conditions: Sequence[JsonObject]) -> JsonObject:
    """Return the query for the `k` products whose pictures are nearest to a vector (d,)."""
    near: JsonObject = {"vector": quantise_vector(vector), "k": k}
    if conditions:
        near["filter"] = {"bool": {"filter": list(conditions)}}
    return {"knn": {fields.PICTURE: near}}


def score_to_cosine(score: float) -> float:
    """Return the cosine that a k-NN score of OpenSearch stands for, in the space `cosinesimil`."""
    return 2 * score - 1


def compute_words_cosines(words: Floats, vectors: Floats) -> Floats:
    """Return the cosines (n,) of a picture's words (t,) and products' vectors (n, t), all of unit length."""
    cosines: Floats = np.asarray(vectors @ words, dtype=np.float32)
    return cosines


def _compare_pictures(
    caller: CallerClient, picture: PictureQuery, keys: Sequence[HitKey]
) -> dict[HitKey, float]:
    """Return the cosine of those products that have a picture."""
    query = near_picture(picture.vector, len(keys), [match_hits(keys)])
    body = {"query": query, "size": len(keys), **_UNCOUNTED, **slim_body(False, with_ids=True)}
    answer = read_slim_answer(caller.search_all([CallerSearch(body)])[1][0])
    if answer.error:
        raise SearchRefused(answer.status, error_sentence(answer.error))
    return {hit.key: score_to_cosine(hit.score) for hit in answer.hits}


def _slim_keys(request: RerankRequest, with_ids: bool) -> JsonObject:
    slim = slim_body(True, with_ids, with_prices=bool(request.demands))
    if group := request.collapse_field:
        slim["docvalue_fields"] = [*slim["docvalue_fields"], group]
    return slim
