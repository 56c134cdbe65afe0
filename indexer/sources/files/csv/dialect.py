"""The dialect of a CSV file, found by reading a sample in every likely dialect.

The dialect whose records have as many cells as the header wins: a delimiter is seldom consistent by chance.
"""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

from indexer.catalogue.guessing.headers import locate_header
from indexer.sources.files.csv.first_cells import find_usual_shapes, shape_of
from indexer.sources.files.options import ReadOptions

_DELIMITERS = ",;\t|^~\x1f\x01:#"
_SEP_LINE = re.compile(r"\ufeff?\s*[\"']?sep=(.)[\"']?\s*", re.IGNORECASE)
_MOST_CELL_CHARACTERS = 4_000_000
_MOST_ERRORS = 50

csv.field_size_limit(_MOST_CELL_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells of a line are told apart.

    `quote` and `escape` are "" where there is none. `padded` files have blanks before a quote.
    `ragged` files leave out the empty cells at the end of a record. In files with `stray_quotes` a quote may
    stand in a cell without quotes around it, as an inch mark does. `spaced` files have a blank before each
    cell. `preamble` lines precede the header. `first_shapes` are the usual shapes of first cells, empty where
    these are too different to be judged.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    padded: bool = False
    ragged: bool = False
    stray_quotes: bool = False
    spaced: bool = False
    preamble: int = 0
    first_shapes: frozenset[str] = frozenset()

    def read(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Yield the cells of each record. Raises csv.Error for quotes that do not fit the dialect."""
        if not self.quote:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        if not self.escape:
            return csv.reader(
                lines,
                delimiter=self.delimiter,
                quotechar=self.quote,
                skipinitialspace=self.padded,
                strict=True,
            )
        return csv.reader(
            map(self._keep_other_escapes, lines),
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=self.escape,
            skipinitialspace=self.padded,
            strict=True,
        )

    def has_stray_quote(self, raw: str) -> bool:
        """Whether a record has a quote in a cell without quotes around it."""
        quote, delimiter = self.quote, self.delimiter
        if not quote or quote not in raw:
            return False
        if self.escape:
            raw = re.sub(re.escape(self.escape) + ".", "__", raw, flags=re.DOTALL)
        raw = raw.rstrip("\r\n")
        blanks = " *" if self.padded else ""
        cell = re.compile(
            f"{blanks}{quote}(?:[^{quote}]|{quote}{quote})*+{quote}(?={re.escape(delimiter)}|$)"
        )
        start = 0
        while start <= len(raw):
            if match := cell.match(raw, start):
                start = match.end() + 1
                continue
            end = raw.find(delimiter, start)
            end = len(raw) if end < 0 else end
            if quote in raw[start:end]:
                return True
            start = end + 1
        return False

    def _keep_other_escapes(self, line: str) -> str:
        """Double each escape character that escapes nothing, as in C:\\new: the reader would drop it."""
        if self.escape not in line:
            return line
        escape = re.escape(self.escape)
        escapable = re.escape(self.quote + self.delimiter + self.escape)
        pattern = f"{escape}([{escapable}])?"
        return re.sub(pattern, lambda match: match[0] if match[1] else match[0] * 2, line)


@dataclass(frozen=True, slots=True)
class _Trial:
    """What reading a sample in one dialect gave."""

    dialect: Dialect
    width: int
    records: int
    regular: int
    errors: int
    multiline: int
    stray: int
    doubled: int
    spaced: int

    @property
    def share(self) -> float:
        """The share of records with as many cells as the header."""
        return self.regular / max(1, self.records + self.errors)

    @property
    def irregular(self) -> int:
        """The records with another number of cells than the header."""
        return self.records - self.regular

    @property
    def score(self) -> float:
        """The share, weighed by how telling the number of cells is."""
        return self.share * (1 - 1 / (self.width + 0.5))


def detect_dialect(lines: list[str], options: ReadOptions, complete: bool = True) -> Dialect:
    """Return the dialect of a file by its first lines, each with its end. `complete`: these are all lines."""
    preamble = 0
    delimiters = _DELIMITERS
    if lines and (match := _SEP_LINE.fullmatch(lines[0].rstrip("\r\n"))):
        preamble, delimiters = 1, match[1]
    if options.delimiter:
        delimiters = options.delimiter
    lines = lines[preamble:]
    skipped = (
        0 if preamble else locate_header(line.split(_likeliest(line, delimiters)) for line in lines[:20])
    )
    preamble, lines = preamble + skipped, lines[skipped:]
    while lines and not lines[0].strip():
        preamble, lines = preamble + 1, lines[1:]
    header = lines[0] if lines else ""
    likely = [delimiter for delimiter in delimiters if delimiter in header] or [delimiters[0]]
    trials = [_best_quoting(lines, delimiter, options, complete) for delimiter in likely]
    best = max(trials, key=lambda trial: trial.score)
    records = _read_leniently(lines, best.dialect)
    full = [cells[0] for cells in records[1:] if len(cells) == best.width]
    shapes = find_usual_shapes(full if len(full) > 2 else [cells[0] for cells in records[1:]])
    return replace(
        best.dialect,
        preamble=preamble,
        first_shapes=shapes,
        ragged=_is_ragged(records, best, shapes),
        stray_quotes=best.stray > best.errors + best.irregular and best.stray >= best.doubled,
        spaced=best.spaced * 10 >= best.records,
    )


def _likeliest(line: str, delimiters: str) -> str:
    """Return the delimiter that is most often in a line."""
    return max(delimiters, key=line.count)


def _best_quoting(lines: list[str], delimiter: str, options: ReadOptions, complete: bool) -> _Trial:
    """Return the trial of the quoting that fits best with a delimiter."""
    text = "".join(lines)
    quotes = ['"'] if options.quote is None else [options.quote]
    if options.quote is None and _wraps(lines, delimiter, "'", at_least=len(lines) // 2):
        quotes.append("'")
    escapes = ["", "\\"] if options.escape is None else [options.escape]
    trials = []
    for quote, escape in itertools.product(quotes, escapes):
        if escape and options.escape is None and escape + quote not in text:
            continue
        dialect = Dialect(delimiter, quote, escape)
        trials.append(_try(lines, dialect, complete))
        if quote and re.search(re.escape(delimiter) + " +" + re.escape(quote), text):
            trials.append(_try(lines, replace(dialect, padded=True), complete))
    best = max(trials, key=lambda trial: (trial.share, -trial.errors))
    quote = best.dialect.quote
    if options.quote is None and quote in text and (best.errors or best.multiline or best.share < 1):
        unquoted = _try(lines, Dialect(delimiter, ""), complete)
        fits = unquoted.share > best.share or (unquoted.share == best.share and delimiter == "\t")
        if fits and not _wraps(lines, delimiter, quote):
            return unquoted
    return best


def _try(lines: list[str], dialect: Dialect, complete: bool) -> _Trial:
    width = records = regular = errors = multiline = stray = doubled = spaced = start = 0
    while start < len(lines) and errors < _MOST_ERRORS:
        ended = start  # where the last whole record ended
        reader = dialect.read(lines[start:])
        try:
            for cells in reader:
                taken = start + reader.line_num - ended  # type: ignore[attr-defined]
                ended += taken
                if any(cell.strip() for cell in cells):
                    width = width or len(cells)
                    records += 1
                    regular += len(cells) == width or (len(cells) > width and not any(cells[width:]))
                    multiline += taken > 1
                    spaced += is_spaced(cells)
                    if dialect.quote and any(dialect.quote in cell for cell in cells):
                        raw = "".join(lines[ended - taken : ended])
                        stray += taken == 1 and dialect.has_stray_quote(raw)
                        doubled += not dialect.has_stray_quote(raw)
            break
        except csv.Error as error:
            swallowed = len(lines) - ended
            last = swallowed <= 1 or (not complete and swallowed * 10 < len(lines))
            if last and "end of data" in str(error):
                break  # the file or the sample ends within a record
            errors += 1
            start = ended + 1
    return _Trial(dialect, width, records, regular, errors, multiline, stray, doubled, spaced)


def is_spaced(cells: list[str]) -> bool:
    """Whether each cell but the first begins with a blank, as the words behind commas in prose do."""
    return len(cells) > 1 and cells[1].startswith(" ") and all(cell.startswith(" ") for cell in cells[2:])


def _wraps(lines: list[str], delimiter: str, quote: str, at_least: int = 0) -> bool:
    """Whether the quote ends most of the cells that it begins, with lines cut at the delimiters.

    False where it begins fewer than `at_least` cells.
    """
    if "".join(lines).count(quote) < at_least:
        return False
    begin = ended = 0
    for line in lines:
        for cell in line.strip("\r\n").split(delimiter):
            cell = cell.strip(" ")
            if cell.startswith(quote):
                begin += 1
                ended += len(cell) > 1 and cell.endswith(quote)
    return ended * 2 > begin >= at_least


def _read_leniently(lines: list[str], dialect: Dialect) -> list[list[str]]:
    """Return the records of a sample up to the first error, as at its end."""
    records: list[list[str]] = []
    with suppress(csv.Error):
        records.extend(cells for cells in dialect.read(lines) if any(cells))
    return records


def _is_ragged(records: list[list[str]], trial: _Trial, shapes: frozenset[str]) -> bool:
    """Whether a file leaves out empty cells at the end: a tenth of the records is short, none ends empty.

    A short record whose first cell has none of the usual `shapes` may be the rest of a record that a line end
    has cut, and one of a single cell is no product.
    """
    if trial.errors or trial.width < 2 or trial.multiline or trial.stray:
        return False
    if any(not cells[-1].strip() or len(cells) > trial.width for cells in records):
        return False
    short = [cells for cells in records if len(cells) < trial.width]
    if trial.width > 2 and any(len(cells) < 2 for cells in short):
        return False
    strange = sum(shape_of(cells[0]) not in shapes for cells in short) if shapes else 0
    cut = not shapes and any(
        len(cells) + len(after) == trial.width + 1 and max(len(cells), len(after)) < trial.width
        for cells, after in pairwise(records)
    )
    return bool(short) and not cut and strange * 10 <= len(short) and len(short) * 10 >= len(records)
