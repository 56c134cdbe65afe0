"""XML feeds: RSS, Atom, Google Merchant and any other list of product elements, in constant memory.

An element's children are its columns, and so are its attributes; repeated children become a list. A child
with a `name` and a text, as in <param name="Colour">Red</param>, is a pair. Names lose their namespace:
g:price is the column `price`. Only where there is a `title` too, g:title is the column `g:title`.
A document that declares entities is refused: they serve attacks alone.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from indexer.catalogue.nested import prefer_english
from indexer.catalogue.records import Record, Reject
from indexer.sources.files.nesting import MAX_LEVELS
from mappings.errors import CatalogueError

_RECORDS = frozenset(
    [
        "item",
        "entry",
        "product",
        "offer",
        "row",
        "record",
        "article",
        "listing",
        "shopitem",
        "good",
        "artikel",
        "produkt",
    ]
)
"""Names of elements that are records even where a feed has but one of them."""

_GOOGLE = "{http://base.google.com/ns/1.0}"
_LANGUAGES = ("language", "lang", "translation")
"""Names of elements that hold one text in several languages, as PrestaShop writes them."""

_MAX_RECORD_BYTES = 8_000_000
_MAX_PATH = 32
"""Elements whose path is longer are never records."""

_CONTROLS = dict.fromkeys((code for code in range(32) if code not in (9, 10, 13)), None)
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_DECLARED = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([\w.:-]+)[\"']")


class XmlBytes(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


def declared_encoding(head: bytes) -> str:
    """Return the encoding that an XML declaration names, "" where it names none that is known."""
    match = _DECLARED.match(head.lstrip())
    try:
        return codecs.lookup(match[1].decode("ascii")).name if match else ""
    except LookupError:
        return ""


def xml_records(
    file: XmlBytes, encoding: str, sample: str, share: Callable[[], float], name: str
) -> Iterator[Record | Reject]:
    """Yield a record for each product element; `sample` is the beginning of the text, `name` for errors.

    The line of a record is its number. Raises CatalogueError for a document that is not well-formed.
    """
    path = _record_path(sample, name)
    text = _Utf8(file, encoding)
    for number, element in enumerate(_elements(text, path, name), start=1):
        text.forget()
        try:
            values = _columns(element, 0)
        except ValueError as error:
            yield Reject(number, str(error))
            continue
        raw = json.dumps(values, ensure_ascii=False)
        yield Record(number, values, raw, share())


class _Utf8:
    """The text as UTF-8 without its declaration. Control characters, which XML forbids, are left out."""

    def __init__(self, file: XmlBytes, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._started = False
        self._bytes = 0

    def forget(self) -> None:
        """Begin to count anew how long a record is."""
        self._bytes = 0

    def read(self, size: int) -> bytes:
        """Return the next part of the text. Raises CatalogueError where one record takes too many bytes."""
        while data := self._file.read(size):
            self._bytes += len(data)
            if self._bytes > _MAX_RECORD_BYTES:
                raise CatalogueError(f"an element is longer than {_MAX_RECORD_BYTES:,} bytes")
            text = self._decoder.decode(data).translate(_CONTROLS)
            if not self._started:
                text = text.lstrip("\ufeff")
                self._started = True
                text = _DECLARATION.sub(lambda match: "\n" * match[0].count("\n"), text, count=1)
            if text:
                return text.encode("utf-8", "replace")
        return b""


class _Text:
    """A text as a stream for the parser. It ends as if it were cut off."""

    def __init__(self, text: str) -> None:
        self._data = text.encode("utf-8", "replace")

    def read(self, size: int) -> bytes:
        """Return the next part."""
        data, self._data = self._data[:size], self._data[size:]
        return data


def _parse(file: object, name: str) -> Iterator[tuple[str, Element]]:
    try:
        yield from iterparse(file, ("start", "end"), forbid_dtd=False)
    except ParseError as error:
        raise CatalogueError(f"{name} is not well-formed XML: {error}") from error
    except DefusedXmlException as error:
        raise CatalogueError(f"{name} declares entities, which are not read: remove its DOCTYPE") from error
    except (ValueError, LookupError) as error:
        raise CatalogueError(f"{name} is not readable XML: {error}") from error


def _elements(file: object, path: tuple[str, ...], name: str) -> Iterator[Element]:
    """Yield each element with this path. Everything else is dropped as soon as it ends."""
    parents: list[Element] = []
    here: list[str] = []
    for event, element in _parse(file, name):
        if event == "start":
            parents.append(element)
            here.append(element.tag)
            continue
        parents.pop()
        if len(here) == len(path) and tuple(here) == path:
            yield element
        if len(here) <= len(path) and parents:
            parents[-1].remove(element)
        here.pop()


def _record_path(sample: str, name: str) -> tuple[str, ...]:
    """Return the path of the elements that are records: the highest that repeats, or has a known name."""
    counts: Counter[tuple[str, ...]] = Counter()
    parts: Counter[tuple[str, ...]] = Counter()
    here: list[str] = []
    declared: CatalogueError | None = None
    try:
        for event, element in _parse(_Utf8(_Text(sample), "utf-8"), name):
            if event == "end":
                here.pop()
                continue
            here.append(element.tag)
            if len(here) > _MAX_PATH:
                continue  # a path of thousands of elements would take time by the square of its length
            counts[tuple(here)] += 1
            parts[tuple(here)] += len(element.attrib)
            parts[tuple(here[:-1])] += 1
    except CatalogueError as error:
        declared = error
    likely = [
        path
        for path, count in counts.items()
        if len(path) > 1 and parts[path] and (count > 1 or _local(path[-1]).lower() in _RECORDS)
    ]
    if not likely:
        likely = [path for path in counts if len(path) == 2 and parts[path]]
    if not likely:
        raise declared or CatalogueError(f"{name} has no element that could be a product")
    return min(likely, key=lambda path: (len(path), -parts[path]))


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _columns(element: Element, level: int) -> dict[str, Any]:
    """Return the attributes and children of an element, by name. Raises ValueError for too many levels."""
    if level > MAX_LEVELS:
        raise ValueError(f"nested more than {MAX_LEVELS} levels deep")
    values: dict[str, Any] = {_local(name): value for name, value in element.attrib.items()}
    plain = {child.tag for child in element if not child.tag.startswith("{")}
    for child in element:
        if not isinstance(child.tag, str):
            continue  # a comment
        name = _local(child.tag)
        if child.tag.startswith(_GOOGLE) and name in plain:
            name = f"g:{name}"
        value = _value(child, level)
        if name in values and (language := _language(child)):
            values[name] = value if language.startswith("en") else values[name]
            continue
        if isinstance(value, dict) and name in values and isinstance(values[name], dict) and len(value) == 1:
            values[name] = {**value, **values[name]}  # pairs of name and value
        elif name not in values or name in element.attrib:
            values[name] = value
        elif isinstance(values[name], list):
            values[name].append(value)
        else:
            values[name] = [values[name], value]
        for attribute, text in child.attrib.items():
            if not isinstance(value, dict) and _local(attribute) not in ("src", "href", "url"):
                values.setdefault(f"{name}.{_local(attribute)}", text)
    return values


def _language(element: Element) -> str:
    """Return the language of an element's text, "" where it has none."""
    return next((text.lower() for name, text in element.attrib.items() if _local(name) == "lang"), "")


def _value(element: Element, level: int) -> Any:
    text = (element.text or "").strip()
    if len(element):
        tags = {child.tag for child in element}
        if len(tags) == 1 and _local(element[0].tag).lower() in _LANGUAGES:
            return prefer_english((_language(child), _value(child, level + 1)) for child in element) or ""
        name, inner = _local(element.tag), _local(element[0].tag)
        if len(tags) == 1 and not element.attrib and (len(element) > 1 or name[:4] == inner[:4]):
            values = next(iter(_columns(element, level + 1).values()))  # <images><image>…</image></images>
            return values if isinstance(values, list | dict) else [values]
        return _columns(element, level + 1)
    attributes = {_local(name): value for name, value in element.attrib.items()}
    if text and "name" in attributes:
        return {attributes["name"]: text}
    for address in ("src", "href", "url"):
        if not text and address in attributes:
            return attributes[address]
    return text or (attributes if attributes else "")
