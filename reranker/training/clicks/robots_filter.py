"""Visits that no shopper made, or that say nothing new: robots, bursts of clicks, repeated searches."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mappings.settings import ClickSettings
from reranker.training.clicks.search_interactions import SearchInteraction

_MINUTE = 60.0
_DAY = 86_400.0

_DECLARED = re.compile(
    r"(^|[^a-z])([a-z]*bot|crawler|spider|scraper|monitor(ing)?)($|[^a-z0-9])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class FilteredInteractions:
    """The visits that count, how many were dropped and why, and the robots by their number of searches."""

    visits: list[SearchInteraction]
    dropped: Counter[str]
    robots: Counter[str]


def filter_robots(visits: Iterable[SearchInteraction], settings: ClickSettings) -> FilteredInteractions:
    """Keep what shoppers did.

    Dropped are all visits of robots: clients that call themselves one (`nightly-bot`), or that ever searched
    more often than `robot_searches_per_minute` or `_per_day`. Then the visits of a burst: more than
    `burst_clicks` clicks of a client within `burst_seconds`. Then visits repeated: those of the same client,
    query and products within `session_minutes` of the one before become one, with all their clicks, so that
    reloads and steps back do not count as refusals, and one client does not count as many. A search without a
    time passes both checks.
    """
    dropped: Counter[str] = Counter()
    by_client: dict[str, list[SearchInteraction]] = defaultdict(list)
    for visit in visits:
        by_client[visit.client].append(visit)
    robots: Counter[str] = Counter()
    shoppers: list[SearchInteraction] = []
    for client, own in by_client.items():
        if _robot(client, own, settings):
            robots[client] = len(own)
            continue
        bursting = _bursting(own, settings)
        calm = [visit for i, visit in enumerate(own) if i not in bursting]
        merged = _merged(calm, settings.session_minutes * _MINUTE)
        dropped["searches with bursts of clicks"] += len(bursting)
        dropped["searches repeated by the same client"] += len(calm) - len(merged)
        shoppers += merged
    dropped["searches by robots"] = robots.total()
    return FilteredInteractions(shoppers, +dropped, robots)


def _robot(client: str, visits: Sequence[SearchInteraction], settings: ClickSettings) -> bool:
    times = sorted(visit.at for visit in visits if not math.isnan(visit.at))
    return bool(
        _DECLARED.search(client)
        or _most_within(times, _MINUTE) > settings.robot_searches_per_minute
        or _most_within(times, _DAY) > settings.robot_searches_per_day
    )


def _most_within(times: Sequence[float], seconds: float) -> int:
    first = most = 0
    for last, time in enumerate(times):
        while times[first] <= time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _bursting(visits: Sequence[SearchInteraction], settings: ClickSettings) -> set[int]:
    clicks = sorted(
        (time, i) for i, visit in enumerate(visits) for time in visit.click_times if not math.isnan(time)
    )
    bursting: set[int] = set()
    first = 0
    for last, (time, _) in enumerate(clicks):
        while clicks[first][0] <= time - settings.burst_seconds:
            first += 1
        if last - first + 1 > settings.burst_clicks:
            bursting.update(i for _, i in clicks[first : last + 1])
    return bursting


def _merged(visits: Iterable[SearchInteraction], within: float) -> list[SearchInteraction]:
    merged: list[SearchInteraction] = []
    latest: dict[tuple[str, tuple[tuple[str, int], ...]], tuple[int, float]] = {}
    for visit in sorted(visits, key=lambda visit: (math.isnan(visit.at), visit.at)):
        same = (visit.key, tuple(visit.places.items()))
        row, at = latest.get(same, (-1, math.nan))
        if visit.at - at <= within:  # false where a time is unknown
            known = merged[row]
            merged[row] = replace(
                known, clicked=known.clicked | visit.clicked, bought=known.bought | visit.bought
            )
        else:
            row = len(merged)
            merged.append(visit)
        latest[same] = (row, visit.at)
    return merged
