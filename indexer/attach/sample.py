"""A sample of a shop's documents: which fields they have, and the field map that these suggest."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from indexer.attach.documents import ID_COLUMN, ShopProducts
from indexer.attach.shop_index import ShopIndex, check_attachable
from indexer.catalogue.field_map import FieldMap, format_columns, load_field_map
from indexer.catalogue.guessing import column_names as names
from indexer.catalogue.guessing import judge_prices
from indexer.catalogue.guessing.picker import NamePicker
from indexer.catalogue.guessing.sample import Sample
from indexer.catalogue.presets import plain_name
from indexer.catalogue.records import Record, Reject
from indexer.store.session import IndexSession
from mappings.errors import CatalogueError, SettingsError
from mappings.fields import ATTUNE
from mappings.types import JsonObject

_SIZE = 200
"""Documents of a sample."""

_MAX_COLUMNS = 2000

_CODES = (
    "ar|bg|ca|cs|da|de|el|en|es|et|fi|fr|he|hi|hr|hu|it|ja|ko|lt|lv|nb|nl|nn|pl|pt|ro|ru|sk|sl|sr|sv|th|tr|uk|"
    "vi|zh"
)
_LANGUAGE = re.compile(rf"({_CODES})(?:[-_]([a-z]{{2,4}}))?", re.IGNORECASE)
_LANGUAGE_SUFFIX = re.compile(rf"(.+?)_({_CODES})(?:_([a-z]{{2}}))?", re.IGNORECASE)

_WRAPPERS = ("name", "value", "raw", "label", "text", "content", "amount", "rendered", "src", "url", "double")
"""Last steps of paths that hold the value of the step before: `brand.name`, `meta._price.value`."""

_AFFIXES = re.compile(
    r"^post_(?=title|content|excerpt)|^(?:product|item)_(?=.)|(?<=.)(?:_value|_text|_label)$|(?<=[a-z])(?:_\d+)+$"
)
"""What shop systems put around the names of fields: `post_title`, `color_value`, `price_0_1`."""

_ATTRIBUTE = re.compile(r"(?:pa|attr|attribute|option|spec)_.+", re.IGNORECASE)
_ATTRIBUTE_GROUPS = ("attributes", "options", "properties", "specifications", "specs")
"""Steps of paths that are attributes, or below which attributes lie."""

_CATEGORY_NAME = re.compile(r"name_category_\d+")
"""Fields of Magento's with the name of a category that the product is in."""


@dataclass(frozen=True, slots=True)
class ShopSample:
    """Some documents of a shop's indexes, as a source of records. Each record's `_id` is a column."""

    name: str
    documents: tuple[JsonObject, ...]
    paths: tuple[str, ...]
    moment_ms: int = 0

    def records(self) -> Iterator[Record | Reject]:
        """Yield the documents of the sample."""
        for number, document in enumerate(self.documents, 1):
            yield Record(number, document, "", number / len(self.documents))

    def columns(self) -> tuple[str, ...]:
        """Return the id and every path to a value, in the documents or in the mapping."""
        return (ID_COLUMN, *self.paths)

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return the wanted columns that are neither a path nor the beginning of one, sorted."""
        known = {ID_COLUMN}
        for path in self.paths:
            steps = path.split(".")
            known |= {".".join(steps[:length]) for length in range(1, len(steps) + 1)}
        return tuple(sorted(column for column in set(wanted) if column not in known))

    def details(self) -> list[JsonObject]:
        """Return nothing: no format is detected."""
        return []


def load_shop_map(path: Path, sample: ShopSample) -> FieldMap:
    """Read a field map file.

    Raises SettingsError, as for a field that no document of the sample has, and where none has a text by it.
    """
    field_map = load_field_map(path, sample, default_id=ID_COLUMN)
    if field_map.id != ID_COLUMN or field_map.preset:
        raise SettingsError(
            f"field map {path}: leave id and preset out. The id of a document is always its {ID_COLUMN}, and "
            "presets are for exports"
        )
    reader = ShopProducts(field_map)
    if sample.documents and not any(reader.read("", document) for document in sample.documents):
        raise SettingsError(
            f"field map {path}: none of {len(sample.documents)} documents of {sample.name} has a text in "
            f"{', '.join((*field_map.title, *field_map.description))}; the fields are "
            f"{format_columns(sample.paths)}"
        )
    return field_map


def read_sample(session: IndexSession, indexes: list[ShopIndex]) -> ShopSample:
    """Read some documents of every index, and the fields that they and the mappings have.

    Raises IndexingError where an index can't be attached, and ClusterDown.
    """
    documents: list[JsonObject] = []
    for index in indexes:
        check_attachable(index)
        documents += _read_documents(session, index.name, _SIZE // len(indexes) or 1)
    mapped = [path for index in indexes for path in _list_mapped(index.mappings.get("properties", {}))]
    paths = list_filled(documents) or tuple(dict.fromkeys(mapped))
    return ShopSample(session.alias, tuple(documents), paths)


def _read_documents(session: IndexSession, index: str, size: int) -> list[JsonObject]:
    """Return documents of an index chosen at random, the same ones each time."""
    anywhere = {"function_score": {"random_score": {"seed": 1, "field": "_seq_no"}}}
    body = {"query": anywhere, "size": size, "_source": {"excludes": [ATTUNE]}}
    answer = session.retry.call(
        f"reading a sample of {index}", lambda: session.client.search(index=index, body=body)
    )
    return [hit.get("_source", {}) | {ID_COLUMN: hit["_id"]} for hit in answer["hits"]["hits"]]


def list_filled(documents: Iterable[JsonObject]) -> tuple[str, ...]:
    """Return the paths to every value of some documents, the first 2,000, without the id."""
    paths = dict.fromkeys(path for document in documents for path in _list_paths(document))
    paths.pop(ID_COLUMN, None)
    return tuple(islice(paths, _MAX_COLUMNS))


def guess_shop_map(sample: ShopSample, language: str = "") -> FieldMap:
    """Guess which field of a shop's documents is which field of a product.

    Of fields in several languages take those in `language`, such as `de`; without one, English or the first.
    Raises CatalogueError where no field looks like a title or a description.
    """
    if not sample.paths:
        raise CatalogueError(f"{sample.name} has neither documents nor fields: attach it when it has some")
    labelled = {path.removesuffix("_value") for path in sample.paths if path.endswith("_value")}
    # Where there is a label, as `color_value`, the field itself has a number for it.
    paths = [path for path in _choose_language(sample.paths, language) if path not in labelled]
    attributes = dict.fromkeys(_find_attributes(paths))
    named = [
        (rank, path.count("."), place, name, path)
        for place, path in enumerate(paths)
        if path not in attributes and path.partition(".")[0] not in attributes
        for rank, name in enumerate(_list_names(path))
    ]
    by_name: dict[str, list[str]] = {}
    for *_, name, path in sorted(named):
        by_name.setdefault(name, []).append(path)
    picker = NamePicker(Sample(sample.documents), by_name)
    title, description = picker.take(names.TITLE_NAMES, least=0.9), picker.take(names.DESCRIPTION_NAMES)
    if not title and not description:
        raise CatalogueError(
            f"{sample.name}: no field looks like a title or description; it has "
            f"{format_columns(sample.paths)}. Name the fields in a field map: --fields map.toml"
        )
    brand, category = picker.take(names.BRAND_NAMES), picker.take(names.CATEGORY_NAMES)
    categories = tuple(path for path in paths if _CATEGORY_NAME.fullmatch(path))
    field_map = FieldMap(
        id=ID_COLUMN,
        title=title,
        description=description,
        brand=brand,
        category=category or categories,
        price=(*picker.take(names.SALE_PRICE_NAMES), *picker.take(names.PRICE_NAMES)),
        currency=picker.take_one(names.CURRENCY_NAMES),
        available=(*picker.take(names.AVAILABLE_NAMES), *picker.take(names.QUANTITY_NAMES)),
        image=picker.take(names.IMAGE_NAMES),
        url=picker.take_one(names.URL_NAMES),
        identifiers=tuple(picker.list_named(names.IDENTIFIER_NAMES)),
        attributes=tuple(dict.fromkeys((*picker.list_named(names.ATTRIBUTE_NAMES), *attributes))),
    )
    return judge_prices(sample, field_map)


def _find_attributes(paths: Iterable[str]) -> Iterator[str]:
    """Yield what holds attributes: `terms.pa_color.name`, and `specs` for all that lies below it."""
    for path in paths:
        steps = path.split(".")
        group = next((n for n, step in enumerate(steps) if step.casefold() in _ATTRIBUTE_GROUPS), None)
        if group == 0:
            yield steps[0]
        elif group is not None or (any(map(_ATTRIBUTE.fullmatch, steps)) and _is_value(steps)):
            yield path


def _is_value(steps: list[str]) -> bool:
    """Return whether a path ends at an attribute itself, or at its name."""
    return bool(_ATTRIBUTE.fullmatch(steps[-1])) or steps[-1] in ("name", "value")


def _list_names(path: str) -> Iterator[str]:
    """Yield plain names for a path, from the one that says most to its last step alone."""
    steps = [step for step in path.split(".") if not _is_language(step)]
    yield plain_name(_without_language(".".join(steps)))
    while len(steps) > 1 and plain_name(steps[-1]) in _WRAPPERS:
        steps.pop()
    yield plain_name(_without_language(".".join(steps)))
    bare = plain_name(_without_language(steps[-1]))
    yield bare
    while (shorter := _AFFIXES.sub("", bare)) != bare:
        bare = shorter
    yield from names.list_forms(bare)


def _choose_language(paths: Iterable[str], language: str) -> list[str]:
    """Return the paths without those in other languages than the chosen one."""
    languages = {path: _find_language(path) for path in paths}
    present = dict.fromkeys(filter(None, languages.values()))
    wanted = language.casefold().replace("_", "-")
    if not wanted:
        wanted = next((name for name in present if name.startswith("en")), next(iter(present), ""))
    return [path for path, own in languages.items() if own in ("", wanted) or _is_part(own, wanted)]


def _is_part(language: str, wanted: str) -> bool:
    """Return whether one names the other with a country: `de` and `de-at`."""
    return language.partition("-")[0] == wanted or language == wanted.partition("-")[0]


def _find_language(path: str) -> str:
    """Return the language that a step of a path names, as `de` or `de-at`, empty where none does."""
    for step in path.split("."):
        if _is_language(step):
            return step.casefold().replace("_", "-")
        suffix = _LANGUAGE_SUFFIX.fullmatch(step)
        if suffix:
            return "-".join(part.casefold() for part in suffix.groups()[1:] if part)
    return ""


def _is_language(step: str) -> bool:
    return bool(_LANGUAGE.fullmatch(step))


def _without_language(name: str) -> str:
    suffix = _LANGUAGE_SUFFIX.fullmatch(name)
    return suffix[1] if suffix else name


def _list_paths(value: Mapping[str, object], before: str = "") -> Iterator[str]:
    """Yield the paths to the values of a document, through its objects and lists."""
    for key, inner in value.items():
        path = f"{before}{key}"
        elements = inner if isinstance(inner, list) else [inner]
        objects = [element for element in elements[:20] if isinstance(element, Mapping)]
        for element in objects:
            yield from _list_paths(element, f"{path}.")
        if not objects and any(element not in (None, "", [], {}) for element in elements):
            yield path


def _list_mapped(properties: Mapping[str, JsonObject], before: str = "") -> Iterator[str]:
    """Yield the paths to the fields of a mapping."""
    for name, field in properties.items():
        if "properties" in field:
            yield from _list_mapped(field["properties"], f"{before}{name}.")
        elif f"{before}{name}" != ATTUNE:
            yield f"{before}{name}"
