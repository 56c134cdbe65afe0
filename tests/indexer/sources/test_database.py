import json
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item, Record, Reject
from indexer.sources.database import DatabaseTable, is_deleted, open_database
from mappings.errors import CatalogueError, SettingsError
from tests.fakes.postgres import PASSWORD, PASSWORD_IN_URL, PostgresServer, postgres

__all__ = ["postgres"]

ROOT = Path(__file__).parents[3]
MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def records(wanted: DatabaseTable) -> list[Record]:
    found = list(open_database(wanted).records())
    assert all(isinstance(record, Record) for record in found)
    return found  # type: ignore[return-value]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Runs a script in a new SQLite database and returns its URL."""

    def run(script: str) -> str:
        with sqlite3.connect(tmp_path / "shop.db") as database:
            database.executescript(script)
        database.close()
        return f"sqlite:///{tmp_path / 'shop.db'}"

    return run


MUGS = """
CREATE TABLE mugs (id INTEGER, title TEXT, price NUMERIC, gone BOOLEAN, changed TEXT);
INSERT INTO mugs VALUES (1, 'Mug', 9.5, 0, '2026-03-01 12:00:00'), (2, 'Cup', NULL, 1, '2026-03-01 12:00:01'),
  (3, 'Jug', 12, NULL, NULL);
"""


def test_a_table_is_a_catalogue(shop: Callable[[str], str]) -> None:
    url = shop(MUGS)
    source = open_database(DatabaseTable(url, "mugs"))
    assert source.name == f"{url} mugs"
    assert source.columns() == ("id", "title", "price", "gone", "changed")
    assert source.missing(["title", "size", "brand"]) == ("brand", "size")
    before = source.moment_ms
    found = list(source.records())
    assert source.moment_ms == before
    assert [record.line for record in found] == [1, 2, 3]
    first = found[0]
    assert isinstance(first, Record)
    values = {"id": 1, "title": "Mug", "price": 9.5, "gone": 0, "changed": "2026-03-01 12:00:00"}
    assert first.values == values
    assert json.loads(first.raw) == values
    assert [record.share for record in found if isinstance(record, Record)] == [1 / 3, 2 / 3, 1.0]


def test_rows_marked_deleted_are_no_products_and_the_watermark_is_the_version(
    shop: Callable[[str], str],
) -> None:
    found = records(DatabaseTable(shop(MUGS), "mugs", watermark="changed", deleted="gone"))
    assert [record.values["id"] for record in found] == [1, 3]
    assert found[0].values["_version"] == int(MOMENT.timestamp() * 1000)
    assert "_version" not in found[1].values


def test_a_query_with_colons_percents_a_comment_and_an_order(shop: Callable[[str], str]) -> None:
    query = """SELECT id, 'a :b %s 100%' AS title, '12:30' AS "When: at" FROM mugs ORDER BY id DESC -- all"""
    found = records(DatabaseTable(shop(MUGS), query=query))
    assert [record.values["id"] for record in found] == [3, 2, 1]
    assert found[0].values["title"] == "a :b %s 100%"
    assert found[0].values["When: at"] == "12:30"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"table": "cups"}, "no such table: cups"),
        ({"query": "SELEC 1"}, "syntax error"),
        ({"table": "mugs", "watermark": "updated"}, "has no column updated; it has id, title"),
        ({"table": "mugs", "deleted": "dead"}, "has no column dead"),
    ],
)
def test_what_is_not_there_is_said_at_once(
    shop: Callable[[str], str], wanted: dict[str, str], message: str
) -> None:
    with pytest.raises(CatalogueError, match=message):
        open_database(DatabaseTable(shop(MUGS), **wanted))


@pytest.mark.parametrize("table", ["", "a.b.c", ".mugs", "mugs.", '"mugs'])
def test_no_name_of_a_table(shop: Callable[[str], str], table: str) -> None:
    with pytest.raises(SettingsError, match="table"):
        open_database(DatabaseTable(shop(MUGS), table))


def test_both_a_table_and_a_query(shop: Callable[[str], str]) -> None:
    with pytest.raises(SettingsError, match="one of the two"):
        open_database(DatabaseTable(shop(MUGS), "mugs", "SELECT 1"))


@pytest.mark.parametrize(
    "url", ["s3cret", "postgresql://me:s3cret@host:port/x", "nonesuch://me:s3cret@host/x"]
)
def test_a_url_that_is_none_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        open_database(DatabaseTable(url, "mugs"))
    assert "s3cret" not in str(raised.value)


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(CatalogueError, match="oracledb"):
        open_database(DatabaseTable("oracle+oracledb://me:s3cret@host/x", "mugs"))


def test_without_sqlalchemy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(CatalogueError, match=r"pip install 'attune\[database\]'"):
        open_database(DatabaseTable("sqlite://", "mugs"))


def test_a_watermark_that_is_none_rejects_its_row(shop: Callable[[str], str]) -> None:
    url = shop("CREATE TABLE t (id, v); INSERT INTO t VALUES (1, 1.5), (2, 7), (3, 'soon'), (4, x'00');")
    found = list(open_database(DatabaseTable(url, "t", watermark="v")).records())
    assert [type(record) for record in found] == [Reject, Record, Reject, Reject]
    assert isinstance(found[0], Reject)
    assert found[0].reason == "v: wrong type: watermark 1.5 is neither a whole number nor a moment"


@pytest.mark.parametrize(
    ("cell", "deleted"),
    [
        *[(cell, True) for cell in (True, 1, "t", "2026-03-01", MOMENT, date(2026, 3, 1), Decimal(1))],
        *[(cell, False) for cell in (False, 0, None, "", "f", "No", " 0 ", Decimal(0))],
    ],
)
def test_deleted(cell: object, deleted: bool) -> None:
    assert is_deleted(cell) is deleted


def test_postgres_types_become_values_of_products(postgres: PostgresServer) -> None:
    identity = uuid.uuid4()
    postgres.execute(
        "DROP TABLE IF EXISTS kinds",
        """CREATE TABLE kinds (id uuid, sku numeric(12), title text, price numeric(10, 2), tags text[],
        specs jsonb, weight double precision, since date, changed timestamptz, active boolean, blob bytea)""",
        f"""INSERT INTO kinds VALUES ('{identity}', 123456789012, 'Mug', 9.50, '{{red,blue}}',
        '{{"size": "L", "lids": 2}}', 0.5, '2026-03-01', '2026-03-01 13:00:00+01', true, '\\x00ff')""",
    )
    (record,) = records(DatabaseTable(postgres.url, "kinds", watermark="changed"))
    assert record.values == {
        "id": str(identity),
        "sku": 123456789012,
        "title": "Mug",
        "price": Decimal("9.50"),
        "tags": ["red", "blue"],
        "specs": {"size": "L", "lids": 2},
        "weight": 0.5,
        "since": date(2026, 3, 1),
        "changed": MOMENT,
        "active": True,
        "blob": b"\x00\xff",
        "_version": int(MOMENT.timestamp() * 1000),
    }
    field_map = FieldMap(
        id="id",
        title=("title",),
        price=("price",),
        available=("active",),
        attributes=("sku", "tags", "specs", "since"),
    )
    (item,) = read_products([record], field_map)
    assert isinstance(item, Item)
    assert item.product.id == str(identity)
    assert item.product.price == 9.5
    assert item.product.attributes == {
        "sku": 123456789012.0,
        "tags": ("red", "blue"),
        "size": "L",
        "lids": 2.0,
        "since": "2026-03-01",
    }


def test_a_schema_and_columns_that_need_quotes(postgres: PostgresServer) -> None:
    postgres.execute(
        'DROP SCHEMA IF EXISTS "The ""Shop.1""" CASCADE',
        'CREATE SCHEMA "The ""Shop.1"""',
        'CREATE TABLE "The ""Shop.1"""."Select" ("Id" int, "Changed At" timestamptz, "de%leted" boolean)',
        'INSERT INTO "The ""Shop.1"""."Select" VALUES (1, now(), false), (2, now(), true)',
    )
    name = '"The ""Shop.1"""."Select"'
    found = records(DatabaseTable(postgres.url, name, watermark="Changed At", deleted="de%leted"))
    assert [record.values["Id"] for record in found] == [1]


def test_a_query_with_two_columns_of_one_name(postgres: PostgresServer) -> None:
    with pytest.raises(CatalogueError, match="names these columns twice: id"):
        open_database(DatabaseTable(postgres.url, query="SELECT 1 AS id, 2 AS id"))


MEMORY = """
import resource, sys
from indexer.sources.database import DatabaseTable, open_database
source = open_database(DatabaseTable(sys.argv[1], query=sys.argv[2]))
count, last = 0, None
for record in source.records():
    count, last = count + 1, record
print(count, last.values["n"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_full_read_holds_few_rows_at_a_time(postgres: PostgresServer) -> None:
    peaks = []
    for rows in (1_000, 100_000):
        query = f"SELECT n, repeat('x', 1000) AS title FROM generate_series(1, {rows}) AS n"
        command = [sys.executable, "-c", MEMORY, postgres.url, query]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        count, last, peak = map(int, done.stdout.split())
        assert count == last == rows
        peaks.append(peak)
    # 100 MB of text more are read, and 10 MB at most may stay.
    assert peaks[1] - peaks[0] < 10_000, peaks


def test_a_password_is_never_shown(postgres: PostgresServer) -> None:
    source = open_database(DatabaseTable(postgres.url, query="SELECT 1 AS id"))
    wrong = postgres.url.replace(PASSWORD_IN_URL, "wr0ng%2Fword")
    texts = [source.name, repr(source.wanted)]
    attempts = [
        DatabaseTable(wrong, "mugs"),
        DatabaseTable(postgres.url.replace(str(postgres.port), "1"), "mugs"),
        DatabaseTable(postgres.url, query=f"SELECT '{PASSWORD}' + 1 AS x"),
        DatabaseTable(f"{postgres.url}?sslpassword=hidden1&options=hidden1", "mugs"),
    ]
    for wanted in attempts:
        with pytest.raises(CatalogueError) as raised:
            open_database(wanted)
        texts.append(str(raised.value))
        assert raised.value.__suppress_context__
    assert "127.0.0.1" in texts[0]
    for text in texts:
        for secret in (PASSWORD, PASSWORD_IN_URL, "wr0ng/word", "wr0ng%2Fword", "hidden1"):
            assert secret not in text
    assert "password authentication failed" in texts[2]
