"""The values that travel between the packages. All are frozen; raw dicts stop where they were parsed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AttributeValue = str | float | bool
JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Product:
    """One cleaned catalogue record. Text is empty, never None, where the catalogue has none."""

    id: str
    title: str = ""
    brand: str = ""
    category: str = ""
    description: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    price: float | None = None
    available: bool | None = None
    image: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit as OpenSearch found it, before it is ranked.

    `score` is the first stage's `_score` (BM25, or OpenSearch's k-NN score in 0..1). `stored` is what
    `attune.tokens` holds and `model` is who encoded it; both are empty where they were not asked for.
    `found` tells whether the caller's own query finds it.
    """

    index: str
    id: str
    score: float
    stored: bytes = b""
    model: str = ""
    found: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """What tells the hit from all others, also where an alias spans several indexes: index and id."""
        return self.index, self.id


@dataclass(frozen=True, slots=True)
class Judgement:
    """A person's grade of a product for a query: 0 irrelevant, 1 poor, 2 good, 3 perfect."""

    query: str
    product_id: str
    grade: int
