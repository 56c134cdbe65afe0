"""Judgements files: who may read them, what they may look like, and on which side of a split a query is."""

import csv
import gzip
import hashlib
import io
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

from mappings.errors import LabelsError
from mappings.types import Judgement
from reranker.text.word_tokens import split_words

COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "query": ("query", "query_text", "user_query", "search_term", "keywords"),
    "product_id": ("product_id", "product", "doc_id", "docid", "document_id", "item_id", "sku", "id"),
    "grade": ("grade", "rating", "relevance", "rel", "label", "judgement", "judgment"),
}
"""What each column may be called, however capitalised or spaced; the first that the header has counts."""

GRADES = range(4)
_BLANK = frozenset({"", "-", "na", "n/a", "nan", "none", "null"})
"""Cells that hold no grade."""

JUDGEMENT_DELIMITERS = ",;\t"
_MAX_SHOWN = 5

Side = Literal["train", "dev", "test"]


class HasQuery(Protocol):
    """Whatever speaks of one query: a Judgement, the ClickEvidence of a log."""

    @property
    def query(self) -> str:
        """The query's text."""


_Label = TypeVar("_Label", bound=HasQuery)


@dataclass(frozen=True, slots=True)
class Split(Generic[_Label]):
    """Labels by side. No query, nor another spelling of it, is on two sides."""

    train: list[_Label]
    dev: list[_Label]
    test: list[_Label]


def read_judgements(path: Path, note: Callable[[str], None] = lambda _: None) -> list[Judgement]:
    """Read a CSV file with a header: query, product id, grade 0 to 3.

    The file may be gzipped (.gz). Its delimiter is a comma, semicolon or tab. `COLUMN_NAMES` lists the
    accepted column names; other columns are ignored. Queries that differ only in case or spacing count as
    one, under the first spelling. A pair that is graded several times gets the mean, rounded with halves up,
    and `note` receives a sentence that counts such pairs. Rows without a grade, as Quepid exports them for
    products that nobody rated, are skipped and counted in another sentence.

    Raises LabelsError when the file can't be read, lacks a column or has no judgement, and for bad lines: the
    first few are named by their number.
    """
    graded: dict[tuple[str, str], list[int]] = {}
    spelling: dict[str, str] = {}
    problems: list[str] = []
    blank = 0
    for line, query, product_id, grade in _cells(path):
        if grade is not None and grade.casefold() in _BLANK:
            blank += 1
            continue
        value = None if grade is None else _grade(grade)
        if not query or not product_id:
            problems.append(f"line {line}: no {'product id' if query else 'query'}")
        elif grade is None:
            problems.append(f"line {line}: it ends before the grade")
        elif value is None:
            problems.append(f"line {line}: grade {grade!r} is not one of 0, 1, 2, 3")
        else:
            key = normalise_query(query)
            spelling.setdefault(key, " ".join(query.split()))
            graded.setdefault((key, product_id), []).append(value)
    if problems:
        more = f" and {len(problems) - _MAX_SHOWN} more" if len(problems) > _MAX_SHOWN else ""
        raise LabelsError(f"{path}: {'; '.join(problems[:_MAX_SHOWN])}{more}: correct or remove these lines")
    if not graded:
        without = f" ({blank} rows without a grade)" if blank else ""
        raise LabelsError(
            f"{path} has a header and no judgement{without}: give one query, product id and grade a line"
        )
    if blank:
        note(f"{path}: {blank} rows have no grade and are skipped")
    repeated = [pair_grades for pair_grades in graded.values() if len(pair_grades) > 1]
    if repeated:
        differ = sum(len(set(pair_grades)) > 1 for pair_grades in repeated)
        note(
            f"{path}: {len(repeated)} pairs are graded more than once, {differ} of them differently: "
            "each counts once, by its mean grade"
        )
    return [
        Judgement(
            spelling[key], product_id, (2 * sum(pair_grades) + len(pair_grades)) // (2 * len(pair_grades))
        )
        for (key, product_id), pair_grades in graded.items()
    ]


def split_by_query(labels: Iterable[_Label], dev: float = 0.15, test: float = 0.2) -> Split[_Label]:
    """Split labels so that a query is on the same side in every file, in every log and in any order.

    `dev` and `test` are the expected shares of queries. `assign_side` draws the side by a hash of the query.
    """
    sides: dict[Side, list[_Label]] = {"train": [], "dev": [], "test": []}
    for label in labels:
        sides[assign_side(label.query, dev, test)].append(label)
    return Split(sides["train"], sides["dev"], sides["test"])


def assign_side(query: str, dev: float = 0.15, test: float = 0.2) -> Side:
    """Return the side of a query, drawn by SHA-256 of its stemmed words in alphabetical order.

    So "Phone case", "phone  cases" and "case phone" are on one side: one tells too much of the others.
    Raises ValueError for shares that are negative or leave nothing to train on.
    """
    if min(dev, test) < 0 or dev + test >= 1:
        raise ValueError(f"dev {dev} and test {test} must not be negative, and leave a share to train on")
    digest = hashlib.sha256(
        (" ".join(sorted(split_words(query))) or normalise_query(query)).encode()
    ).digest()
    drawn = int.from_bytes(digest[:8], "big") / 2**64
    if drawn < test:
        return "test"
    return "dev" if drawn < test + dev else "train"


def normalise_query(query: str) -> str:
    """Return what queries are compared by: NFKC, case-folded, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", query).casefold().split())


def _cells(path: Path) -> Iterator[tuple[int, str, str, str | None]]:
    """Yield line number, query, product id and grade of each row; None for a grade that is cut off."""
    text = _text(path)
    header, _, _ = text.partition("\n")
    rows = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(JUDGEMENT_DELIMITERS, key=header.count), strict=True
    )
    line = 1
    try:
        names = ["_".join(cell.split()).lower() for cell in next(rows, [])]
        at = [_column(path, wanted, names) for wanted in COLUMN_NAMES]
        line = rows.line_num + 1
        for row in rows:
            if any(cell.strip() for cell in row):
                query, product_id, grade = (row[i].strip() if i < len(row) else None for i in at)
                yield line, query or "", product_id or "", grade
            line = rows.line_num + 1
    except csv.Error as error:
        raise LabelsError(
            f"{path}: line {line} is broken CSV ({error}): quote its fields properly"
        ) from error


def _column(path: Path, wanted: str, names: list[str]) -> int:
    for name in COLUMN_NAMES[wanted]:
        if name in names:
            return names.index(name)
    raise LabelsError(
        f"{path}: the header ({', '.join(names)}) has no column for {wanted}: "
        f"call it one of {', '.join(COLUMN_NAMES[wanted])}"
    )


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise LabelsError(f"judgements file {path} does not exist") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise LabelsError(f"{path}: line {line} is not UTF-8: save the file as UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LabelsError(f"{path} is damaged ({error}): copy it again") from error
    except OSError as error:
        raise LabelsError(f"{path} can't be read: {error.strerror or error}") from error


def _grade(text: str) -> int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value in GRADES else None
