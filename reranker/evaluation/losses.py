"""How many queries one ranking answers clearly worse than another does, by kind of query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reranker.evaluation.interval import Interval, estimate_share
from reranker.text.intent import strip_intent
from reranker.text.query_type import classify_query

LOSS_MARGIN = 0.1
"""A query is lost where its measure falls by more than this."""

QUERY_TYPE, DEMAND = "query type", "demand"
"""The two ways to group queries: by what they look like, and by what they demand of products."""

NO_DEMAND = "none"

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class QueryKind:
    """What kind of query one is: its type, and the kinds of its demands; None where nothing tells them."""

    query_type: str
    demands: tuple[str, ...] | None = None

    @classmethod
    def of(cls, text: str, demands: tuple[str, ...] | None = None) -> "QueryKind":
        """Return the kind of a text whose demands are of these kinds."""
        known = None if demands is None else tuple(dict.fromkeys(demands)) or (NO_DEMAND,)
        return cls(classify_query(strip_intent(text)).value, known)


@dataclass(frozen=True, slots=True)
class LostShare:
    """How many of `queries` are lost, and their share with its 95 % Wilson interval."""

    lost: int
    queries: int
    share: Interval


@dataclass(frozen=True, slots=True)
class LostQuery:
    """A query that is lost, by how much its measure changes, and its kind."""

    query: str
    change: float
    kind: QueryKind


@dataclass(frozen=True, slots=True)
class LossReport:
    """The queries that the first of two rankings loses, worst first.

    `by_kind` has their share for each way to group queries (QUERY_TYPE, DEMAND) and each kind, the largest
    kind first. A query with several demands counts once under each.
    """

    total: LostShare
    by_kind: Mapping[str, Mapping[str, LostShare]]
    queries: tuple[LostQuery, ...]


def report_losses(
    changes: Mapping[str, float], kinds: Mapping[str, QueryKind], margin: float = LOSS_MARGIN
) -> LossReport:
    """Report which queries fall by more than `margin`.

    `changes` maps each query to its measure under the first ranking less that under the second. A query that
    is not in `kinds` is grouped by its text alone.
    """
    known = {query: kinds.get(query) or QueryKind.of(query) for query in changes}
    lost = frozenset(query for query, change in changes.items() if change < -margin - _ROUNDING)
    worst = sorted(lost, key=lambda query: (changes[query], query))
    return LossReport(
        count_lost(list(changes), lost),
        {
            name: {kind: count_lost(queries, lost) for kind, queries in members.items()}
            for name, members in group_by_kind(known).items()
        },
        tuple(LostQuery(query, changes[query], known[query]) for query in worst),
    )


def count_lost(queries: Sequence[str], lost: frozenset[str]) -> LostShare:
    """Count how many of the queries are lost."""
    number = sum(query in lost for query in queries)
    return LostShare(number, len(queries), estimate_share(number, len(queries)))


def group_by_kind(kinds: Mapping[str, QueryKind]) -> dict[str, dict[str, list[str]]]:
    """Group queries in each way that has any (QUERY_TYPE, DEMAND), the largest kind first."""
    groups: dict[str, dict[str, list[str]]] = {QUERY_TYPE: {}, DEMAND: {}}
    for query, kind in kinds.items():
        groups[QUERY_TYPE].setdefault(kind.query_type, []).append(query)
        for demand in kind.demands or ():
            groups[DEMAND].setdefault(demand, []).append(query)
    return {
        name: dict(sorted(members.items(), key=lambda item: (-len(item[1]), item[0])))
        for name, members in groups.items()
        if members
    }
