"""The order of hits: the scored window, then the caller's other hits."""

from collections.abc import Mapping
from dataclasses import dataclass

from plugin_api.opensearch.client import Headers
from plugin_api.opensearch.raw_json import RawObject
from plugin_api.search.query.types import RerankRequest
from plugin_api.search.reasons import RerankStatus
from plugin_api.search.report import RerankReport, StageTimes
from plugin_api.search.retrieval.hit import Hit, HitKey


@dataclass(frozen=True, slots=True)
class RankedHits:
    """The order of all hits down to the end of the page, best first.

    `scored` counts the hits that the model scored, `added` those of them that only the vectors found,
    `without_vectors` those that kept their keyword place. `model` is the version that scored them.
    """

    hits: tuple[Hit, ...]
    scored: int
    added: int
    without_vectors: int
    model: str

    def page(self, request: RerankRequest) -> tuple[Hit, ...]:
        """Return the requested page."""
        return self.hits[request.start : request.end]


@dataclass(frozen=True, slots=True)
class RankedPage:
    """One page of ranked hits, complete as OpenSearch shows them, what stands around them, and what it took.

    `shell` and `headers` are of OpenSearch's answer, as in Candidates.
    """

    ranked: RankedHits
    complete_hits: Mapping[HitKey, RawObject]
    shell: RawObject
    headers: Headers
    took_ms: StageTimes
    cached: bool = False

    @property
    def report(self) -> RerankReport:
        """The report on this page."""
        return RerankReport(
            RerankStatus.RERANKED,
            self.ranked.model,
            window=self.ranked.scored,
            took_ms=self.took_ms,
            cached=self.cached,
            without_vectors=self.ranked.without_vectors,
        )
