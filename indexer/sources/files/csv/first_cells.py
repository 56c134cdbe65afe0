"""The shapes of records' first cells, which tell a record from the rest of a broken one."""

import re
from collections import Counter
from collections.abc import Iterable

_MAX_SHAPES = 3
_MIN_RECORDS = 3
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")
_OTHERS = re.compile(r"[^a9]+")


def shape_of(cell: str) -> str:
    """Return a cell with each run of letters as `a`, of digits as `9`, and of anything else as a dot."""
    return _OTHERS.sub(".", _DIGITS.sub("9", _LETTERS.sub("a", cell.strip()[:100])))


def find_usual_shapes(cells: Iterable[str]) -> frozenset[str]:
    """Return the shapes that nearly all first cells have, none where there are too few cells or many shapes.

    Ids are mostly alike: `SKU-17` and `SKU-204` are both `a.9`.
    """
    counts = Counter(map(shape_of, cells))
    total = sum(counts.values())
    usual = {shape: count for shape, count in counts.most_common(_MAX_SHAPES) if count * 5 >= total}
    judged = total >= _MIN_RECORDS and sum(usual.values()) * 5 >= total * 4
    return frozenset(shape for shape, count in usual.items() if count > 1) if judged else frozenset()
