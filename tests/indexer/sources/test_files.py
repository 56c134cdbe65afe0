import codecs
import gzip
import json
from pathlib import Path

import pytest

from indexer.catalogue.records import Record, Reject
from indexer.sources.files import CatalogueFile, open_catalogue
from indexer.sources.lines import MAX_LINE_BYTES, read_lines
from mappings.errors import CatalogueError

GOOD = '{"id": "1", "title": "Mug"}'


def records_of(path: Path, data: bytes) -> list[Record | Reject]:
    path.write_bytes(data)
    return list(open_catalogue(path).records())


def test_json_lines_keep_line_numbers_over_blank_and_broken_lines(tmp_path: Path) -> None:
    data = f'\ufeff{GOOD}\n\n{{"id": \n[1]\r\n{GOOD}\r\n"text"'.encode()
    found = records_of(tmp_path / "a.jsonl", data)
    assert [record.line for record in found] == [1, 3, 4, 5, 6]
    assert isinstance(found[0], Record)
    assert found[0].values == {"id": "1", "title": "Mug"}
    assert isinstance(found[1], Reject)
    assert found[1].reason.startswith("broken JSON")
    assert found[1].raw == '{"id": '
    assert isinstance(found[2], Reject)
    assert found[2].reason == "wrong type: a JSON list, not an object"
    assert isinstance(found[3], Record)
    assert found[3].raw == GOOD


def test_bad_bytes_reject_their_line_only(tmp_path: Path) -> None:
    found = records_of(tmp_path / "a.jsonl", b'{"id": "caf\xe9"}\n' + GOOD.encode())
    assert isinstance(found[0], Reject)
    assert found[0].reason == "not UTF-8: byte 0xe9"
    assert isinstance(found[1], Record)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"id": ' + "9" * 5000 + "}"])
def test_hostile_json_is_a_reject(tmp_path: Path, text: str) -> None:
    found = records_of(tmp_path / "a.jsonl", f"{GOOD}\n{text}\n{GOOD}".encode())
    assert [type(record) for record in found] == [Record, Reject, Record]


def test_an_endless_line_is_cut_and_rejected(tmp_path: Path) -> None:
    long = b'{"id": "' + b"x" * (3 * MAX_LINE_BYTES) + b'"}\n'
    found = records_of(tmp_path / "a.jsonl", long + GOOD.encode())
    assert isinstance(found[0], Reject)
    assert "longer than" in found[0].reason
    assert len(found[0].raw) == MAX_LINE_BYTES
    assert isinstance(found[1], Record)
    assert found[1].line == 2


def test_a_json_array_says_how_to_make_lines_of_it(tmp_path: Path) -> None:
    for text in ("[\n" + GOOD + "\n]", "[" + GOOD + "]"):
        with pytest.raises(CatalogueError, match=r"jq -c '\.\[\]'"):
            records_of(tmp_path / "a.json", text.encode())


def test_gzip_is_read_and_a_cut_one_is_an_error(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(f'{{"id": {n}, "x": "{n * 7919}"}}' for n in range(5000)).encode())
    assert len(records_of(tmp_path / "a.jsonl.gz", packed)) == 5000
    with pytest.raises(CatalogueError, match="damaged after line"):
        records_of(tmp_path / "cut.jsonl.gz", packed[: len(packed) // 2])
    with pytest.raises(CatalogueError, match="damaged after line 0"):
        records_of(tmp_path / "not.jsonl.gz", b"plain text")


def test_utf16_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="UTF-16"):
        records_of(tmp_path / "a.csv", codecs.BOM_UTF16_LE + "id,title\n".encode("utf-16-le"))


def test_share_grows_to_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text((GOOD + "\n") * 5000)
    shares = [line.share for line in read_lines(path)]
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] == 1.0


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.parquet.gz", "a.gz"])
def test_unknown_forms_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CatalogueError, match="no known form"):
        open_catalogue(tmp_path / name)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="does not exist"):
        open_catalogue(tmp_path / "none.csv")
    with pytest.raises(CatalogueError, match="is a folder"):
        open_catalogue(tmp_path)


def test_endings_are_recognised_in_any_case(tmp_path: Path) -> None:
    for name, form in {"A.CSV": "csv", "b.v2.tsv.GZ": "csv", "c.ndjson": "jsonl"}.items():
        (tmp_path / name).write_bytes(b"")
        assert open_catalogue(tmp_path / name).form == form


def test_json_columns_come_from_a_sample_and_rare_ones_are_still_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text((GOOD + "\n") * 3000 + '{"id": "2", "brand": "X"}\n')
    catalogue = open_catalogue(path)
    assert catalogue.columns() == ("id", "title")
    assert catalogue.missing(["id", "brand", "colour", "size"]) == ("colour", "size")


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"id": n, "title": f"Mug {n}", "tags": ["a", "b"], "price": None} for n in range(1200)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    catalogue = open_catalogue(tmp_path / "a.parquet")
    assert catalogue.columns() == ("id", "title", "tags", "price")
    found = list(catalogue.records())
    assert [record.line for record in found] == list(range(1, 1201))
    last = found[-1]
    assert isinstance(last, Record)
    assert last.values == rows[-1]
    assert json.loads(last.raw) == rows[-1]
    assert last.share == 1.0


def test_broken_parquet_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(CatalogueError, match="not a readable Parquet"):
        list(open_catalogue(tmp_path / "a.parquet").records())


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(CatalogueError, match=r"pip install 'attune\[parquet\]'"):
        CatalogueFile(Path("a.parquet"), "parquet").columns()
