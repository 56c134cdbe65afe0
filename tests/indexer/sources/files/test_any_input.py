"""Whatever bytes a file holds, reading it ends with records, rejects or a CatalogueError, and nothing else.

EXAMPLES=15000 in the environment tries so many in each test instead of 100.
"""

import bz2
import csv
import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from indexer.catalogue.records import Record
from indexer.sources.files import ReadOptions, open_catalogue
from indexer.sources.files.encodings import detect_encoding
from mappings.errors import AttuneError

_here = settings(
    max_examples=int(os.environ.get("EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

PIECES = st.sampled_from(
    [
        '"',
        '""',
        "'",
        ",",
        ";",
        "\t",
        "|",
        "\n",
        "\r\n",
        "\r",
        "\\",
        '\\"',
        "a",
        "b c",
        "19",
        "é",
        "鼠",
        "\0",
        " ",
        "sep=;\n",
        "id",
        "title",
    ]
)
CSV_LIKE = st.lists(PIECES, max_size=60).map("".join)
JSON_PIECES = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        '"',
        '"id"',
        '"products"',
        "1",
        "1e999",
        "9" * 401,
        "null",
        "\n",
        " ",
        "\\ud800",
        "é",
        "NaN",
    ]
)
XML_PIECES = st.sampled_from(
    [
        "<a>",
        "</a>",
        "<item>",
        "</item>",
        "<id>",
        "</id>",
        "x",
        "&amp;",
        "&",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        '<b c="d"/>',
        "\n",
        "\0",
        "<?xml version='1.0'?>",
    ]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "gb18030", "utf-32"])
PACKERS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, bz2.compress]


def outcomes(folder: Path, data: bytes, options: ReadOptions | None = None) -> list[Any]:
    path = folder / "a.bin"
    path.write_bytes(data)
    try:
        catalogue = open_catalogue(path, options)
        catalogue.columns()
        catalogue.missing(["id", "title.x"])
        catalogue.details()
        return list(catalogue.records())
    except AttuneError:
        return []


def check_no_phantoms(text: str, found: list[Any]) -> None:
    """Every cell is a part of the text, and there are no more records than lines."""
    plain = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    assert len(found) <= plain.count("\n") + 1
    for outcome in found:
        if isinstance(outcome, Record):
            for cell in outcome.values.values():
                assert isinstance(cell, str)
                squeezed = "".join(cell.split()).replace('"', "").replace("'", "").replace("\\", "")
                haystack = "".join(plain.split()).replace('"', "").replace("'", "").replace("\\", "")
                assert squeezed in haystack


@_here
@given(
    data=st.binary(max_size=400),
    start=st.sampled_from(
        [b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"\xd0\xcf\x11\xe0", b"\xff\xfe", b"id,t\n"]
    ),
)
def test_any_bytes(tmp_path: Path, data: bytes, start: bytes) -> None:
    outcomes(tmp_path, start + data)


@_here
@given(
    text=CSV_LIKE,
    header=st.sampled_from(["", "id,title\n", "id;title;price\n", "id\ttitle\n"]),
    encoding=ENCODINGS,
)
def test_anything_like_csv(tmp_path: Path, text: str, header: str, encoding: str) -> None:
    data = (header + text).encode(encoding, "ignore")
    assume(not data.startswith((b"{", b"[", b"<")))
    found, mark = detect_encoding(data)
    if found:
        check_no_phantoms(
            data[mark:].decode(found, "replace").replace("\ufeff", ""), outcomes(tmp_path, data)
        )


@_here
@given(
    rows=st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=9),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=12,
    ),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    delimiter=st.sampled_from(",;\t|"),
)
def test_what_csv_writers_write_is_read(
    tmp_path: Path, rows: list[list[str]], quoting: Any, delimiter: str
) -> None:
    assume(all(any(cell.strip() for cell in row) for row in rows))
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writerows([["id", "title", "text"], *rows])
    options = ReadOptions(encoding="utf-8", delimiter=delimiter, quote='"', escape="")
    found = outcomes(tmp_path, written.getvalue().encode(), options)
    read = [list(outcome.values.values()) for outcome in found if isinstance(outcome, Record)]
    assert [row for row in rows if row not in read] == [] or any(
        not isinstance(outcome, Record) for outcome in found
    )
    assert all(row in rows for row in read)


@_here
@given(text=st.lists(JSON_PIECES, max_size=40).map("".join), encoding=ENCODINGS)
def test_anything_like_json(tmp_path: Path, text: str, encoding: str) -> None:
    outcomes(tmp_path, text.encode(encoding, "ignore"))


@_here
@given(value=JSON_VALUES, indent=st.sampled_from([None, 1]), wrap=st.sampled_from(["", "products"]))
def test_any_json(tmp_path: Path, value: Any, indent: int | None, wrap: str) -> None:
    document = {wrap: [value, value]} if wrap else [value, value]
    outcomes(tmp_path, json.dumps(document, indent=indent).encode())


@_here
@given(text=st.lists(XML_PIECES, max_size=40).map("".join), encoding=ENCODINGS)
def test_anything_like_xml(tmp_path: Path, text: str, encoding: str) -> None:
    outcomes(tmp_path, f"<a>{text}".encode(encoding, "ignore"))


@_here
@given(
    text=CSV_LIKE,
    pack=st.sampled_from(PACKERS),
    cut=st.integers(0, 60),
    member=st.sampled_from(["a.csv", "b/a.json", ".x"]),
)
def test_anything_packed_and_cut(
    tmp_path: Path, text: str, pack: Callable[[bytes], bytes], cut: int, member: str
) -> None:
    packed = pack(text.encode())
    outcomes(tmp_path, packed[: len(packed) - cut])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(member, packed)
    data = archive.getvalue()
    outcomes(tmp_path, data)
    outcomes(tmp_path, data[: len(data) - cut])
