"""Which column of a catalogue is which field of a product: from a TOML file, or guessed from the columns.

A field map is a flat TOML file. Only `id` and one of `title` and `description` are needed (of changes: `id`):

    id = "sku"
    title = ["name", "variant"]         # several columns are joined by a space, categories by " > "
    description = "long_text"
    brand = "supplier"
    category = ["department", "aisle"]
    price = "price_cents"
    price_scale = 0.01                  # the catalogue's unit in the shop's: cents here
    available = "in_stock"
    image = "img_500x500"
    url = "link"
    attributes = ["colour", "attr_*"]   # * stands for any text; what stands before it is left out of names
    version = "updated_at"              # grows with every change: a counter, or when the record was changed
    operation = "what"                  # in a file of changes: upsert, update or delete

Without a `version` a record counts as true from the moment of its file, or when it arrived. Of `operation`
see `indexer.change.changes`: without it changes are looked at for `_op` or `_operation`, and a whole
catalogue may lack it. Neither is ever an attribute.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path

from indexer.catalogue.records import Source
from mappings.errors import SettingsError

_LISTS = ("title", "description", "brand", "category", "attributes")
_SINGLE = ("id", "price", "available", "image", "url", "version", "operation")

OPERATION_COLUMNS = ("_op", "_operation")
"""Columns that say of a change what it does, where the map does not name another."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Columns of each product field, empty where there is none. `attributes` may be patterns with *."""

    id: str
    title: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    brand: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    price: str = ""
    price_scale: float = 1.0
    available: str = ""
    image: str = ""
    url: str = ""
    attributes: tuple[str, ...] = ()
    version: str = ""
    operation: str = ""

    def columns_for(self, name: str) -> tuple[str, ...]:
        """Return the columns of one field, for attributes with their patterns."""
        value: str | tuple[str, ...] = getattr(self, name)
        return (value,) if value and isinstance(value, str) else tuple(value)

    def columns(self) -> tuple[str, ...]:
        """Return the columns that are named outright; patterns are left out."""
        many = [column for name in _LISTS for column in getattr(self, name) if "*" not in column]
        return (*many, *(column for name in _SINGLE if (column := getattr(self, name))))

    def as_toml(self) -> str:
        """Return the map as the text of a field map file, one line a field."""
        lines = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value and not (field.name == "price_scale" and value == 1.0):
                alone = isinstance(value, tuple) and len(value) == 1 and field.name != "attributes"
                lines.append(f"{field.name} = {json.dumps(value[0] if alone else value, ensure_ascii=False)}")
        return "\n".join(lines)


def load_field_map(path: Path, catalogue: Source, partial: bool = False) -> FieldMap:
    """Read a field map file and check it against the catalogue, or against a file of changes (`partial`).

    A catalogue must have every column but that of the operation; changes need only the id: a list of
    prices lacks the title, a list of deletions all else, and an empty file is no mistake. For them
    `add_operation` completes the map.

    Raises SettingsError naming every unknown key, value of a wrong type and column that the catalogue lacks.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"field map {path} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"field map {path} can't be read: {error}") from error
    field_map = field_map_from(values, f"field map {path}", partial)
    needed = [column for column in field_map.columns() if column != field_map.operation]
    columns = catalogue.columns()
    missing = catalogue.missing([field_map.id] if partial else needed)
    if missing and (columns or not partial):
        raise SettingsError(
            f"field map {path}: {catalogue.name} has no column {', '.join(missing)}; "
            f"it has {format_columns(columns)}"
        )
    return add_operation(field_map, columns) if partial else field_map


def field_map_from(values: Mapping[str, object], source: str, partial: bool = False) -> FieldMap:
    """Return the field map of a parsed file, or of the note that an index keeps of its own (`source`: which).

    Raises SettingsError naming every unknown key and value of a wrong type.
    """
    known = [field.name for field in fields(FieldMap)]
    problems = [f"unknown key {key!r} (known: {', '.join(known)})" for key in values if key not in known]
    taken: dict[str, str | float | tuple[str, ...]] = {}
    for name in known:
        if name not in values:
            continue
        value = _checked(name, values[name])
        if value is None:
            problems.append(f"{name} = {values[name]!r} must be {_wanted(name)}")
        else:
            taken[name] = value
    if "id" not in values:
        problems.append("no id: name the column that holds each product's id")
    if not partial and "title" not in values and "description" not in values:
        problems.append("no title and no description: name at least one column of text")
    if problems:
        raise SettingsError(f"{source}: {'; '.join(problems)}")
    return FieldMap(**taken)  # type: ignore[arg-type]  # each value was checked by its field's name above


def add_operation(field_map: FieldMap, columns: Iterable[str]) -> FieldMap:
    """Return the map with a column of operations, for changes that are read by a map without one.

    Without a look at the columns the first: those of JSON Lines are a sample, and a delete may come late.
    """
    if field_map.operation:
        return field_map
    there = set(columns)
    return replace(
        field_map, operation=next((name for name in OPERATION_COLUMNS if name in there), OPERATION_COLUMNS[0])
    )


def format_columns(columns: tuple[str, ...], most: int = 30) -> str:
    """Return columns for a message, long lists cut."""
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return ", ".join(columns[:most]) + more if columns else "no columns at all"


class AttributeNames:
    """Attribute name of each column: None where no pattern of the map takes it in. Remembers its answers.

    Columns that are `never` attributes have none whatever the patterns say.
    """

    def __init__(self, patterns: tuple[str, ...], never: Iterable[str] = ()) -> None:
        self._patterns = patterns
        self._names: dict[str, str | None] = dict.fromkeys(never)

    def name_of(self, column: str) -> str | None:
        """Return the attribute's name: the column's, without what precedes the * that matched it, tidied."""
        if column not in self._names:
            self._names[column] = self._find(column)
        return self._names[column]

    def _find(self, column: str) -> str | None:
        for pattern in self._patterns:
            if column == pattern:
                return tidy_name(column)
            if "*" in pattern and fnmatchcase(column, re.sub(r"([\[?])", r"[\1]", pattern)):
                return tidy_name(column[len(pattern.split("*", 1)[0]) :]) or tidy_name(column)
        return None


def tidy_name(column: str) -> str:
    """Return a column's name as words: underscores and white space become one space, `=` and dots too.

    A dot or an equals sign would be taken for syntax in an OpenSearch field path or a facet.
    """
    return " ".join(re.sub(r"[_=.\s]+", " ", column).split())


def _checked(name: str, value: object) -> str | float | tuple[str, ...] | None:
    """Return the value as FieldMap holds it, or None for a wrong type."""
    if name == "price_scale":
        good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        return float(value) if good else None  # type: ignore[arg-type]
    if isinstance(value, str) and value:
        return (value,) if name in _LISTS else value
    if (
        name in _LISTS
        and isinstance(value, list)
        and all(isinstance(column, str) and column for column in value)
    ):
        return tuple(value)
    return None


def _wanted(name: str) -> str:
    if name == "price_scale":
        return "a number above 0"
    return "a column's name" + (" or a list of them" if name in _LISTS else "")
