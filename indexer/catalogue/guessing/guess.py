"""The field map of a catalogue: that of the preset that its columns show, or else a guess by their names."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from indexer.catalogue.field_map import OPERATION_COLUMNS, FieldMap, add_operation, format_columns
from indexer.catalogue.guessing import column_names as names
from indexer.catalogue.guessing.picker import ColumnsByName, NamePicker
from indexer.catalogue.guessing.sample import Sample
from indexer.catalogue.nested import find_cell
from indexer.catalogue.presets import find_preset, prepare_records, recognise_preset
from indexer.catalogue.prices import judge_decimal
from indexer.catalogue.records import Record, Reject, Source
from mappings.errors import CatalogueError

_SAMPLE = 2000
"""Records that the decimal separator of prices is judged by."""

_NO_CATEGORY = re.compile(
    r"product|products|simple|variable|variation|configurable|physical|digital|service|standard|\W*\d[\W\d]*"
)
"""Values of columns that are kinds of records or numbers of categories, and not names of categories."""

_MAX_IMAGES = 5
"""Columns of images that are looked through for the first address."""

_MIN_FILLED = 0.999
"""The share of records that a column of ids has to be filled in, where another one is."""

_OWN_OBJECTS = frozenset(
    ("values", "attributes", "fields", "info", "general", "translations", "core", "basic")
)
"""Objects in a record whose name or title is that of the product."""

_VARIANTS = frozenset(("variants", "variations", "skus", "offers", "identifiers"))
"""Objects in a record whose numbers are numbers of the product."""

_VERSION = "_version"
_PREFIXED = re.compile(r"(?:attr_[a-z]_|(?:attr|attribute|spec)s?[_.:])", re.IGNORECASE)


def guess_field_map(catalogue: Source, partial: bool = False, preset: str = "") -> FieldMap:
    """Return the field map of a known export, or guess which column is which.

    `preset` names an export that the catalogue is, whatever its columns are. A file of changes (`partial`)
    needs only the id. Prices are taken as they are: no name tells whether they are cents.

    Raises CatalogueError when no id or no text can be made out, SettingsError for an unknown preset.
    """
    columns = catalogue.columns()
    known = find_preset(preset, columns) if preset else recognise_preset(columns)
    field_map = known.field_map_for(columns) if known else _guess(columns, _take_sample(catalogue, partial))
    lacking = [] if field_map.id else ["the id"]
    if not partial and not field_map.title and not field_map.description:
        lacking.append("a title or description")
    if lacking and not columns and not partial:
        raise CatalogueError(_explain_emptiness(catalogue))
    if lacking:
        raise CatalogueError(
            f"{catalogue.name}: no column looks like {' or '.join(lacking)}; it has "
            f"{format_columns(columns)}. Name the columns in a field map: --fields map.toml"
        )
    field_map = replace(
        field_map,
        version=next((column for column in columns if column == _VERSION), ""),
        operation=next((column for column in OPERATION_COLUMNS if column in columns), ""),
    )
    return add_operation(field_map, columns) if partial else judge_prices(catalogue, field_map)


def judge_prices(catalogue: Source, field_map: FieldMap) -> FieldMap:
    """Return the map with the decimal separator that the first records' prices have, if it names none."""
    if field_map.decimal or not field_map.price:
        return field_map
    return replace(field_map, decimal=judge_decimal(_price_cells(catalogue, field_map)))


def _explain_emptiness(catalogue: Source) -> str:
    """Return why a catalogue has no columns."""
    first = next(iter(catalogue.records()), None)
    if isinstance(first, Reject):
        return f"{catalogue.name} has no record that can be read: line {first.line}: {first.reason}"
    return f"{catalogue.name} has no records"


def _take_sample(catalogue: Source, partial: bool) -> Sample:
    """Return the first records, none of changes: those of a pipe would be lost."""
    if partial:
        return Sample(())
    records = islice(catalogue.records(), _SAMPLE)
    return Sample(tuple(record.values for record in records if isinstance(record, Record)))


def _price_cells(catalogue: Source, field_map: FieldMap) -> Iterator[object]:
    for record in prepare_records(islice(catalogue.records(), _SAMPLE), field_map):
        if isinstance(record, Record):
            for column in field_map.price:
                yield find_cell(record.values, column)


def _name_columns(columns: tuple[str, ...]) -> ColumnsByName:
    """Return the columns by each form of their names, English ones first, then as certain as the form is."""
    by_name: dict[str, list[str]] = {}
    forms = {column: names.list_forms(column) for column in columns}
    english_first = sorted(columns, key=lambda column: not names.is_english(column))
    for level in range(max(map(len, forms.values()), default=0)):
        for column in english_first:
            if level < len(forms[column]):
                by_name.setdefault(forms[column][level], []).append(column)
    return by_name


def _name_paths(paths: Iterable[str]) -> ColumnsByName:
    """Return paths such as `offers.price` by each form of their last step.

    Only objects that hold the product's own texts give its title.
    """
    by_name: dict[str, list[str]] = {}
    titles = names.TITLE_NAMES.split()
    for path in paths:
        root, _, key = path.partition(".")
        for form in names.list_forms(key):
            if root.lower() in _OWN_OBJECTS or form not in titles:
                by_name.setdefault(form, []).append(path)
    return by_name


class _ColumnPicker(NamePicker):
    """Finds columns of a catalogue, and keys of the objects in them."""

    def __init__(self, columns: tuple[str, ...], sample: Sample) -> None:
        super().__init__(sample, _name_columns(columns), _name_paths(sample.list_paths()))
        self._columns = frozenset(columns)

    def take_id(self) -> tuple[str, str]:
        """Return the column of ids and, where the best by name repeats over variants, that of their group."""
        named = self.list_named(names.ID_NAMES)
        filled = [column for column in named if self._sample.share_filled(column) >= _MIN_FILLED]
        best = next(iter(filled or named), "")
        group = ""
        repeats = self._sample.count_repeats(best) if best else 0
        if repeats and repeats * 10 >= len(self._sample.records):
            unique = [column for column in filled if not self._sample.count_repeats(column)]
            if unique and (repeats > 1 or "variant" in unique[0].lower()):
                best, group = unique[0], best
        self._taken.update((best, group))
        return best, group

    def list_identifiers(self) -> list[str]:
        """Return all columns of numbers that find exactly a product or a variant, taken or not."""
        wanted = names.IDENTIFIER_NAMES.split()
        columns = [column for name in wanted for column in self._by_name.get(name, [])]
        paths = [path for name in wanted for path in self._nested_by_name.get(name, [])]
        columns += [path for path in paths if path.partition(".")[0].lower() in _VARIANTS]
        return list(dict.fromkeys(columns))

    def take_levels(self, wanted: str) -> tuple[str, ...]:
        """Return the columns of the levels of a category: `Category 1` to `Category 3`."""
        named = self.list_named(wanted)
        first = (self._sample.choose(c for c in named if not self._sample.holds_only(c, _NO_CATEGORY)),)
        self._taken.add(first[0])
        match = re.fullmatch(r"(.*?)[_ ]?([01])", first[0])
        if not match:
            return first if first[0] else ()
        levels = [first[0]]
        for number in range(int(match[2]) + 1, 10):
            column = f"{first[0][: match.start(2)]}{number}"
            if column not in self._columns or column in self._taken:
                break
            levels.append(column)
            self._taken.add(column)
        return tuple(levels)


def _guess(columns: tuple[str, ...], sample: Sample) -> FieldMap:
    picker = _ColumnPicker(columns, sample)
    product_id, repeated = picker.take_id()
    title, description = (
        picker.take(names.TITLE_NAMES, nested=True, least=0.9),
        picker.take(names.DESCRIPTION_NAMES, nested=True),
    )
    brand, category = picker.take(names.BRAND_NAMES), picker.take_levels(names.CATEGORY_NAMES)
    price = (*picker.take(names.SALE_PRICE_NAMES, nested=True), *picker.take(names.PRICE_NAMES, nested=True))
    available = (
        *picker.take(names.AVAILABLE_NAMES, nested=True),
        *picker.take(names.QUANTITY_NAMES, nested=True),
    )
    available = available or picker.take(names.DELIVERY_TIME_NAMES)
    image = picker.take(names.IMAGE_NAMES, nested=True)
    for column in picker.list_named(names.IMAGE_NAMES) if image else []:
        if len(image) < _MAX_IMAGES and sample.fills_gaps(image, column):
            image = (*image, column)
    url = picker.take_one(names.URL_NAMES)
    currency = picker.take_one(names.CURRENCY_NAMES, nested=True)
    group = picker.take_one(names.GROUP_NAMES) or repeated
    status, visibility, ends = (
        picker.take(names.STATUS_NAMES),
        picker.take(names.VISIBILITY_NAMES),
        picker.take(names.END_NAMES),
    )
    merges = bool(group) and sample.refers_to(group, product_id)
    # Longest first: attr_t_ must take its columns before attr_ does.
    prefixes = {match[0] for column in columns if (match := _PREFIXED.match(column))}
    patterns = [f"{prefix}*" for prefix in sorted(prefixes, key=lambda prefix: (-len(prefix), prefix))]
    named = set(picker.list_named(names.ATTRIBUTE_NAMES))
    identifiers = picker.list_identifiers()
    return FieldMap(
        id=product_id,
        title=title,
        description=description,
        brand=brand,
        category=category,
        price=price,
        currency=currency,
        available=available,
        image=image,
        url=url,
        identifiers=tuple(column for column in identifiers if column != product_id),
        attributes=(*(column for column in columns if column in named), *patterns),
        group=group,
        variants="keep" if group and not merges else "merge",
        status=status,
        visibility=visibility,
        ends=ends,
    )
