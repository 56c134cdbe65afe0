"""JSON documents: a list of records, or an object that holds one, read element by element.

The standard library's decoder reads one element at a time from a window on the text. So a bad element costs
one record, its raw text is at hand, and memory does not grow with the file; event parsers such as ijson give
up at the first bad element.
"""

import codecs
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from indexer.catalogue.records import Record, Reject
from indexer.sources.files.json.containers import (
    MAX_CONTAINER_LEVELS,
    add_key,
    are_alike,
    find_records,
    is_certain_record,
    is_container,
)
from indexer.sources.files.json.lines import DECODER, to_record
from indexer.sources.files.lines import MAX_LINE_BYTES
from mappings.errors import CatalogueError

_CHUNK = 1 << 18
_BLANK = re.compile(r"[\s\0\ufeff]*")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}"]', re.DOTALL)


def json_document_records(
    file: io.BufferedReader, encoding: str, share: Callable[[], float], name: str
) -> Iterator[Record | Reject]:
    """Yield the records of a document; `name` is the file's, for errors.

    Raises CatalogueError for a document that is cut off.
    """
    window = _Window(file, encoding, share, name)
    while start := window.skip_blanks():
        if start == "[":
            window.position += 1
            yield from _read_list(window)
        elif start == "{":
            yield from _read_object(window)
        else:
            yield Reject(
                window.line, "broken JSON: neither an object nor a list", window.shown(), "resynchronised"
            )
            return


class _Window:
    """A part of the text. `position` is where reading goes on, in line `line`."""

    def __init__(self, file: io.BufferedReader, encoding: str, share: Callable[[], float], name: str) -> None:
        self.text = ""
        self.position = 0
        self.name = name
        self.share = share
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("attune_mark_broken")
        self._ended = False
        self._line = 1
        self._counted = 0

    @property
    def line(self) -> int:
        """The number of the line at the position."""
        self._line += self.text.count("\n", self._counted, self.position)
        self._counted = self.position
        return self._line

    def more(self, characters: int = _CHUNK) -> bool:
        """Read on, and forget what is before the position. Return False at the end of the file."""
        if self._ended:
            return False
        self._line = self.line
        data = self._file.read(characters)
        self._ended = not data
        self.text = self.text[self.position :] + self._decoder.decode(data, final=self._ended)
        self.position = self._counted = 0
        return True

    def skip_blanks(self, others: str = "") -> str:
        """Go to the next character that is neither blank nor one of `others`; return it, "" at the end."""
        while True:
            match = _BLANK.match(self.text, self.position)
            self.position = match.end() if match else self.position
            if self.position < len(self.text):
                if self.text[self.position] not in others:
                    return self.text[self.position]
                self.position += 1
            elif not self.more():
                return ""

    def shown(self) -> str:
        """Return the text at the position, for messages."""
        return self.text[self.position : self.position + 2000]

    def abandon(self) -> None:
        """Have no more text."""
        self.text, self.position, self._ended = "", 0, True

    def cut_off(self) -> CatalogueError:
        """Return the error of a document that ends too early."""
        return CatalogueError(
            f"{self.name} is not readable JSON in line {self.line}: it is cut off or broken there"
        )

    def peek_value(self) -> tuple[Any, int]:
        """Return the value at the position and its end. Raises ValueError, RecursionError and _CutOff."""
        grow = _CHUNK
        while True:
            try:
                return DECODER.raw_decode(self.text, self.position)
            except json.JSONDecodeError as error:
                within = error.pos < len(self.text) - 10 and not error.msg.startswith("Unterminated")
                if within or len(self.text) - self.position > MAX_LINE_BYTES:
                    raise
                if not self.more(grow):
                    raise _CutOff from error
                grow *= 2

    def take_value(self) -> tuple[Any, str]:
        """Return the value at the position and its text, and go behind it. Raises like `peek_value`."""
        value, end = self.peek_value()
        raw = self.text[self.position : end]
        self.position = end
        return value, raw

    def skip_value(self, level: int = 0) -> None:
        """Go behind the object, list or string at the position, or in which it is at `level` 1.

        Raises _CutOff where it never ends.
        """
        while True:
            match = _TOKEN.search(self.text, self.position)
            token = match[0] if match else ""
            if match is None or token == '"':
                if match is not None and len(self.text) - match.start() > 4 * MAX_LINE_BYTES:
                    raise _CutOff
                self.position = match.start() if match else len(self.text)
                if not self.more():
                    raise _CutOff
                continue
            self.position = match.end()
            level += token in "[{"
            level -= token in "]}"
            if level <= 0:
                return


class _CutOff(Exception):
    """A value does not end."""


def _read_list(window: _Window) -> Iterator[Record | Reject]:
    """Yield the elements of the list at the position, and go behind its end."""
    while True:
        start = window.skip_blanks(",")
        if start == "]":
            window.position += 1
            return
        if not start:
            raise window.cut_off()
        line = window.line
        shown = window.shown()
        try:
            value, raw = window.take_value()
        except _CutOff:
            raise window.cut_off() from None
        except (ValueError, RecursionError) as error:
            reason = (
                "longer than 1,000,000 characters"
                if "Unterminated" in str(error)
                else f"broken JSON: {error}"
            )
            try:
                window.skip_value()
            except _CutOff:
                raise window.cut_off() from None
            if not _goes_on(window):
                yield Reject(
                    line,
                    f"{reason}, and nothing behind it can be read with certainty",
                    shown,
                    "resynchronised",
                )
                window.abandon()
                return
            yield Reject(line, reason, shown)
        else:
            if "\udcff" in raw:
                yield Reject(line, "bytes that are not of the file's encoding", raw)
            else:
                yield to_record(line, value, raw, window.share())


def _goes_on(window: _Window) -> bool:
    """Whether a list certainly goes on at the position: with its end, or an element that can be read."""
    if window.skip_blanks() not in (",", "]"):
        return False
    if window.skip_blanks(",") == "]":
        return True
    try:
        window.peek_value()
    except (json.JSONDecodeError, _CutOff):
        return False
    except (ValueError, RecursionError):
        return True  # too large, but whole
    return True


def _read_object(window: _Window) -> Iterator[Record | Reject]:
    """Yield the records that an object holds, or the object as a record."""
    line = window.line
    try:
        value, raw = window.take_value()
    except _CutOff:
        raise window.cut_off() from None
    except RecursionError as error:
        yield Reject(line, f"broken JSON: {error}", window.shown(), "resynchronised")
        window.skip_value()
        return
    except ValueError:
        yield from _search_object(window, 0)
        return
    records = find_records(value)
    if records is None:
        yield to_record(line, value, raw, window.share())
        return
    for record in records:
        yield to_record(line, record, json.dumps(record, ensure_ascii=False), window.share())


def _search_object(window: _Window, level: int) -> Iterator[Record | Reject]:
    """Yield the records of a large object, and go behind the object.

    They are in a list, or are its values, under their ids: then the second is like the first.
    """
    window.position += 1
    first: tuple[object, Record | Reject] | None = None  # a value that may be a record
    is_keyed = False
    while True:
        start = window.skip_blanks(",")
        if start == "}":
            window.position += 1
            return
        if start != '"':
            raise window.cut_off()
        try:
            line = window.line
            key, _ = window.take_value()
            window.skip_blanks(":")
            opening = window.text[window.position : window.position + 1]
            if opening == "[":
                window.position += 1
                if is_container(key) or _begins_with_record(window):
                    yield from _read_list(window)
                else:
                    window.skip_value(level=1)
            elif opening == "{" and is_container(key) and level < MAX_CONTAINER_LEVELS:
                yield from _search_object(window, level + 1)
            elif opening == "{":
                value, raw = _take_object(window)
                keyed = add_key(key, value) if isinstance(value, dict) else value
                record = to_record(line, keyed, raw, window.share())
                if not is_keyed and first and are_alike(first[0], value):
                    is_keyed = True
                    yield first[1]
                if is_keyed:
                    yield record
                first = (value, record)
            else:
                window.take_value()
        except (_CutOff, ValueError, RecursionError):
            raise window.cut_off() from None


def _begins_with_record(window: _Window) -> bool:
    """Whether the element at the position is a record."""
    try:
        return window.skip_blanks() == "{" and is_certain_record(window.peek_value()[0])
    except (ValueError, RecursionError, _CutOff):
        return False


def _take_object(window: _Window) -> tuple[object, str]:
    """Return the object at the position and its text, and go behind it; None where it is broken."""
    shown = window.shown()
    try:
        return window.take_value()
    except json.JSONDecodeError:
        window.skip_value()
        return None, shown
