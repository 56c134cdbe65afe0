"""What the fields of a query hold: texts, names such as a brand, or exact values.

It tells the clause that holds the shopper's words from one that holds a condition.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from mappings import fields
from mappings.types import JsonObject

FieldTypes = Callable[[Collection[str]], Mapping[str, Collection[str]]]
"""Gives the OpenSearch types of fields, several where indexes differ; a field that is not known is missing.
"""

_TEXT_TYPES = frozenset({"text", "match_only_text", "search_as_you_type", "annotated_text"})

_NAMES = frozenset({
    fields.BRAND, fields.CATEGORY, "brands", "categories", "category_name", "collection", "color", "colour",
    "department", "gender", "maker", "make", "manufacturer", "material", "product_type", "producer", "size",
    "supplier", "tags", "type", "vendor",
})  # fmt: skip
"""Fields that name a product's maker, kind or variant: beside a text, a match on one is a condition."""

_EXACT_SUFFIXES = (".keyword", ".raw", ".exact")
"""Ends of the names of fields with exact values, by convention, for where the types are not known."""


class FieldRank(IntEnum):
    """What fields hold. Of several clauses, the one of the lowest rank holds the shopper's words."""

    TEXT = 0
    NAME = 1
    EXACT = 2


def no_field_types(_names: Collection[str]) -> Mapping[str, Collection[str]]:
    """Know no field."""
    return {}


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """What an index is like to one caller: the types of its fields, and the filter of the alias, if any."""

    field_types: FieldTypes = no_field_types
    alias_filter: tuple[JsonObject, ...] = ()


NO_SCHEMA = IndexSchema()


def rank_fields(names: Sequence[str], types: FieldTypes) -> FieldRank:
    """Return the rank of the most textual of these fields; TEXT where none is named, or by a pattern."""
    if not names or any("*" in name or not name for name in names):
        return FieldRank.TEXT
    known = types(names)
    return min(_rank_field(name, known.get(name, ())) for name in names)


def _rank_field(name: str, types: Collection[str]) -> FieldRank:
    is_exact = not _TEXT_TYPES.intersection(types) if types else name.endswith(_EXACT_SUFFIXES)
    if is_exact:
        return FieldRank.EXACT
    parts = name.lower().split(".")
    return FieldRank.NAME if {parts[0], parts[-1]} & _NAMES else FieldRank.TEXT
