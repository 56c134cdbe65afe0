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
class Judgement:
    """A person's grade of a product for a query: 0 irrelevant, 1 poor, 2 good, 3 perfect."""

    query: str
    product_id: str
    grade: int
