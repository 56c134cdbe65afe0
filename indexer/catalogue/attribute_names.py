"""The names of attributes: from columns, by the patterns of a field map."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

MAX_NAME = 120
"""Characters of an attribute's name that are kept."""

_REMEMBERED = 10_000
"""Columns whose names are remembered: those of JSON records may have no end."""


class AttributeNames:
    """Gives the attribute name of a column, None where no pattern takes it in.

    Columns in `never` have none whatever the patterns are.
    """

    def __init__(self, patterns: tuple[str, ...], never: Iterable[str] = ()) -> None:
        self._patterns = patterns
        self._never = frozenset(never)
        self._names: dict[str, str | None] = {}

    def name_of(self, column: str) -> str | None:
        """Return the column's name, tidied, without what precedes the * of the pattern that matches it."""
        name = self._names.get(column, "")
        if name != "":
            return name
        name = None if column in self._never else self._find(column)
        if len(self._names) < _REMEMBERED:
            self._names[column] = name
        return name

    def _find(self, column: str) -> str | None:
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
    return " ".join(re.sub(r"[_=.\s]+", " ", column[: 2 * MAX_NAME]).split())[:MAX_NAME].rstrip()
