"""The values that travel between the packages. All are frozen; raw dicts stop where they were parsed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AttributeValue = str | float | bool | tuple[str, ...]
JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Product:
    """One cleaned product. Text is empty, never None, where the catalogue has none.

    `currency` is a code of ISO 4217. `identifiers` are the article numbers that shoppers may type: SKU, GTIN,
    MPN and the like, of all variants, without the id. `group` is shared by the variants of one product where
    each is a product of its own. `concepts` are ids of a domain's thesaurus: what the text says, and what
    that is a kind of.
    """

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
    currency: str = ""
    identifiers: tuple[str, ...] = ()
    group: str = ""
    concepts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A person's grade of a product for a query: 0 irrelevant, 1 poor, 2 good, 3 perfect."""

    query: str
    product_id: str
    grade: int
