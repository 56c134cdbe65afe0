"""How a run's time is spent: how many products are learnt from, and how long distillation may take.

Both follow from how fast the teacher reads and the base model encodes and searches, measured at the start.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mappings.types import Product

SAMPLE_PRODUCTS = 2000
"""Products among which made queries are to find theirs, before and after training."""

_CATALOGUE_SHARE = 0.5
"""Share of the time that reading and encoding the catalogue may take: of a larger one a sample is learnt."""

_TEXTS_PER_PRODUCT = 1.35
"""Products with attributes are read twice now and then."""

_EXAMPLE = 3.0
"""Time of making one of the scorer's examples, in searches."""

_QUERY_SHARE = 0.25
"""Share of the time that making the scorer's examples may take."""

_QUERIES_PER_PRODUCT = 4
_FEWEST_QUERIES = 50

_REST_SECONDS = 25.0
"""Exporting, training the scorer, measuring and writing."""

_READ_TIMES = 24
"""How often distillation reads each text, where there is time."""

_FEWEST_STEPS = 100


@dataclass(frozen=True)
class MachineSpeed:
    """What this machine does in a second: texts read by the teacher, products encoded, searches."""

    teacher: float
    encoder: float
    searches: float


def draw_rows(products: Sequence[Product], first: Sequence[str], seed: int) -> list[int]:
    """Return every row in the order in which products are drawn: the ids `first`, then at random."""
    order = np.random.default_rng(seed).permutation(len(products)).tolist()
    wanted = set(first)
    return sorted(order, key=lambda row: products[row].id not in wanted)


def select_rows(rows: Sequence[int], pace: MachineSpeed, seconds: float) -> list[int]:
    """Return, of rows as they are `draw_rows`, those that there is time for, in the catalogue's order."""
    each = _TEXTS_PER_PRODUCT / pace.teacher + 1 / pace.encoder
    return sorted(rows[: max(SAMPLE_PRODUCTS, int(_CATALOGUE_SHARE * seconds / each))])


def estimate_seconds_after(pace: MachineSpeed, products: int, queries: int) -> float:
    """Return how long the stages after distillation take, for so many products and made queries."""
    return products / pace.encoder + _EXAMPLE * queries / pace.searches + _REST_SECONDS


def limit_queries(pace: MachineSpeed, products: int, seconds: float) -> int:
    """Return how many made queries are worth their time for so many products."""
    timely = int(_QUERY_SHARE * seconds * pace.searches / _EXAMPLE)
    return max(_FEWEST_QUERIES, min(_QUERIES_PER_PRODUCT * products, timely))


def limit_steps(texts: int, batch: int) -> int:
    """Return how many steps of distillation are worth their time for so many texts."""
    return max(_FEWEST_STEPS, _READ_TIMES * texts // batch)
