from pathlib import Path

import pytest

from indexer.catalogue.records import Record, Reject
from indexer.sources.csv_reader import csv_records
from indexer.sources.lines import read_lines
from mappings.errors import CatalogueError


def parse(tmp_path: Path, data: str | bytes) -> list[Record | Reject]:
    path = tmp_path / "a.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(csv_records(read_lines(path), "a.csv"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_delimiter(tmp_path: Path, delimiter: str) -> None:
    text = "\ufeffid,title,price\r\n1,Mug,2\r\n".replace(",", delimiter)
    (record,) = parse(tmp_path, text)
    assert isinstance(record, Record)
    assert record.values == {"id": "1", "title": "Mug", "price": "2"}


def test_quoted_fields_hold_line_ends_and_lines_are_counted_in_the_file(tmp_path: Path) -> None:
    found = parse(tmp_path, 'id,text\n1,"two\nlines, ""quoted"""\n2,19" screen\n')
    assert [record.line for record in found] == [2, 4]
    assert isinstance(found[0], Record)
    assert found[0].values["text"] == 'two\nlines, "quoted"'
    assert isinstance(found[1], Record)
    assert found[1].values["text"] == '19" screen'


def test_a_quote_that_never_closes_costs_one_record(tmp_path: Path) -> None:
    lines = [f"{n},Mug {n}\n" for n in range(2, 15_000)]
    found = parse(tmp_path, 'id,title\n1,"broken\n' + "".join(lines))
    assert isinstance(found[0], Reject)
    assert "never closes" in found[0].reason or "field" in found[0].reason
    assert (found[0].line, found[0].raw) == (2, '1,"broken\n')
    assert [record.line for record in found[1:]] == list(range(3, len(lines) + 3))
    assert all(isinstance(record, Record) for record in found[1:])


def test_a_quote_that_closes_in_another_record_costs_one_record(tmp_path: Path) -> None:
    found = parse(tmp_path, 'id,title\n1,"broken\n2,"fine"\n3,"a "quoted" word"\n4,Mug\n')
    assert [(record.line, type(record)) for record in found] == [
        (2, Reject),
        (3, Record),
        (4, Reject),
        (5, Record),
    ]


def test_an_unclosed_quote_on_the_last_line(tmp_path: Path) -> None:
    found = parse(tmp_path, 'id,title\n1,Mug\n2,"broken')
    assert [type(record) for record in found] == [Record, Reject]


def test_bad_bytes_reject_their_record_only(tmp_path: Path) -> None:
    found = parse(tmp_path, b"id,title\n1,caf\xe9\n2,caf\xc3\xa9\n")
    assert isinstance(found[0], Reject)
    assert found[0].reason == "not UTF-8: byte 0xe9"
    assert isinstance(found[1], Record)
    assert found[1].values["title"] == "café"


def test_rows_too_long_are_rejected_and_short_or_empty_ones_are_not(tmp_path: Path) -> None:
    found = parse(tmp_path, "id,title,brand\n1,a,b,c\n2,a,b,,\n3,a\n\n,,\n4,a,b\n")
    assert [(record.line, type(record)) for record in found] == [
        (2, Reject),
        (3, Record),
        (4, Record),
        (7, Record),
    ]
    assert isinstance(found[0], Reject)
    assert found[0].reason == "4 fields where the header has 3"
    assert isinstance(found[2], Record)
    assert found[2].values == {"id": "3", "title": "a"}


def test_a_header_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="twice: title"):
        parse(tmp_path, "id,title,title\n")
    with pytest.raises(CatalogueError, match="no CSV header"):
        parse(tmp_path, b"PK\x03\x04\x00\x00,")
    assert parse(tmp_path, b"") == []
