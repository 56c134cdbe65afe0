"""Queries that demand something, made from a catalogue's typed attributes, and which products satisfy each.

A value belongs to the development half or to the half kept aside by a hash of its kind and itself, so both
halves stay the same from run to run.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mappings.types import Product
from tests.bench.demands.types import TYPES
from tests.bench.demands.values import LEAST, list_values

_PER_VALUE = 2
"""Wordings that are made of a value and a type."""


@dataclass(frozen=True, slots=True)
class DemandQuery:
    """A query of one kind, its product type, the value it asks for, and the rows that satisfy it."""

    kind: str
    text: str
    value: str
    rows: frozenset[int]


def choose_kept_aside(values: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the half of each kind's values (kind, value) that is never looked at while developing."""
    ordered = sorted(dict.fromkeys(values), key=lambda value: hashlib.blake2b(repr(value).encode()).digest())
    by_kind: dict[str, int] = {}
    aside = set()
    for kind, value in ordered:
        by_kind[kind] = by_kind.get(kind, 0) + 1
        if by_kind[kind] % 2:
            aside.add((kind, value))
    return aside


def make_demand_queries(products: Sequence[Product], kept_aside: bool) -> list[DemandQuery]:
    """Return the queries of one half, those that at least LEAST products satisfy."""
    rows = {name: [row for row, p in enumerate(products) if kind.check(p)] for name, kind in TYPES.items()}
    queries: dict[str, DemandQuery] = {}
    demands = list(list_values(products, rows))
    aside = choose_kept_aside((demand.kind, demand.value) for demand in demands)
    for demand in demands:
        if ((demand.kind, demand.value) in aside) != kept_aside:
            continue
        for name in demand.types:
            satisfying = frozenset(row for row in rows[name] if demand.check(products[row]))
            if len(satisfying) < LEAST:
                continue
            words = TYPES[name].words
            seed = int.from_bytes(hashlib.blake2b(f"{name}{demand.value}".encode(), digest_size=4).digest())
            for step in range(_PER_VALUE):
                wording = demand.wordings[(seed + step) % len(demand.wordings)]
                text = wording.format(words[(seed // 7 + step) % len(words)])
                queries.setdefault(text, DemandQuery(demand.kind, text, demand.value, satisfying))
    return list(queries.values())


Ranker = Callable[[str], Sequence[int]]
"""A query → rows of products, best first."""
