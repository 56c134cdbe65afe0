"""Flatten nested values: lists in cells, objects where a text, an address or an attribute belongs.

an object as a text         its name, title, label or value, or its English text where keys are languages
a list as a text            its elements, joined
an object as an attribute   {value, unit} is "3 cm", {name, value} is an attribute of that name, and any other
object has an attribute for each key, named by the keys on the way to it
a list as an attribute      several values, or the attributes of its objects
text like ["a", "b"]        the list that it spells, in JSON or as Python prints it
a column "a.b"              the key b of the object in column a, or of each object in a list
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_NESTING = 8
"""Levels of objects and lists in a cell that are read; what lies deeper is left out."""

MAX_ELEMENTS = 500
"""Elements of one list that are read."""

LISTING_STARTS = frozenset("[{ \t\n")
"""Characters that a text begins with that may spell a list or an object."""

_MAX_LISTING = 20_000
_MAX_BRACKETS = 500
_TEXT_KEYS = (
    "name", "title", "label", "value", "text", "content", "values", "#text", "@value", "_", "data",
)  # fmt: skip
_NAME_KEYS = (
    "name",
    "attribute_name",
    "label",
    "key",
    "attribute",
    "attribute_code",
    "code",
    "title",
    "property",
    "param_name",
    "PARAM_NAME",
)
_VALUE_KEYS = (
    "value",
    "values",
    "option",
    "options",
    "attribute_value",
    "text",
    "content",
    "val",
    "VAL",
    "data",
)
_UNIT_KEYS = ("unit", "units", "uom", "unit_text", "unitText", "unitCode", "measure")
_ADDRESS_KEYS = (
    "src", "url", "href", "link", "hi_res", "hiRes", "large", "original", "full", "medium", "source", "path",
    "url_zoom", "url_standard", "image_url", "imageUrl", "file", "thumb", "thumbnail", "#text", "edges",
    "nodes", "node", "data", "image", "images",
)  # fmt: skip
_LANGUAGE = re.compile(r"[a-z]{2}([-_][A-Za-z]{2,4})?")


def find_cell(cells: Mapping[str, object], column: str) -> object:
    """Return the cell of a column, which may be a path such as `images.src`; None where there is none."""
    if column in cells:
        return cells[column]
    root, dot, path = column.partition(".")
    return _follow(cells[root], path, MAX_NESTING) if dot and root in cells else None


def has_cell(cells: Mapping[str, object], column: str) -> bool:
    """Return whether a record has the column, be its cell empty or not."""
    return column in cells or find_cell(cells, column) is not None


def parse_listing(cell: object) -> object:
    """Return the list or object that a text spells, in JSON or in Python; any other cell as it is."""
    if not isinstance(cell, str) or cell[:1] not in LISTING_STARTS or len(cell) > _MAX_LISTING:
        return cell
    text = cell.strip()
    if text[:1] + text[-1:] not in ("[]", "{}") or sum(map(text.count, "[{(")) > _MAX_BRACKETS:
        return cell
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if not re.match(r"[\[{]\s*(['\"\[{\]}]|-?\d|None|True|False)", text):
        return cell
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return cell
    return value if isinstance(value, list | dict) else cell


def object_text(value: Mapping[str, object]) -> object:
    """Return what stands for an object where a text belongs, None where nothing does."""
    for key in _TEXT_KEYS:
        if value.get(key) not in (None, "", [], {}):
            return value[key]
    if value and all(_LANGUAGE.fullmatch(str(key)) for key in value):
        return prefer_english((str(key), inner) for key, inner in value.items())
    return None


def prefer_english(texts: Iterable[tuple[str, object]]) -> object:
    """Return the English one of (language, text), or the first that is not empty; None where all are."""
    filled = [(language, text) for language, text in texts if text]
    english = (text for language, text in filled if language.startswith("en"))
    return next(english, filled[0][1] if filled else None)


def object_address(value: Mapping[str, object]) -> object:
    """Return the address in an object that describes an image or a link, None where there is none."""
    known = (value[key] for key in _ADDRESS_KEYS if value.get(key))
    others = (
        inner for inner in value.values() if isinstance(inner, str) and inner.startswith(("http", "//"))
    )
    return next(known, None) or next(others, None)


def choose_language(values: Sequence[object]) -> Sequence[object]:
    """Return the English element of a list of texts by language, or the first; any other list as it is."""
    if not values or not all(isinstance(value, dict) for value in values):
        return values
    languages = [_language_key(value) for value in values if isinstance(value, dict)]
    if None in languages or len(set(languages)) < len(languages):
        return values
    named = zip(values, languages, strict=True)
    return [next((value for value, language in named if str(language).startswith("en")), values[0])]


def _language_key(value: Mapping[str, object]) -> str | None:
    """Return the language that an object names as that of its text, None where it names none."""
    for key in ("locale", "language", "lang", "languageCode", "language_code"):
        if key in value:
            language = str(value[key]).lower()
            return language if value[key] is None or _LANGUAGE.fullmatch(language) else None
    return None


def flatten_attribute(name: str, cell: object, depth: int = 0) -> Iterator[tuple[str, object]]:
    """Yield the attributes of a cell as (name, value); values are plain or lists of plain values."""
    if isinstance(cell, dict):
        yield from _flatten_object(name, cell, depth)
    elif isinstance(cell, list | tuple):
        plain = [element for element in cell[:MAX_ELEMENTS] if not isinstance(element, dict | list | tuple)]
        if plain:
            yield name, plain
        if depth < MAX_NESTING:
            for element in cell[:MAX_ELEMENTS]:
                if isinstance(element, dict | list | tuple):
                    yield from flatten_attribute(name, element, depth + 1)
    else:
        yield name, cell


def _flatten_object(name: str, cell: Mapping[str, object], depth: int) -> Iterator[tuple[str, object]]:
    unit = next((key for key in _UNIT_KEYS if isinstance(cell.get(key), str)), "")
    if unit and "value" in cell and set(cell) <= {"value", unit, *_NAME_KEYS}:
        own = next((str(cell[key]) for key in _NAME_KEYS if isinstance(cell.get(key), str)), name)
        yield own, f"{cell['value']} {cell[unit]}"
        return
    key = next((key for key in _NAME_KEYS if isinstance(cell.get(key), str) and cell[key]), "")
    value = next((inner for inner in _VALUE_KEYS if inner in cell and inner != key), "")
    if key and value:
        yield from flatten_attribute(str(cell[key]), cell[value], depth + 1)
    elif key and depth and not any(isinstance(inner, dict | list | tuple) for inner in cell.values()):
        yield name, cell[key]  # an entry of a list such as categories or tags: {id, name}
    elif depth < MAX_NESTING:
        for inner, element in list(cell.items())[:MAX_ELEMENTS]:
            yield from flatten_attribute(f"{name} {inner}" if depth else str(inner), element, depth + 1)


def _follow(value: object, path: str, depth: int) -> object:
    if depth <= 0:
        return None
    if isinstance(value, dict):
        return find_cell(value, path)
    if isinstance(value, list | tuple):
        inner = [_follow(element, path, depth - 1) for element in value[:MAX_ELEMENTS]]
        return [element for element in inner if element is not None] or None
    return None
