"""From a click log to what it says of each query's products, freed from where they stood."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mappings.errors import LabelsError
from mappings.settings import ClickSettings
from reranker.training.clicks.click_log import ClickLog
from reranker.training.clicks.position_bias import (
    BANDS,
    Impressions,
    PositionModel,
    assign_bands,
    fit_position_model,
    sum_by_row,
)
from reranker.training.clicks.robots_filter import filter_robots
from reranker.training.clicks.search_interactions import SearchInteraction, join_log
from reranker.types import Doubles

Pair = tuple[str, str]
"""A query's key and a product id."""

_MOVED_CLICKS = 100
"""Clicks on products that moved, below which examination is more assumed than learnt."""


@dataclass(frozen=True, slots=True)
class ClickEvidence:
    """What shoppers did with one product of one query.

    `click` is the probability that a shopper who looks at the product clicks it, `purchase` that one who
    looks buys it or, with `clicks.cart_counts`, puts it in the cart; NaN where the log has no purchases.
    `shown` is how many shows were looked at, by expectation: the evidence behind both.
    """

    query: str
    product_id: str
    click: float
    purchase: float
    shown: float


@dataclass(frozen=True, slots=True)
class Examination:
    """How often shoppers look at results from position `first` to `last` (0: no end), beside position 1."""

    first: int
    last: int
    examined: float
    shown: int

    @property
    def name(self) -> str:
        """The positions, as `3`, `11-15` or `101-`."""
        return str(self.first) if self.last == self.first else f"{self.first}-{self.last or ''}"


@dataclass(frozen=True, slots=True)
class ClickSummary:
    """What was read, what was dropped and why, and what the click model learnt.

    `dropped` counts searches, actions, queries and pairs by reason; `examples` names some unreadable lines;
    `robots` has the busiest clients dropped as robots, with their searches. `compared` is how many clicks the
    examination curve was learnt from: those on products that stood at several positions.
    """

    searches: int
    actions: Mapping[str, int]
    dropped: Mapping[str, int]
    examples: tuple[str, ...]
    robots: tuple[tuple[str, int], ...]
    queries: int
    pairs: int
    clicks: int
    purchases: int
    examination: tuple[Examination, ...]
    compared: int

    def lines(self) -> Iterator[str]:
        """Yield the summary as lines to print."""
        yield f"{self.searches} searches and {sum(self.actions.values())} actions read"
        for reason, count in sorted(self.dropped.items(), key=lambda item: -item[1]):
            yield f"  dropped: {count} {reason}"
        for example in self.examples:
            yield f"  {example}"
        for client, count in self.robots:
            yield f"  robot: {client}, {count} searches"
        outcome = (
            f"{self.queries} queries, {self.pairs} pairs, {self.clicks} clicks, {self.purchases} purchases"
        )
        yield f"kept: {outcome}"
        curve = ", ".join(f"{band.name} {band.examined:.2f}" for band in self.examination)
        yield f"examination by position: {curve}"
        if self.compared < _MOVED_CLICKS:
            yield (
                f"  only {self.compared} clicks are on products that stood at several positions: "
                "the curve is more assumed than learnt"
            )


@dataclass(frozen=True, slots=True)
class _Counts:
    """Visits added up by pair and band of positions."""

    pairs: list[Pair]
    shows: Impressions
    clicked: Doubles  # (P,)
    bought: Doubles  # (P,)


def derive_click_evidence(
    log: ClickLog, settings: ClickSettings, ids: Mapping[str, str] | None = None
) -> tuple[list[ClickEvidence], ClickSummary]:
    """Return the evidence on every pair that has enough, by query and best first, and what became of the log.

    `ids` has every name that the log may call a product of the catalogue → its id; pairs of other products
    are dropped. Without it the log's ids are taken as they are. The examination of positions is learnt from
    all visits of shoppers (`filter_robots`); then queries with fewer than `min_searches` searches,
    `min_clients` clients or `min_clicks` clicks are dropped, and pairs looked at less than `min_examined`
    times. Clicks and purchases are drawn to their mean by `prior_strength`.

    Raises LabelsError when nothing is left, saying what was dropped.
    """
    joined = join_log(log, settings, ids or {})
    traffic = filter_robots(joined.visits, settings)
    visits = [visit for visit in traffic.visits if visit.places]
    dropped = joined.dropped + traffic.dropped
    dropped["searches that showed nothing"] = len(traffic.visits) - len(visits)
    evidence: list[ClickEvidence] = []
    counts = _count(visits)
    model = fit_position_model(counts.shows, settings.prior_strength) if counts.pairs else None
    enough_seen: list[int] = []
    if model:
        enough = _enough(visits, settings, dropped)
        rows = [row for row, (key, _) in enumerate(counts.pairs) if key in enough]
        enough_seen = [row for row in rows if model.examined[row] >= settings.min_examined]
        dropped["pairs that were looked at too seldom"] += len(rows) - len(enough_seen)
        if ids is not None:
            enough_seen = _known(counts, enough_seen, ids, dropped)
        evidence = _evidence(counts, model, enough_seen, enough, settings.prior_strength)
    summary = ClickSummary(
        searches=joined.searches,
        actions=joined.actions,
        dropped=+dropped,
        examples=joined.examples,
        robots=tuple(traffic.robots.most_common(3)),
        queries=len({label.query for label in evidence}),
        pairs=len(evidence),
        clicks=int(counts.clicked[enough_seen].sum()),
        purchases=int(counts.bought[enough_seen].sum()),
        examination=tuple(_curve(counts.shows, model)) if model else (),
        compared=model.compared if model else 0,
    )
    if not evidence:
        raise LabelsError(_nothing(summary))
    return evidence, summary


def _count(visits: Iterable[SearchInteraction]) -> _Counts:
    pairs: dict[Pair, int] = {}
    rows: dict[tuple[int, int], int] = {}
    shown: list[int] = []
    clicked: list[int] = []
    bought: Counter[int] = Counter()
    for visit in visits:
        for (product, _), band in zip(
            visit.places.items(), assign_bands(list(visit.places.values())).tolist(), strict=True
        ):
            pair = pairs.setdefault((visit.key, product), len(pairs))
            row = rows.setdefault((pair, band), len(rows))
            if row == len(shown):
                shown.append(0)
                clicked.append(0)
            shown[row] += 1
            clicked[row] += product in visit.clicked
            bought[pair] += product in visit.bought
    cells = np.array(list(rows), dtype=np.int64).reshape(-1, 2)  # (n, 2)
    shows = Impressions(
        cells[:, 0], cells[:, 1], np.array(shown, dtype=float), np.array(clicked, dtype=float)
    )
    return _Counts(
        list(pairs),
        shows,
        sum_by_row(shows.pair, shows.clicked, len(pairs)),
        np.array([bought[pair] for pair in range(len(pairs))], dtype=float),
    )


def _enough(
    visits: Iterable[SearchInteraction], settings: ClickSettings, dropped: Counter[str]
) -> Mapping[str, str]:
    """Return the queries with enough evidence: key → the spelling that is most used."""
    searches: Counter[str] = Counter()
    clicks: Counter[str] = Counter()
    clients: dict[str, set[str]] = {}
    spellings: dict[str, Counter[str]] = {}
    for visit in visits:
        searches[visit.key] += 1
        clicks[visit.key] += len(visit.clicked)
        clients.setdefault(visit.key, set()).add(visit.client)
        spellings.setdefault(visit.key, Counter())[visit.query] += 1
    spelling_of = {
        key: spellings[key].most_common(1)[0][0]
        for key, count in searches.items()
        if count >= settings.min_searches
        and len(clients[key]) >= settings.min_clients
        and clicks[key] >= settings.min_clicks
    }
    dropped["queries with too few searches, clients or clicks"] += len(searches) - len(spelling_of)
    return spelling_of


def _evidence(
    counts: _Counts, model: PositionModel, rows: Iterable[int], spelling: Mapping[str, str], strength: float
) -> list[ClickEvidence]:
    """Purchases are P(click) · P(purchase | click), each with its prior (Ma et al., SIGIR 2018)."""
    clicks, purchases = counts.clicked.sum(), counts.bought.sum()
    rate = purchases / clicks if purchases else math.nan
    bought = (counts.bought + strength * rate) / (counts.clicked + strength)  # (P,)
    evidence = [
        ClickEvidence(
            spelling[counts.pairs[row][0]],
            counts.pairs[row][1],
            float(model.attraction[row]),
            float(model.attraction[row] * bought[row]),
            float(model.examined[row]),
        )
        for row in rows
    ]
    return sorted(evidence, key=lambda e: (e.query, -e.click, e.product_id))


def _curve(shows: Impressions, model: PositionModel) -> Iterator[Examination]:
    shown = sum_by_row(shows.band, shows.shown, len(BANDS))
    for band, first in enumerate(BANDS):
        if shown[band]:
            last = BANDS[band + 1] - 1 if band + 1 < len(BANDS) else 0
            yield Examination(first, last, float(model.examination[band]), int(shown[band]))


def _known(counts: _Counts, rows: Sequence[int], ids: Mapping[str, str], dropped: Counter[str]) -> list[int]:
    """Return the rows whose products the catalogue has. Raises LabelsError where that is none of many."""
    catalogue = set(ids.values())
    known = [row for row in rows if counts.pairs[row][1] in catalogue]
    dropped["pairs of products that the catalogue lacks"] += len(rows) - len(known)
    if rows and not known:
        names = {counts.pairs[row][1] for row in rows}
        raise LabelsError(
            f"none of the {len(names)} products that the click log names, such as {min(names)}, is in the "
            "catalogue: give the catalogue that the log is of, or name the column with such ids in "
            "clicks.id_column"
        )
    return known


def _nothing(summary: ClickSummary) -> str:
    if not summary.searches:
        return "the click log has no usable search: " + "; ".join(summary.examples or ("it is empty",))
    reasons = ", ".join(
        f"{count} {reason}" for reason, count in sorted(summary.dropped.items(), key=lambda item: -item[1])
    )
    robots = "".join(f"; client {client} alone made {count} searches" for client, count in summary.robots[:1])
    return (
        f"the click log ({summary.searches} searches, {sum(summary.actions.values())} actions) has too "
        f"little evidence to learn from: dropped were {reasons}{robots}. Give more of the log, name the "
        "shop's own actions in clicks.actions, or lower the clicks.min_* settings"
    )
