"""What the first records of a catalogue show of its columns: which are filled, which tell records apart."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from indexer.catalogue.nested import find_cell

_EMPTY: tuple[object, ...] = ("", None, [], {}, ())
_MAX_PATHS = 300
_OTHER_OBJECTS = frozenset(
    (
        "shipping", "delivery", "review", "reviews", "rating", "ratings", "aggregaterating", "seller",
        "related", "bundle", "merchant", "links", "_links", "meta", "metadata", "seo", "dimensions",
    )
)  # fmt: skip
"""Objects in a record that describe something else than the product."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The first records of a catalogue."""

    records: tuple[Mapping[str, object], ...]

    def share_filled(self, column: str) -> float:
        """Return the share of the records, 0..1, in which a column is not empty; 1 where there are none."""
        if not self.records:
            return 1.0
        return sum(_is_filled(find_cell(cells, column)) for cells in self.records) / len(self.records)

    def fills_gaps(self, columns: Iterable[str], other: str) -> bool:
        """Return whether another column is filled in a record where none of the columns is."""
        columns = tuple(columns)
        return any(
            _is_filled(cells.get(other)) and not any(_is_filled(find_cell(cells, name)) for name in columns)
            for cells in self.records
        )

    def count_repeats(self, column: str) -> int:
        """Return how many records have a value that came before, of the filled cells of a column."""
        values = [str(find_cell(cells, column)) for cells in self.records if _is_filled(cells.get(column))]
        return len(values) - len(set(values))

    def list_paths(self) -> tuple[str, ...]:
        """Return the columns such as `offers.price`: the keys of the objects in the records' cells."""
        paths: dict[str, None] = {}
        for cells in self.records[:200]:
            for column, cell in cells.items():
                if column.lower() in _OTHER_OBJECTS:
                    continue
                for key in _list_keys(cell):
                    if len(paths) < _MAX_PATHS:
                        paths[f"{column}.{key}"] = None
        return tuple(path for path in paths if path.count(".") == 1)

    def choose(self, columns: Iterable[str], least: float = 0.2) -> str:
        """Return the first column that is filled in this share at least of the fullest one's records."""
        shares = {column: self.share_filled(column) for column in columns}
        most = max(shares.values(), default=0.0)
        return next((column for column, share in shares.items() if share >= least * most), "")

    def holds_only(self, column: str, words: re.Pattern[str]) -> bool:
        """Whether a column has values, and all of them match the pattern."""
        cells = [find_cell(cells, column) for cells in self.records]
        filled = [cell for cell in cells if _is_filled(cell)]
        return bool(filled) and all(words.fullmatch(str(cell).lower()) for cell in filled)

    def refers_to(self, column: str, ids: str) -> bool:
        """Whether a column holds ids of other records."""
        known = {str(cells.get(ids)) for cells in self.records}
        return any(
            str(cells.get(column)) in known and cells.get(column) != cells.get(ids)
            for cells in self.records
            if _is_filled(cells.get(column))
        )


def _is_filled(cell: object) -> bool:
    return cell not in _EMPTY and not (isinstance(cell, str) and not cell.strip())


def _list_keys(cell: object) -> Iterator[str]:
    if isinstance(cell, Mapping):
        yield from map(str, cell)
    elif isinstance(cell, list | tuple):
        for element in cell[:3]:
            if isinstance(element, Mapping):
                yield from map(str, element)
