"""Where the header of a table is: titles, dates and blank lines may come before it."""

from collections.abc import Iterable, Sequence

from indexer.catalogue.guessing.column_names import KNOWN_NAMES, list_forms
from indexer.catalogue.presets import TEMPLATE_STARTS

_LEAST_NAMES = 2


def count_names(cells: Iterable[object]) -> int:
    """Return how many cells are names that catalogues use for columns; all of them in Amazon's templates."""
    texts = [str(cell).strip().strip("\"'") for cell in cells]
    if texts and texts[0].startswith(TEMPLATE_STARTS):
        return len(texts)
    return sum(not KNOWN_NAMES.isdisjoint(list_forms(text)) for text in texts if 0 < len(text) <= 100)


def locate_header(rows: Iterable[Sequence[object]]) -> int:
    """Return the index of the header among a table's first rows.

    It is the first row, unless that has no known name or is blank, and one below has two and more cells.
    """
    first_cells = -1
    for index, row in enumerate(rows):
        names = count_names(row)
        filled = sum(str(cell).strip() != "" for cell in row)
        if first_cells < 0 and filled:
            if names:
                return 0
            first_cells = filled
        elif names >= _LEAST_NAMES and filled > first_cells:
            return index
    return 0
