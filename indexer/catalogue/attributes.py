"""Read the attributes of a product from the columns that a field map's patterns take in."""

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from indexer.catalogue import values
from indexer.catalogue.nested import LISTING_STARTS, find_cell, flatten_attribute, parse_listing
from indexer.catalogue.records import Record
from indexer.catalogue.stats import CatalogueStats
from indexer.catalogue.values import BadValue
from mappings.types import AttributeValue

_CACHED_NAMES = 10_000
"""Columns and names of attributes that are looked up once: those of JSON records may have no end."""

_MAX_ATTRIBUTES = 500
"""Attributes of one product that are kept."""

_MAX_NAME = 120
"""Characters of an attribute's name that are kept."""

_UNNAMED = ("name", "value", "values", "label", "raw", "text", "keyword")
"""Last steps of paths that say nothing about an attribute."""

_NESTED = (dict, list, tuple)


class AttributeNames:
    """Gives the attribute name of a column: `name_of(column)`, None where no pattern takes it in.

    It is tidied, without what precedes the * of the pattern that matches. Columns in `never` have none
    whatever the patterns are.
    """

    def __init__(self, patterns: tuple[str, ...], never: Iterable[str] = ()) -> None:
        self._patterns = patterns
        self._never = frozenset(never)
        self.name_of = lru_cache(_CACHED_NAMES)(self._find)

    def _find(self, column: str) -> str | None:
        if column in self._never:
            return None
        for pattern in self._patterns:
            if column == pattern:
                return tidy_name(column.removeprefix("@"))
            if "*" in pattern and fnmatchcase(column, re.sub(r"([\[?])", r"[\1]", pattern)):
                return tidy_name(column[len(pattern.split("*", 1)[0]) :]) or tidy_name(column)
        return None


def tidy_name(column: str) -> str:
    """Return a name as words: underscores, dots, equals signs and white space become single spaces.

    A dot or an equals sign would be syntax in an OpenSearch field path or a facet.
    """
    return " ".join(re.sub(r"[_=.\s]+", " ", column[: 2 * _MAX_NAME]).split())[:_MAX_NAME].rstrip()


class AttributeReader:
    """Reads the attributes of records. A cell that can't be read is left empty and counted in `stats`."""

    def __init__(
        self,
        patterns: tuple[str, ...],
        never: Iterable[str],
        clean: Callable[[str], str],
        stats: CatalogueStats,
    ) -> None:
        self._clean = clean
        self._stats = stats
        self._tidy = lru_cache(_CACHED_NAMES)(lambda name: tidy_name(clean(name)))
        self._name_of = AttributeNames(patterns, never).name_of
        paths = (pattern for pattern in patterns if "." in pattern and "*" not in pattern)
        self._names_of_paths = {path: tidy_name(_name_of_path(path)) for path in paths}

    def read(self, record: Record) -> dict[str, AttributeValue | None]:
        """Return the attributes that the record's columns name, in their order, None for an empty cell."""
        attributes: dict[str, AttributeValue | None] = {}
        self._attributes_left = _MAX_ATTRIBUTES
        for column, cell in record.values.items():
            name = self._name_of(column)
            if name is None:
                continue
            if cell[:1] in LISTING_STARTS if isinstance(cell, str) else isinstance(cell, _NESTED):
                self._add_nested(attributes, name, column, cell, record.line)
            else:
                self._add(attributes, self._tidy(name), self._parse_attribute(column, cell, record.line))
        for path, name in self._names_of_paths.items():
            if path not in record.values:
                self._add_nested(attributes, name, path, find_cell(record.values, path), record.line)
        return attributes

    def _add_nested(
        self, attributes: dict[str, AttributeValue | None], name: str, column: str, cell: object, line: int
    ) -> None:
        """Add the attributes that a list or an object holds."""
        several: dict[str, AttributeValue | None] = {}
        for key, inner in flatten_attribute(name, parse_listing(cell)):
            tidy = self._tidy(key)
            if tidy in several or len(several) < _MAX_ATTRIBUTES:
                value = self._parse_attribute(column, inner, line)
                several[tidy] = _join_values(several.get(tidy), value)
        for tidy, value in several.items():
            self._add(attributes, tidy, value)

    def _parse_attribute(self, column: str, cell: object, line: int) -> AttributeValue | None:
        try:
            return values.parse_attribute(cell, self._clean)
        except BadValue:
            self._stats.add_unreadable("attributes", line, f"{column}: {values.show_cell(cell)}")
            return None

    def _add(
        self, attributes: dict[str, AttributeValue | None], name: str, value: AttributeValue | None
    ) -> None:
        """Add an attribute. Of two with one name, empty gives way to full, and a yes or no to a value.

        Empty ones don't count towards the limit: a wide catalogue has few values in each row.
        """
        before = attributes.get(name)
        if not name or (name in attributes and _weight(value) <= _weight(before)):
            return
        if value is not None and before is None:
            if not self._attributes_left:
                return
            self._attributes_left -= 1
        attributes[name] = value


def sort_attributes(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    """Return the attributes that have a value, in the order of their names.

    The encoder reads them in that order. The order of the columns would be lost in a partial update, which
    has only some of them, and two exports of one product may differ in it.
    """
    return {name: value for name, value in sorted(attributes.items()) if value is not None}


def _name_of_path(path: str) -> str:
    """Return the part of a path that names an attribute: `color` of `terms.color.name`."""
    steps = path.split(".")
    while len(steps) > 1 and steps[-1] in _UNNAMED:
        steps.pop()
    return steps[-1]


def _join_values(present: AttributeValue | None, value: AttributeValue | None) -> AttributeValue | None:
    """Return two values of one attribute as one: lists of objects have several of a name."""
    if present is None or value is None or present == value:
        return value if present is None else present
    texts = (
        part for each in (present, value) for part in (each if isinstance(each, tuple) else (str(each),))
    )
    return tuple(dict.fromkeys(texts))


def _weight(value: AttributeValue | None) -> int:
    return 0 if value is None else 1 if isinstance(value, bool) else 2
