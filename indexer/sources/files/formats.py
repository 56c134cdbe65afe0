"""The format of a file by its content, and its columns and records in that format."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from indexer.catalogue.records import Record, Reject
from indexer.sources.files.byte_streams import ByteSource
from indexer.sources.files.csv.dialect import Dialect, detect_dialect
from indexer.sources.files.csv.reader import Header, csv_records, read_header
from indexer.sources.files.excel import read_sheet, sheet_records
from indexer.sources.files.json.containers import find_records
from indexer.sources.files.json.documents import json_document_records
from indexer.sources.files.json.lines import json_line_records
from indexer.sources.files.options import ReadOptions
from indexer.sources.files.parquet import parquet_columns, parquet_records
from indexer.sources.files.text import TextFormat, detect_text, open_lines, open_utf8
from indexer.sources.files.xml import declared_encoding, xml_records
from mappings.types import JsonObject

FormatName = Literal["CSV", "JSON Lines", "JSON", "XML", "Excel", "Parquet"]

_WORKBOOK = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe", " ": "space"}


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How a file is read. `text`, `dialect` and `header` are there for the formats that have them."""

    name: FormatName
    text: TextFormat | None = None
    dialect: Dialect | None = None
    header: Header | None = None

    @property
    def has_header(self) -> bool:
        """Whether the columns are known without reading records."""
        return self.name in ("CSV", "Excel", "Parquet")

    def as_json(self) -> JsonObject:
        """Return what reports say of it."""
        details: JsonObject = {"format": self.name}
        if self.text:
            details |= {"encoding": self.text.stored_encoding, "line_ends": self.text.line_ends}
        if self.dialect:
            details |= {
                "delimiter": self.dialect.delimiter,
                "quote": self.dialect.quote,
                "escape": self.dialect.escape,
                "preamble_lines": self.dialect.preamble,
            }
        if self.header and self.header.renamed:
            details["renamed_columns"] = self.header.renamed
        return details


def detect_format(source: ByteSource, options: ReadOptions) -> FileFormat:
    """Find the format of a file. Raises CatalogueError where it has none that is known."""
    with source.open() as stream:
        start = stream.file.peek(4096)[:4096]
    if start.startswith(b"PAR1"):
        return FileFormat("Parquet")
    if start.startswith(_WORKBOOK):
        return FileFormat("Excel")
    if declared := declared_encoding(start):
        options = replace(options, encoding=options.encoding or declared)
    text = detect_text(source, options)
    name = _text_format(text)
    if name != "CSV":
        return FileFormat(name, text)
    lines = text.sample.replace("\r", "\n") if text.carriage_returns else text.sample
    sample = _split(lines.replace("\0", ""))
    dialect = detect_dialect(sample, options, text.sample_complete)
    return FileFormat(name, text, dialect, read_header(sample, dialect, source.name))


def describe_format(details: JsonObject) -> str:
    """Return for people what `FileFormat.as_json` returned, on one line."""
    words = [details["format"]]
    if "delimiter" in details:
        delimiter, quote = details["delimiter"], details["quote"]
        words.append(f"delimiter {_NAMES.get(delimiter, delimiter)}")
        words.append(f"quote {quote}" if quote else "no quotes")
        if details["escape"]:
            words.append(f"escape {details['escape']}")
    if "encoding" in details:
        words.append(f"{details['encoding']}, {details['line_ends']}")
    return "; ".join(words)


def read_columns(source: ByteSource, file_format: FileFormat) -> tuple[str, ...]:
    """Return the columns of a file that has a header. Raises CatalogueError."""
    if file_format.header:
        return file_format.header.names
    with source.open() as stream:
        if file_format.name == "Parquet":
            return parquet_columns(stream.file, source.name)
        _, columns, _, _ = read_sheet(stream.file, source.name)
        return tuple(column for column in columns if column)


def read_records(source: ByteSource, file_format: FileFormat) -> Iterator[Record | Reject]:
    """Yield the records of a file, or a Reject for a bad one. Raises CatalogueError for a damaged file."""
    text, dialect, header = file_format.text, file_format.dialect, file_format.header
    if text is None:
        with source.open() as stream:
            if file_format.name == "Parquet":
                yield from parquet_records(stream.file, source.name)
            else:
                _, columns, rows, header_row = read_sheet(stream.file, source.name)
                yield from sheet_records(columns, rows, header_row)
    elif dialect and header:
        with open_lines(source, text) as lines:
            yield from csv_records(lines, header, dialect, text.encoding)
    elif file_format.name == "JSON Lines":
        with open_lines(source, text) as lines:
            yield from json_line_records(lines, text.encoding)
    else:
        with source.open() as stream, open_utf8(stream.file, text) as file:
            if file_format.name == "JSON":
                yield from json_document_records(file, text.encoding, stream.share, source.name)
            else:
                yield from xml_records(file, text.encoding, text.sample, stream.share, source.name)


def _split(text: str) -> list[str]:
    """Return the lines of a text with their ends. Only line feeds end lines."""
    lines = text.split("\n")
    ended = [f"{line}\n" for line in lines[:-1]]
    return [*ended, lines[-1]] if lines[-1] else ended


def _text_format(text: TextFormat) -> FormatName:
    start = text.sample.lstrip("\ufeff\0 \t\r\n")
    if re.match(r"<(\?xml|!--|!DOCTYPE|[A-Za-z])", start):
        return "XML"
    if not re.match(r'\{\s*["}]|\[\s*[\[{"\d\]]', start):
        return "CSV"
    lines = [line for line in start.splitlines() if line.strip()]
    first = _decode(lines[0])
    if len(lines) == 1:
        alone = isinstance(first, dict) and find_records(first) is None
        broken = start[0] == "{" and first is None and text.sample_complete
        return "JSON Lines" if alone or broken else "JSON"
    others = sum(isinstance(_decode(line), dict) for line in lines[1:20])
    return "JSON Lines" if isinstance(first, dict | list) or (start[0] == "{" and others) else "JSON"


def _decode(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
