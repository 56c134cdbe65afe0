"""The result set of a text: what the keyword search finds, and the products that the vectors add to it.

A product is added where it is among the nearest to the text and its probability is at least `search.floor`.
That depends on the text, the caller's view of the index and the model alone, never on the conditions around
the text: so filters, facets, totals and sorts, which are OpenSearch's own, agree about one set.
"""

from collections.abc import Mapping, Sequence

from mappings.settings import SearchSettings
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.deadline import Deadline
from plugin_api.search.failures import find_cause
from plugin_api.search.hit_key import HitKey
from plugin_api.search.memory.ranking_cache import RankingCache, RankingKey
from plugin_api.search.models import SearchModels
from plugin_api.search.query.types import AddWhen, TextSearch
from plugin_api.search.ranking import NO_ADDITIONS, Additions
from plugin_api.search.reasons import NotReranked, Reason
from plugin_api.search.retrieval.caller_client import CallerClient
from plugin_api.search.retrieval.candidates import count_hits, gather_neighbours
from plugin_api.search.retrieval.gathering import Gathering
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.retrieval.index_fingerprint import fetch_fingerprint
from plugin_api.search.retrieval.vector_cache import CallerVectors, VectorCache
from reranker.encoders.codec import have_words
from reranker.length_scaling import calibrate
from reranker.text.word_tokens import hash_words
from reranker.types import EncodedQuery, Reranker


class ResultSets:
    """Finds the additions to texts, for searches that are not reranked. Thread-safe."""

    def __init__(
        self, client: OpenSearchClient, models: SearchModels, vectors: VectorCache, rankings: RankingCache
    ) -> None:
        self._client, self._models, self._vectors, self._rankings = client, models, vectors, rankings

    def find_additions(self, search: TextSearch, deadline: Deadline) -> Additions:
        """Return the products that the vectors add to a text.

        Raises NotReranked where that can't be told, and BadRequest for an unknown model.
        """
        if search.query.optional or search.add_when is AddWhen.NEVER:
            return NO_ADDITIONS
        model = self._models.choose(search)
        caller = CallerClient(self._client, search.call, search.params, deadline, search.pit)
        try:
            if search.add_when is not AddWhen.ALWAYS and not self.finds_few(search, caller):
                return NO_ADDITIONS
            key = self._rankings.additions_key(search)
            known = self._cached(key, caller) if key else None
            additions = known or self._find(search, model, caller, key)
        except NotReranked:
            raise
        except Exception as error:  # the shopper still gets OpenSearch's own hits
            raise NotReranked(find_cause(error, deadline)) from error
        # Another search for the same text may have cached them, one that finds more by itself.
        return Additions(additions.keys, bool(additions.keys) and search.add_when is AddWhen.NOTHING_FOUND)

    def finds_few(self, search: TextSearch, caller: CallerClient) -> bool:
        """Return whether the text alone, whatever the conditions, has so few hits that products are added."""
        return count_hits(caller, search, search.min_hits) < search.min_hits

    def _cached(self, key: RankingKey, caller: CallerClient) -> Additions | None:
        cached = self._rankings.get_additions(key)
        if cached is None:
            return None
        fingerprint = fetch_fingerprint(caller, key.shards)
        self._rankings.observe(key, fingerprint)
        return cached.value if fingerprint.digest == cached.digest else None

    def _find(
        self, search: TextSearch, model: Reranker, caller: CallerClient, key: RankingKey | None
    ) -> Additions:
        query = self._models.encode(model, search.text, caller.deadline)
        new = self._rankings.begin(key)
        vectors = CallerVectors(self._vectors, search.call.caller_key, model.is_readable)
        how = Gathering.by(vectors, new.shards)
        gathered = gather_neighbours(caller, search, query.vector, search.settings.window, how)
        if gathered.neighbours_error:
            raise NotReranked(Reason.KNN_FAILED.because(error=gathered.neighbours_error))
        other = self._models.choose_for(search, model, gathered.neighbours)
        if other is not model:
            return self._find(search, other, caller, key)
        near = [hit for hit in gathered.neighbours if hit.vectors]
        probability = self._models.score(model, query, near, search.settings.head_weights, caller.deadline)
        additions = Additions(choose_additions(query, near, probability, search.settings))
        self._rankings.finish(new, gathered.fingerprint, additions)
        return additions


def choose_additions(
    query: EncodedQuery,
    neighbours: Sequence[Hit],
    probability: Mapping[HitKey, float],
    settings: SearchSettings,
) -> tuple[HitKey, ...]:
    """Return the keys of those neighbours that are likely enough."""
    likely = rate_neighbours(query, neighbours, probability)
    return tuple(hit.key for hit, rating in zip(neighbours, likely, strict=True) if rating >= settings.floor)


def rate_neighbours(
    query: EncodedQuery, neighbours: Sequence[Hit], probability: Mapping[HitKey, float]
) -> list[float]:
    """Return the probability (n,) by which each neighbour is added: the calibrated one.

    What has none of the query's words has to be as likely before calibration, too, which raises the
    probabilities of long texts: some product is always the nearest to a text of no meaning. Measured on half
    of ESCI's queries, nDCG@10 of the whole catalogue: English 0.806 where all need it before calibration,
    0.837 so; Spanish 0.717 and 0.817, Japanese 0.743 and 0.755; electronics 0.796 and 0.797.
    """
    raw = [probability[hit.key] for hit in neighbours]
    rated = calibrate(query, raw)
    raised = [at for at, rating in enumerate(rated) if rating > raw[at]]
    has_words = have_words([neighbours[at].vectors for at in raised], hash_words(query.words))
    for at, has_word in zip(raised, has_words.tolist(), strict=True):
        rated[at] = rated[at] if has_word else raw[at]
    return rated
