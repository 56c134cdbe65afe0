"""What a preset is: the columns that a shop system's export has, and how its records are read."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from indexer.catalogue.field_map import DERIVED, FieldMap
from indexer.catalogue.records import LeftOut, Record, Reject

Cells = dict[str, object]
Prepare = Callable[[Iterable[Record | Reject]], Iterator[Record | Reject | LeftOut]]
"""Turns the records of an export into rows of products: one record may be several, or none."""


@dataclass(frozen=True, slots=True)
class Preset:
    """An export that is known by its columns.

    A source is read by the preset that has all of its `signature` columns. Names are compared without case
    and punctuation. Columns of `field_map` that a source lacks are left out of it; those that begin with @
    are added by `prepare`. Where columns have other names in other languages, `translate` returns that of the
    signature.
    """

    name: str
    title: str
    signature: tuple[str, ...]
    field_map: FieldMap
    prepare: Prepare | None = None
    translate: Callable[[str], str] | None = None

    def matches(self, columns: Iterable[str]) -> bool:
        """Return whether a source has all columns of the signature."""
        return self.fit(columns) == 1.0

    def fit(self, columns: Iterable[str]) -> float:
        """Return the share of the signature's columns, 0..1, that a source has."""
        wanted = set(map(plain_name, self.signature))
        names = map(self.translate, columns) if self.translate else columns
        return len(wanted & set(map(plain_name, names))) / len(wanted)

    def field_map_for(self, columns: tuple[str, ...]) -> FieldMap:
        """Return the field map with the names of the source's columns, without those that it lacks."""
        by_name: dict[str, str] = {}
        for column in columns:
            by_name.setdefault(plain_name(column), column)

        def find(column: str) -> str:
            if column.startswith(DERIVED) or "*" in column:
                return column
            if plain_name(column) in by_name:
                return by_name[plain_name(column)]
            root, dot, path = column.partition(".")
            actual = by_name.get(plain_name(root), "") if dot else ""
            return f"{actual}.{path}" if actual else ""

        values: dict[str, object] = {}
        for name, value in self.field_map.as_json().items():
            if name in ("preset", "decimal", "variants", "price_scale"):
                values[name] = value
                continue
            named = tuple(dict.fromkeys(filter(None, map(find, self.field_map.columns_for(name)))))
            single = isinstance(getattr(self.field_map, name), str)
            values[name] = (named[0] if named else "") if single else named
        return replace(FieldMap(**values), preset=self.name)  # type: ignore[arg-type]


def plain_name(column: str) -> str:
    """Return a column's name in lower case, with single underscores for all but letters and digits."""
    return re.sub(r"[\W_]+", "_", column.casefold().removeprefix("g:")).strip("_")


def each_record(prepare: Callable[[Mapping[str, object]], Iterable[Cells] | str]) -> Prepare:
    """Return a `Prepare` for a function that turns one record into rows, or says why to leave it out."""

    def prepare_all(records: Iterable[Record | Reject]) -> Iterator[Record | Reject | LeftOut]:
        for record in records:
            if isinstance(record, Reject):
                yield record
                continue
            rows = prepare(record.values)
            if isinstance(rows, str):
                yield LeftOut(record.line, rows)
                continue
            for row in rows:
                yield replace(record, values=row)

    return prepare_all


def text_of(cells: Mapping[str, object], column: str) -> str:
    """Return a cell as trimmed text, empty where there is none."""
    cell = cells.get(column)
    if cell is None or isinstance(cell, Mapping | list | tuple | bool):
        return ""
    return cell.strip() if isinstance(cell, str) else str(cell)[:400]


def has_stock(quantity: str) -> bool | None:
    """Return whether a number of pieces is above 0, None where the text is not a number."""
    try:
        return float(quantity) > 0
    except ValueError:
        return None


def split_list(text: str, separator: str = ",") -> list[str]:
    """Return the parts of a text, trimmed and without empty ones; a backslash before a separator keeps it."""
    parts = re.split(rf"(?<!\\){re.escape(separator)}", text[:100_000])
    return [clean for part in parts if (clean := part.replace(f"\\{separator}", separator).strip())]


def list_objects(value: object) -> list[Mapping[str, object]]:
    """Return the objects of a list, none where it is not a list."""
    return (
        [element for element in value if isinstance(element, Mapping)]
        if isinstance(value, list | tuple)
        else []
    )


def list_connected(value: object) -> list[Mapping[str, object]]:
    """Return the objects of a list, or of a connection of GraphQL: {nodes: […]} or {edges: [{node: …}]}."""
    if isinstance(value, Mapping):
        nodes = list_objects(value.get("nodes"))
        edges = [edge.get("node") for edge in list_objects(value.get("edges"))]
        return nodes or list_objects(edges)
    return list_objects(value)


def list_names(value: object) -> list[str]:
    """Return the names of a list of objects, of texts, or the keys of an object."""
    if isinstance(value, Mapping):
        return [str(key) for key in value]
    elements = value if isinstance(value, list | tuple) else []
    names = (element.get("name") if isinstance(element, Mapping) else element for element in elements)
    return [name for name in names if isinstance(name, str) and name]


def deepest_path(paths: Iterable[str], separators: str, skip: tuple[str, ...] = ()) -> str:
    """Return the first of the longest category paths, joined by " > ", without the roots in `skip`."""
    longest: list[str] = []
    for path in paths:
        levels = [level for part in re.split(separators, path) if (level := part.strip())]
        while levels and levels[0].casefold() in skip:
            levels = levels[1:]
        if len(levels) > len(longest):
            longest = levels
    return " > ".join(longest)
