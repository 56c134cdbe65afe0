"""Which column of a catalogue is which field of a product: a TOML file, a preset, or a guess.

A field map is a flat TOML file. Only `id` and one of `title` and `description` are needed; for changes, only
`id`:

    preset = "shopify"                  # the export that the records come from: see indexer.catalogue.presets
    id = "sku"
    title = ["name", "variant"]         # several columns are joined by a space, categories by " > "
    description = "long_text"
    brand = "supplier"
    category = ["department", "aisle"]
    price = ["sale_price", "price"]     # the first column that holds a price above 0
    sale_dates = ["sale_from", "sale_to"]   # when the first price column holds
    price_scale = 0.01                  # the catalogue's unit in the shop's: cents here
    decimal = ","                       # decimal separator of price texts; judged over the column otherwise
    currency = "currency"               # otherwise read from the price
    available = ["stock_status", "qty"] # the first column that can be read
    image = ["img_500x500", "photos"]   # the first column that holds an address
    url = "link"
    identifiers = ["sku", "ean", "mpn"] # numbers that find exactly this product, beside its id
    attributes = ["colour", "attr_*"]   # * stands for any text; the text before it is left out of names
    group = "parent"                    # rows with the same value, or the id of another row, are one product
    variants = "merge"                  # or "keep": each row stays a product, with its group for `collapse`
    status = ["status", "published"]    # says whether a product is for sale
    visibility = "visibility"           # likewise, but a hidden row still counts as a variant of its group
    ends = "sold_until"                 # the last day or moment of sale
    version = "updated_at"              # grows with every change: a counter, or when the record was changed
    operation = "what"                  # in a file of changes: upsert, update or delete
    domain = "medicine"                 # whose thesaurus adds words to descriptions: a name or a folder

A column `images.src` is the key `src` of the object, or of each object of the list, in column `images`.
Without a `version` a record counts as true from the time of its file, or from its arrival. Of `operation` see
`indexer.change.changes`: without it changes are looked at for `_op` or `_operation`, and a whole catalogue
may lack it. Neither is ever an attribute.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from indexer.catalogue.records import Source
from mappings.errors import SettingsError

OPERATION_COLUMNS = ("_op", "_operation")
"""Columns that hold the operation of a change where the map names no other."""

DERIVED = "@"
"""How the names of columns begin that a preset adds to the records."""

_LISTS = (
    "title", "description", "brand", "category", "price", "sale_dates", "available", "image", "identifiers",
    "attributes", "children", "status", "visibility", "ends",
)  # fmt: skip
_SINGLE = ("id", "currency", "url", "group", "version", "operation")
_CHOICES = {"decimal": (".", ","), "variants": ("merge", "keep")}
_TEXTS = ("preset", "domain")


@dataclass(frozen=True, slots=True)
class FieldMap:
    """The columns of each product field, empty where it has none. `attributes` may hold patterns with *."""

    id: str
    preset: str = ""
    title: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    brand: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    price: tuple[str, ...] = ()
    sale_dates: tuple[str, ...] = ()
    price_scale: float = 1.0
    decimal: str = ""
    currency: str = ""
    available: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    url: str = ""
    identifiers: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    group: str = ""
    children: tuple[str, ...] = ()
    variants: str = "merge"
    status: tuple[str, ...] = ()
    visibility: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    version: str = ""
    operation: str = ""
    domain: str = ""

    def columns_for(self, name: str) -> tuple[str, ...]:
        """Return the columns of one field; those of attributes with their patterns."""
        value: str | tuple[str, ...] = getattr(self, name)
        return (value,) if value and isinstance(value, str) else tuple(value)

    def columns(self) -> tuple[str, ...]:
        """Return the columns that records must have: no patterns, and nothing that a preset adds."""
        named = [column for name in (*_LISTS, *_SINGLE) for column in self.columns_for(name)]
        return tuple(
            dict.fromkeys(column for column in named if "*" not in column and not column.startswith(DERIVED))
        )

    def as_toml(self) -> str:
        """Return the map as the text of a field map file, one line a field."""
        return "\n".join(
            f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in self.as_json().items()
        )

    def as_json(self) -> dict[str, object]:
        """Return what differs from an empty map, as a field map file would hold it."""
        values: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value and value != field.default:
                single = isinstance(value, tuple) and len(value) == 1 and field.name != "attributes"
                values[field.name] = value[0] if single else value
        return values


def load_field_map(path: Path, catalogue: Source, partial: bool = False, default_id: str = "") -> FieldMap:
    """Read a field map file and check it against the catalogue, or against a file of changes (`partial`).

    A catalogue must have every column but that of the operation. Changes need only the id: a list of prices
    lacks the title, a list of deletions lacks everything else, and an empty file is not a mistake. For them
    `add_operation` completes the map. A file without an id has `default_id` where that is given.

    Raises SettingsError naming every unknown key, value of a wrong type and column that the catalogue lacks.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"field map {path} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"field map {path} can't be read: {error}") from error
    if default_id:
        values.setdefault("id", default_id)
    field_map = field_map_from(values, f"field map {path}", partial)
    needed = [field_map.id] if partial else [c for c in field_map.columns() if c != field_map.operation]
    columns = catalogue.columns()
    missing = missing_columns(catalogue, needed)
    if missing and (columns or not partial):
        raise SettingsError(
            f"field map {path}: {catalogue.name} has no column {', '.join(missing)}; "
            f"it has {format_columns(columns)}"
        )
    return add_operation(field_map, columns) if partial else field_map


def field_map_from(values: Mapping[str, object], source: str, partial: bool = False) -> FieldMap:
    """Return the field map of a parsed file, or of the record that an index keeps of its own.

    `source` names where the values come from. Raises SettingsError naming every unknown key and value of a
    wrong type.
    """
    known = [field.name for field in fields(FieldMap)]
    problems = [f"unknown key {key!r} (known: {', '.join(known)})" for key in values if key not in known]
    checked: dict[str, str | float | tuple[str, ...]] = {}
    for name in known:
        if name not in values:
            continue
        value = _check(name, values[name])
        if value is None:
            problems.append(f"{name} = {values[name]!r} must be {_describe(name)}")
        else:
            checked[name] = value
    if "id" not in values:
        problems.append("no id: name the column that holds each product's id")
    if not partial and "title" not in values and "description" not in values:
        problems.append("no title and no description: name at least one column of text")
    if problems:
        raise SettingsError(f"{source}: {'; '.join(problems)}")
    return FieldMap(**checked)  # type: ignore[arg-type]  # each value was checked by its field's name above


def add_operation(field_map: FieldMap, columns: Iterable[str]) -> FieldMap:
    """Return the map with a column of operations, for changes that are read by a map without one.

    Take the first of OPERATION_COLUMNS that is in `columns`, or else the first of them all: the columns of
    JSON Lines are those of a sample, and the first delete may come after it.
    """
    if field_map.operation:
        return field_map
    present = set(columns)
    column = next((name for name in OPERATION_COLUMNS if name in present), OPERATION_COLUMNS[0])
    return replace(field_map, operation=column)


def missing_columns(source: Source, wanted: Iterable[str]) -> tuple[str, ...]:
    """Return those of the columns that the source certainly lacks; of a path `a.b` it must have `a`."""
    wanted = [column for column in wanted if not column.startswith(DERIVED)]
    lacking = source.missing(wanted)
    if not any("." in column for column in lacking):
        return lacking
    roots = set(source.missing({column.partition(".")[0] for column in lacking}))
    return tuple(column for column in lacking if column.partition(".")[0] in roots)


def format_columns(columns: tuple[str, ...], most: int = 30) -> str:
    """Return columns for a message, long lists cut."""
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return ", ".join(columns[:most]) + more if columns else "no columns at all"


def _check(name: str, value: object) -> str | float | tuple[str, ...] | None:
    """Return the value as FieldMap holds it, or None for a wrong type."""
    if name == "price_scale":
        good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        return float(value) if good else None  # type: ignore[arg-type]
    if name in _CHOICES:
        return value if isinstance(value, str) and value in _CHOICES[name] else None
    if isinstance(value, str) and value:
        return (value,) if name in _LISTS else value
    if (
        name in _LISTS
        and isinstance(value, list | tuple)
        and all(isinstance(column, str) and column for column in value)
    ):
        return tuple(value)
    return None


def _describe(name: str) -> str:
    if name == "price_scale":
        return "a number above 0"
    if name in _CHOICES:
        return " or ".join(map(json.dumps, _CHOICES[name]))
    if name in _TEXTS:
        return "a text"
    return "a column's name" + (" or a list of them" if name in _LISTS else "")
