import bz2
import gzip
import io
import json
import lzma
import os
import zipfile
from pathlib import Path

import openpyxl
import pytest

from indexer.catalogue.records import Record, Reject
from indexer.sources.files import CatalogueFile, open_catalogue
from indexer.sources.files.excel import read_sheet
from mappings.errors import CatalogueError

GOOD = '{"id": "1", "title": "Mug"}'
ROWS = "id,title\n1,Mug\n2,Cup\n"


def records_of(path: Path, data: bytes) -> list[Record | Reject]:
    path.write_bytes(data)
    return list(open_catalogue(path).records())


def values_of(path: Path) -> list[dict[str, object]]:
    return [dict(record.values) for record in open_catalogue(path).records() if isinstance(record, Record)]


def archive(members: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            file.writestr(name, text)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a"])
def test_packed_files_are_told_by_their_content(tmp_path: Path, pack: type, name: str) -> None:
    outcomes = records_of(tmp_path / name, pack(ROWS.encode()))  # type: ignore[arg-type]
    assert [outcome.line for outcome in outcomes] == [2, 3]


def test_several_gzip_members(tmp_path: Path) -> None:
    packed = gzip.compress(b"id,title\n1,Mug\n") + gzip.compress(b"2,Cup\n") + gzip.compress(b"")
    assert len(records_of(tmp_path / "a.csv.gz", packed)) == 2


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_file_that_is_cut_is_an_error(tmp_path: Path, pack: type) -> None:
    text = "\n".join(f'{{"id": {n}, "x": "{n * 7919}"}}' for n in range(50_000)).encode()
    packed: bytes = pack(text)  # type: ignore[call-arg, assignment]
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(CatalogueError, match="is damaged"):
        list(open_catalogue(tmp_path / "a.jsonl.gz").records())


def test_an_archive_of_several_files(tmp_path: Path) -> None:
    members = {
        "b/2.jsonl": GOOD,
        "a.csv": "id,brand\n7,Potter\n8,\n9\n",
        "README.txt": "x",
        "__MACOSX/a.csv": "y",
    }
    outcomes = records_of(tmp_path / "a.zip", archive(members))
    assert [outcome.line for outcome in outcomes] == [2, 3, 4, 1]
    assert isinstance(outcomes[2], Reject)
    assert outcomes[2].reason.startswith("a.csv: 1 cells")
    assert open_catalogue(tmp_path / "a.zip").columns() == ("id", "brand", "title")


def test_a_folder_of_files_is_one_catalogue(tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_text("id,title\n1,Mug\n")
    (tmp_path / "1.json").write_text(f"[{GOOD}]")
    (tmp_path / "3.csv.gz").write_bytes(gzip.compress(b"id,price\n3,4\n"))
    (tmp_path / "2.csv.rejects.jsonl").write_text("{}")
    (tmp_path / "list.pdf").write_text("no")
    assert [record["id"] for record in values_of(tmp_path)] == ["1", "1", "3"]
    assert open_catalogue(tmp_path).columns() == ("id", "title", "price")
    os.utime(tmp_path / "2.csv", (1, 1))
    assert open_catalogue(tmp_path).moment_ms == 1000


def test_a_folder_without_files_and_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="has no catalogue file"):
        open_catalogue(tmp_path).columns()
    with pytest.raises(CatalogueError, match="does not exist"):
        open_catalogue(tmp_path / "none.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.xml", "a.json", "a.zip", "a.xlsx", "a.parquet"])
@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n\0\0" + bytes(range(256)) * 9, b"PK\x03\x04 no", b"\xd0\xcf\x11\xe0 no"]
)
def test_what_is_no_catalogue_is_an_error(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(CatalogueError):
        records_of(tmp_path / name, data)


def test_the_content_tells_the_format(tmp_path: Path) -> None:
    for text in (GOOD, f"[{GOOD}]", "id,title\n1,Mug\n", "<p><i><id>1</id><title>Mug</title></i></p>"):
        (tmp_path / "a.txt").write_text(text)
        assert values_of(tmp_path / "a.txt") == [{"id": "1", "title": "Mug"}]


def test_spreadsheets(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Cover"
    sheet = book.create_sheet("Products")
    sheet.append([])
    sheet.append(["EAN", "title", "price", "image", "image", "since", "sold"])
    sheet.append([4006381333931, "Mug", 2.5, "a", "b", __import__("datetime").date(2026, 3, 1), True])
    sheet.append([])
    sheet.append([5, "Größe", 3.0, None, None, None, False])
    book.save(tmp_path / "a.xlsx")
    catalogue = open_catalogue(tmp_path / "a.xlsx")
    assert catalogue.columns() == ("EAN", "title", "price", "image", "image.2", "since", "sold")
    first, second = catalogue.records()
    assert isinstance(first, Record)
    assert (first.line, list(first.values.values())) == (
        3,
        [4006381333931, "Mug", 2.5, "a", "b", "2026-03-01", True],
    )
    assert isinstance(second, Record)
    assert (second.line, second.values["EAN"], second.values["price"]) == (5, 5, 3)


def test_a_workbook_that_would_fill_the_memory(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", "")
        with file.open("xl/worksheets/sheet1.xml", "w") as member:
            for _ in range(6):
                member.write(b" " * (1 << 20))
    path = tmp_path / "a.xlsx"
    path.write_bytes(packed.getvalue())
    with (
        path.open("rb") as workbook,
        pytest.raises(CatalogueError, match="larger than 5 MiB unpacked: save it as CSV"),
    ):
        read_sheet(workbook, path.name, max_bytes=5 << 20)
    with path.open("rb") as workbook, pytest.raises(CatalogueError, match="not a readable workbook"):
        read_sheet(workbook, path.name, max_bytes=7 << 20)


def test_json_columns_come_from_a_sample_and_rare_ones_are_still_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text((GOOD + "\n") * 3000 + '{"id": "2", "brand": {"name": "X"}}\n')
    catalogue = open_catalogue(path)
    assert catalogue.columns() == ("id", "title")
    assert catalogue.missing(["id", "brand.name", "colour", "size"]) == ("colour", "size")


def test_share_grows_to_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text((GOOD + "\n") * 50_000)
    shares = [record.share for record in open_catalogue(path).records() if isinstance(record, Record)]
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] > 0.99


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"id": n, "title": f"Mug {n}", "tags": ["a", "b"], "price": None} for n in range(1200)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    catalogue = open_catalogue(tmp_path / "a.parquet")
    assert catalogue.columns() == ("id", "title", "tags", "price")
    outcomes = list(catalogue.records())
    assert [outcome.line for outcome in outcomes] == list(range(1, 1201))
    last = outcomes[-1]
    assert isinstance(last, Record)
    assert last.values == rows[-1]
    assert json.loads(last.raw) == rows[-1]
    assert last.share == 1.0


def test_broken_parquet_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(CatalogueError, match="not a readable Parquet"):
        records_of(tmp_path / "a.parquet", b"PAR1 not at all")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(CatalogueError, match=r"pip install 'attune\[parquet\]'"):
        CatalogueFile(tmp_path / "a.parquet").columns()


def test_a_workbook_with_other_sheets_and_a_title_above_the_header(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Read me"
    for row in (["How to use this file", "Contact"], ["1. Open it", "info@shop.example"], ["2. Read", ""]):
        book.active.append(row)
    sheet = book.create_sheet("Products")
    for row in (["Price list 2024", None, None], [], ["SKU", "Name", "Price"], ["A1", "Mug", 9.5]):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    records = list(open_catalogue(tmp_path / "a.xlsx").records())
    assert [(record.line, record.values) for record in records if isinstance(record, Record)] == [
        (4, {"SKU": "A1", "Name": "Mug", "Price": 9.5})
    ]
