"""Where a broken CSV record ends, decided by the quotes behind it.

Behind a broken record a line may be the next record, or the rest of a cell of several lines. A quote that
opens a cell, in a line that is a whole record, shows that the lines before it are records. A quote that
closes a cell shows that they are not. Where neither comes, lines count as records only if they look it.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from indexer.sources.files.csv.dialect import Dialect
from indexer.sources.files.lines import Line

_WINDOW_BYTES = 2_000_000
"""How far behind a broken record its end is looked for before lines are given up."""

_Verdict = Literal["records", "closed", "doubtful", "lost"]


@dataclass(frozen=True, slots=True)
class RecordEnd:
    """The last line of a broken record. Unless it is `certain`, lines that were records may be left out."""

    last_line: int
    certain: bool
    unclosed: bool


class Recovery:
    """Yields the lines of a file, and finds where a broken record of `width` cells ends.

    Time grows with the length of the file alone: a verdict holds for every broken record before its line.
    """

    def __init__(self, lines: Iterator[Line], dialect: Dialect, width: int) -> None:
        self._lines = lines
        self._pending: deque[Line] = deque()
        self._dialect = dialect
        self._width = width
        self._decided_line = 0  # up to this line `_verdict` holds
        self._verdict: _Verdict = "records"
        delimiter, quote = re.escape(dialect.delimiter), re.escape(dialect.quote)
        blanks = " *" if dialect.padded else ""
        other = rf"[^{quote}{delimiter}\r\n]"
        self._opening = re.compile(rf"(?:^|{delimiter}){blanks}{quote}(?={other})")
        self._closing = re.compile(rf"(?:^|{other}){quote}(?={delimiter}|[\r\n]|$)")
        self._escaped = re.compile(re.escape(dialect.escape) + ".", re.DOTALL) if dialect.escape else None

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are not yet read or were given back."""
        while True:
            if self._pending:
                yield self._pending.popleft()
            elif (line := next(self._lines, None)) is not None:
                yield line
            else:
                return

    def give_back(self, lines: list[Line]) -> None:
        """Have lines read again."""
        self._pending.extendleft(reversed(lines))

    def looks_like_records(self, texts: list[str]) -> bool:
        """Whether each of these lines, cut at the delimiters alone, has the cells of one record."""
        delimiter = self._dialect.delimiter
        if delimiter != "\t" and (self._width < 3 or any(f"{delimiter} " in text for text in texts)):
            return False  # prose has blanks behind its commas
        return all(text.count(delimiter) + 1 == self._width for text in texts)

    def find_end(self, record: list[Line], encoding: str) -> RecordEnd:
        """Leave out the broken record that begins these lines. Reading goes on behind it."""
        first = record[0]
        self.give_back(record[1:])
        if not first.too_long and self._closes_leniently(first.data.decode(encoding, "replace")):
            return RecordEnd(first.number, certain=True, unclosed=False)
        if first.number >= self._decided_line:
            self._decide(first.number, encoding)
        if self._verdict == "records":
            return RecordEnd(first.number, certain=True, unclosed=True)
        last = max(first.number, self._decided_line)
        while self._pending and self._pending[0].number <= self._decided_line:
            self._pending.popleft()
        return RecordEnd(last, certain=self._verdict == "closed", unclosed=self._verdict == "lost")

    def _decide(self, number: int, encoding: str) -> None:
        """Find the first quote that decides what the lines behind line `number` are."""
        size = plain_lines = regular = 0
        opened, stray_quotes = False, self._dialect.stray_quotes
        for line in self._look_ahead():
            size += len(line.data)
            number = line.number
            text = line.data.decode(encoding, "replace")
            if self._escaped:
                text = self._escaped.sub("__", text)
            if self._dialect.quote not in text:
                plain_lines += bool(text.strip())
                regular += text.count(self._dialect.delimiter) + 1 == self._width
                if size > _WINDOW_BYTES:
                    self._drop_to_decision(encoding)
                    return
                continue
            cells = self._count_cells(text)
            if self._opening.search(text):
                if cells == self._width and (stray_quotes or not self._dialect.has_stray_quote(text)):
                    if opened and regular * 10 < plain_lines * 9:
                        self._set("doubtful", number - 1)  # the rest of the cell that was opened
                    else:
                        self._set("records", number)
                    return
                opened = opened or cells == 0
            if self._closes(text):
                self._set(
                    "doubtful" if opened or (stray_quotes and cells == self._width) else "closed", number
                )
                return
            if size > _WINDOW_BYTES:
                self._drop_to_decision(encoding)
                return
        self._set("records" if regular * 10 >= plain_lines * 9 and not opened else "lost", number)

    def _set(self, verdict: _Verdict, line: int) -> None:
        self._verdict, self._decided_line = verdict, line

    def _look_ahead(self) -> Iterator[Line]:
        """Yield the lines to come, and keep them to be read."""
        yield from islice(self._pending, len(self._pending))
        for line in self._lines:
            self._pending.append(line)
            yield line

    def _drop_to_decision(self, encoding: str) -> None:
        """Leave out lines up to a quote that closes a cell, or to the end."""
        number = self._pending[-1].number
        self._pending.clear()
        for line in self._lines:
            number = line.number
            if self._dialect.quote.encode(encoding) in line.data:
                text = line.data.decode(encoding, "replace")
                if self._closing.search(text) and self._count_cells(text) != self._width:
                    break
        self._set("lost", number)

    def _closes(self, text: str) -> bool:
        """Whether a quote in the line closes a cell that an earlier line opened, and none stays open."""
        match = self._closing.search(text)
        if not match:
            return False
        return text.count(self._dialect.quote, match.end()) % 2 == 0

    def _count_cells(self, text: str) -> int:
        """Return the number of cells of a line that is a record by itself, 0 where it is none."""
        try:
            records = list(self._dialect.read([text]))
        except csv.Error:
            return 0
        return len(records[0]) if len(records) == 1 else 0

    def _closes_leniently(self, text: str) -> bool:
        """Whether a line has the cells of one record if only a quote before a delimiter ends a cell."""
        quote, delimiter = self._dialect.quote, self._dialect.delimiter
        if self._escaped:
            text = self._escaped.sub("__", text)
        text = text.rstrip("\r\n")
        cells, position = 0, 0
        while position <= len(text):
            start = position
            if self._dialect.padded:
                start += len(text[position:]) - len(text[position:].lstrip(" "))
            if text.startswith(quote, start):
                end = text.find(quote + delimiter, start + 1)
                if end < 0:
                    return cells + 1 == self._width and text.endswith(quote) and len(text) - 1 > start
                position = end + 2
            else:
                end = text.find(delimiter, start)
                if end < 0:
                    return cells + 1 == self._width
                position = end + 1
            cells += 1
        return cells + 1 == self._width
