"""The order of hits: the scored window, then the other hits in OpenSearch's own order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plugin_api.opensearch.client import Headers
from plugin_api.opensearch.raw_json import RawObject
from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.types import RerankRequest, TextSearch
from plugin_api.search.reasons import RerankStatus
from plugin_api.search.report import RerankReport, ShownExperiment, StageTimes, UnderstoodPart
from plugin_api.search.retrieval.hit import Hit
from plugin_api.shoppers.experiments.tag import Variant


@dataclass(frozen=True, slots=True)
class Additions:
    """The products that the vectors add to a text, and whether it would have found nothing else."""

    keys: tuple[HitKey, ...] = ()
    rescued: bool = False


NO_ADDITIONS = Additions()


@dataclass(frozen=True, slots=True)
class RankedHits:
    """The order of hits down to the end of the page, best first.

    `scored` counts the hits that the model scored, `without_vectors` those that kept their keyword place.
    They are hits of the caller's query widened by the `additions`. `model` is the version that scored them.
    Where they are not `complete`, OpenSearch has more hits, in its own order. `behaviour` has the log-odds
    that popularity and a shopper's history added to hits, by feature. `variant` is what an experiment shows,
    `first_team` the hits that its first ranking put into an interleaved list. `picture` has the log-odds that
    a picture in the search added, as `behaviour` does. `shell` is the answer without its hits, where that
    holds for as long as the order does.
    """

    hits: tuple[Hit, ...]
    scored: int
    without_vectors: int
    model: str
    additions: Additions = NO_ADDITIONS
    complete: bool = True
    behaviour: Mapping[HitKey, Mapping[str, float]] = field(default_factory=dict)
    variant: Variant | None = None
    first_team: frozenset[HitKey] = frozenset()
    picture: Mapping[HitKey, Mapping[str, float]] = field(default_factory=dict)
    shell: RawObject | None = None

    def page(self, request: RerankRequest) -> tuple[Hit, ...]:
        """Return the requested page."""
        return self.hits[request.start : request.end]


@dataclass(frozen=True, slots=True)
class RankedPage:
    """One page of ranked hits, complete as OpenSearch shows them, what stands around them, and what it took.

    `shell` and `headers` are of OpenSearch's answer, as in FetchedPage. `labels` say what a picture in the
    search shows.
    """

    ranked: RankedHits
    complete_hits: Mapping[HitKey, RawObject]
    shell: RawObject
    headers: Headers
    took_ms: StageTimes
    request: RerankRequest
    cached: bool = False
    experiment: ShownExperiment | None = None
    labels: tuple[str, ...] = ()

    @property
    def report(self) -> RerankReport:
        """The report on this page."""
        report = RerankReport(
            RerankStatus.RERANKED,
            self.ranked.model,
            window=self.ranked.scored,
            took_ms=self.took_ms,
            cached=self.cached,
            rescued=self.ranked.additions.rescued,
            without_vectors=self.ranked.without_vectors,
            behaviour={
                key[1]: parts for key, parts in self.ranked.behaviour.items() if key in self.complete_hits
            },
            picture={
                key[1]: parts for key, parts in self.ranked.picture.items() if key in self.complete_hits
            },
            labels=self.labels,
            understood=tuple(list_parts(self.request)),
            experiment=self.experiment,
        )
        return report.with_text(self.request)


def list_parts(search: TextSearch) -> Iterator[UnderstoodPart]:
    """Yield the parts of a text that demand something, with their kinds."""
    text = search.understanding.text if search.understanding else ""
    for demand in search.demands:
        yield UnderstoodPart(demand.kind, text[demand.span.start : demand.span.end])


def rank(
    own: Sequence[Hit], window: Sequence[Hit], scores: Sequence[float], probabilities: Sequence[float]
) -> list[Hit]:
    """Order the window by `scores` (n,), and show `probabilities` (n,), which rise with them.

    A hit that has no vectors keeps its place in the caller's order, with the score of the hit above it.
    """
    order = sorted(range(len(window)), key=scores.__getitem__, reverse=True)
    hits = [window[at].with_score(probabilities[at]) for at in order]
    for place, hit in enumerate(own):
        if not hit.vectors:
            above = max(min(place, len(hits)) - 1, 0)
            hits.insert(place, hit.with_score(hits[above].score if hits else 0.0))
    return hits


def collapse(hits: Sequence[Hit]) -> list[Hit]:
    """Keep the best hit of each group."""
    best: dict[bytes, Hit] = {}
    for hit in hits:
        best.setdefault(hit.group, hit)
    return list(best.values())


def append_rest(hits: Sequence[Hit], order: Sequence[Hit], by_group: bool) -> list[Hit]:
    """Append those hits of OpenSearch's order that are not there yet; `by_group`, those of other groups.

    Their scores are the lowest above them divided by 2, 3, 4 …, so that scores never rise down the list, on
    any page.
    """
    inside = {hit.group if by_group else hit.key for hit in hits}
    lowest = hits[-1].score if hits else 0.0
    rest = [hit for hit in order if (hit.group if by_group else hit.key) not in inside]
    return [*hits, *(hit.with_score(lowest / n) for n, hit in enumerate(rest, start=2))]
