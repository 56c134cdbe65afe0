"""Which of two interleaved rankings shoppers prefer, by logged clicks and by kind of query.

A log is a file of JSON lines, one search each:

    {"query": "laptop", "first": ["a", "c"], "second": ["b", "d"], "clicked": ["c"]}

`first` and `second` are the ids that each ranking contributed to the page, as
`reranker.experiments.interleaving` draws them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from scipy import stats

from mappings.errors import LabelsError
from reranker.evaluation.interval import Interval, estimate_share
from reranker.evaluation.judgements import normalise_query
from reranker.evaluation.losses import LostShare, QueryKind, count_lost, group_by_kind
from reranker.evaluation.significance import correct_by_holm
from reranker.experiments.interleaving import InterleavedRanking
from reranker.experiments.sequential import compare_preference

FEWEST_DECIDED = 5
"""Decided searches that a query needs to be lost beyond chance."""

_SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class InterleavedSearch:
    """One search whose page was interleaved, and the ids that were clicked."""

    query: str
    ranking: InterleavedRanking
    clicked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preference:
    """How many searches the first ranking won and lost by clicks; the others are undecided.

    `share` are those won, of the decided, with a 95 % Wilson interval that takes searches for independent.
    `lost` counts the queries that the first ranking loses beyond chance, of those with FEWEST_DECIDED or more
    decided searches.
    """

    searches: int
    wins: int
    losses: int
    share: Interval
    lost: LostShare


@dataclass(frozen=True, slots=True)
class LostByClicks:
    """A query that the first ranking loses beyond chance: its decided searches, `p` (Holm), and its kind."""

    query: str
    wins: int
    losses: int
    p: float
    kind: QueryKind


@dataclass(frozen=True, slots=True)
class ClickReport:
    """What a log says of the first ranking. `p` may be read at any time.

    `by_kind` is as in LossReport.
    """

    total: Preference
    p: float
    by_kind: Mapping[str, Mapping[str, Preference]]
    queries: tuple[LostByClicks, ...]


class _Line(msgspec.Struct):
    query: str
    first: list[str]
    second: list[str]
    clicked: list[str] = []


def read_interleaved_searches(path: Path) -> list[InterleavedSearch]:
    """Read a log. Raises LabelsError, with the line's number where a line is wrong."""
    decoder = msgspec.json.Decoder(_Line)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise LabelsError(f"{path} can't be read: {error.strerror or error}") from error
    searches = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            read = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise LabelsError(f"{path}: line {number} is not an interleaved search: {error}") from error
        first, second = frozenset(read.first), frozenset(read.second)
        if both := sorted(first & second):
            raise LabelsError(f"{path}: line {number}: {both[0]} is of both rankings; each id is of one")
        ranking = InterleavedRanking((*read.first, *read.second), first, second)
        searches.append(InterleavedSearch(read.query, ranking, tuple(read.clicked)))
    if not searches:
        raise LabelsError(f"{path} holds no search: log one a line")
    return searches


def report_clicks(
    searches: Iterable[InterleavedSearch], find_kind: Callable[[str], QueryKind] = QueryKind.of
) -> ClickReport:
    """Report which ranking clicks prefer. Spellings that differ in case or spacing are one query."""
    spelling: dict[str, str] = {}
    credits: dict[str, list[int]] = {}
    for search in searches:
        query = spelling.setdefault(normalise_query(search.query), search.query)
        credits.setdefault(query, []).append(search.ranking.credit(search.clicked))
    kinds = {query: find_kind(query) for query in credits}
    lost = _find_lost(credits, kinds)
    names = frozenset(one.query for one in lost)
    groups = group_by_kind(kinds)
    total = _count(list(credits), credits, names)
    return ClickReport(
        total,
        compare_preference(total.wins, total.losses).p,
        {
            name: {kind: _count(queries, credits, names) for kind, queries in members.items()}
            for name, members in groups.items()
        },
        lost,
    )


def _find_lost(
    credits: Mapping[str, Sequence[int]], kinds: Mapping[str, QueryKind]
) -> tuple[LostByClicks, ...]:
    decided = {query: _decide(values) for query, values in credits.items()}
    p_values = {
        query: float(stats.binomtest(losses, wins + losses, alternative="greater").pvalue)
        for query, (wins, losses) in decided.items()
        if wins + losses >= FEWEST_DECIDED
    }
    corrected = correct_by_holm(p_values)
    return tuple(
        LostByClicks(query, *decided[query], corrected[query], kinds[query])
        for query in sorted(corrected, key=lambda query: (corrected[query], query))
        if corrected[query] < _SIGNIFICANT
    )


def _count(queries: Sequence[str], credits: Mapping[str, Sequence[int]], lost: frozenset[str]) -> Preference:
    decided = [_decide(credits[query]) for query in queries]
    wins, losses = sum(won for won, _ in decided), sum(lost_by for _, lost_by in decided)
    telling = [query for query, both in zip(queries, decided, strict=True) if sum(both) >= FEWEST_DECIDED]
    return Preference(
        sum(len(credits[query]) for query in queries),
        wins,
        losses,
        estimate_share(wins, wins + losses),
        count_lost(telling, lost),
    )


def _decide(credits: Sequence[int]) -> tuple[int, int]:
    """Return how many searches the first ranking won and lost."""
    return sum(credit > 0 for credit in credits), sum(credit < 0 for credit in credits)
