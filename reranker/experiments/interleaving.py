"""Team-draft interleaving (Radlinski, Kurup and Joachims 2008): both rankings in one list, clicks decide."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InterleavedRanking:
    """A list made of two rankings. `first` and `second` are the ids that each contributed."""

    ids: tuple[str, ...]
    first: frozenset[str]
    second: frozenset[str]

    def credit(self, clicked: Collection[str]) -> int:
        """Return the clicks on the first ranking's ids less those on the second's."""
        return len(self.first & set(clicked)) - len(self.second & set(clicked))


def interleave(first: Sequence[str], second: Sequence[str], size: int, seed: str) -> InterleavedRanking:
    """Return `size` ids of two rankings, drawn in turns: a coin says which draws first in each round.

    The same seed gives the same list, so that pages and repeated searches agree.
    """
    coin = random.Random(seed)
    rankings = (list(dict.fromkeys(first)), list(dict.fromkeys(second)))
    places = [0, 0]
    teams: tuple[set[str], set[str]] = (set(), set())
    ids: list[str] = []
    chosen: set[str] = set()
    while len(ids) < size:
        before = len(ids)
        start = coin.getrandbits(1)
        for team in (start, 1 - start):
            ranking = rankings[team]
            while places[team] < len(ranking) and ranking[places[team]] in chosen:
                places[team] += 1
            if places[team] < len(ranking) and len(ids) < size:
                ids.append(ranking[places[team]])
                chosen.add(ids[-1])
                teams[team].add(ids[-1])
        if len(ids) == before:
            break
    return InterleavedRanking(tuple(ids), frozenset(teams[0]), frozenset(teams[1]))
