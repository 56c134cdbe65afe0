"""The order of hits: the scored window, then the caller's other hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plugin_api.opensearch.connection import Headers
from plugin_api.opensearch.raw_json import RawObject
from plugin_api.search.query.request import RerankRequest
from plugin_api.search.report import RerankReport
from plugin_api.search.retrieval.candidates import Candidates
from plugin_api.search.retrieval.hit import Hit, HitKey


@dataclass(frozen=True, slots=True)
class RankedHits:
    """The order of all hits down to the end of the page, best first, and what stands around them.

    `scored` counts the hits that the model scored, `added` those of them that only the vectors found,
    `without_vectors` those that kept their keyword place. `model` is the version that scored them. `shell`
    and `headers` are of OpenSearch's answer, as in Candidates.
    """

    hits: tuple[Hit, ...]
    scored: int
    added: int
    without_vectors: int
    model: str
    shell: RawObject
    headers: Headers

    def page(self, request: RerankRequest) -> tuple[Hit, ...]:
        """Return the requested page."""
        return self.hits[request.start : request.end]


@dataclass(frozen=True, slots=True)
class RankedPage:
    """One page of ranked hits, complete as OpenSearch shows them, and the report on them."""

    ranked: RankedHits
    complete_hits: Mapping[HitKey, RawObject]
    report: RerankReport


def rank(
    candidates: Candidates, window: Sequence[Hit], probabilities: Sequence[float], model: str
) -> RankedHits:
    """Order the window by probability; the caller's other hits follow in their own order.

    Below the window a score is the window's lowest divided by 2, 3, 4 …, so that scores never rise down the
    list, on any page. A hit that has no vectors keeps its place in the caller's order, with the score of the
    hit above it.
    """
    hits = [replace(hit, score=score, vectors=b"") for hit, score in zip(window, probabilities, strict=True)]
    hits.sort(key=lambda hit: hit.score, reverse=True)
    inside = {hit.key for hit in hits}
    lowest = hits[-1].score if hits else 0.0
    rest = [hit for hit in candidates.own if hit.vectors and hit.key not in inside]
    rest += [hit for hit in candidates.below if hit.key not in inside]
    hits += [replace(hit, score=lowest / n, vectors=b"") for n, hit in enumerate(rest, start=2)]
    unscored = [(place, hit) for place, hit in enumerate(candidates.own) if not hit.vectors]
    for place, hit in unscored:
        above = hits[max(place - 1, 0)].score if hits else 0.0
        hits.insert(place, replace(hit, score=above))
    added = sum(hit.is_added for hit in window)
    around = (candidates.shell, candidates.headers)
    return RankedHits(tuple(hits), len(window), added, len(unscored), model, *around)
