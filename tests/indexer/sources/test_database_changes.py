import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from indexer.catalogue.records import Record, Reject
from indexer.sources import database_changes
from indexer.sources.change_stream import ChangeStream, batch_by_time
from indexer.sources.database import DatabaseLost, DatabaseTable, open_database
from indexer.sources.database_changes import watch_database
from mappings.errors import CatalogueError, SettingsError
from mappings.types import JsonObject
from tests.fakes.postgres import PASSWORD, PostgresServer, postgres

__all__ = ["postgres"]

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Kept(dict[str, JsonObject]):
    """WatermarkStore in memory."""

    def load(self, key: str) -> JsonObject | None:
        return self.get(key)

    def save(self, key: str, value: JsonObject) -> None:
        self[key] = value


def as_if_fresh(kept: Kept) -> Kept:
    """Return watermarks as if what they are of had just been changed."""
    for value in kept.values():
        value["past"] = False
    return kept


def look(wanted: DatabaseTable, kept: Kept, overlap: float = 60) -> list[tuple[object, ...]]:
    """Look once, as a run of its own; return id and operation of each change, and settle them."""
    found = []
    for stream in watch_database(open_database(wanted), kept, overlap=overlap):
        found += [shown(record) for record in stream.source.records()]
        stream.ack()
    return found


def shown(record: Record | Reject) -> tuple[object, ...]:
    assert isinstance(record, Record)
    return record.values["id"], record.values.get("_op", "upsert")


def of(stream: ChangeStream) -> list[tuple[object, ...]]:
    return [shown(record) for record in stream.source.records()]


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, DatabaseTable]]:
    """A SQLite table whose watermark is a counter."""
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = off")
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, title TEXT, n INTEGER)")
        yield database, DatabaseTable(f"sqlite:///{tmp_path / 'shop.db'}", "t", watermark="n")


def test_each_run_goes_on_from_the_last(counted: tuple[sqlite3.Connection, DatabaseTable]) -> None:
    database, wanted = counted
    kept = Kept()
    database.executemany("INSERT INTO t VALUES (?, 'Mug', ?)", [(n, n * 10) for n in range(1, 11)])
    assert len(look(wanted, kept, overlap=0)) == 10
    assert look(wanted, kept, overlap=0) == [(10, "upsert")]  # at the watermark, read again: harmless
    database.execute("UPDATE t SET title = 'Cup', n = 110 WHERE id = 3")
    assert look(wanted, kept, overlap=0) == [(10, "upsert"), (3, "upsert")]
    assert look(wanted, kept, overlap=20) == [(9, "upsert"), (10, "upsert"), (3, "upsert")]
    (value,) = kept.values()
    assert value == {"kind": "number", "value": 110, "past": False, "source": f"{wanted.url} t"}


def test_the_version_is_the_watermark_unless_the_query_has_one(
    counted: tuple[sqlite3.Connection, DatabaseTable],
) -> None:
    database, wanted = counted
    database.execute("INSERT INTO t VALUES (1, 'Mug', 7)")
    queries = {"SELECT * FROM t": 7, "SELECT *, 99 AS _version, 'patch' AS _op FROM t": 99}
    for query, version in queries.items():
        streams = watch_database(open_database(replace(wanted, table="", query=query)), Kept())
        stream = next(streams)
        assert "_version" in stream.source.columns()
        assert stream.source.missing(["_version", "id", "x"]) == ("x",)
        (record,) = stream.source.records()
        assert isinstance(record, Record)
        assert record.values["_version"] == version
        assert record.values.get("_op") == ("patch" if version == 99 else None)


def test_what_was_not_applied_comes_again(counted: tuple[sqlite3.Connection, DatabaseTable]) -> None:
    database, wanted = counted
    database.execute("INSERT INTO t VALUES (1, 'Mug', 7)")
    kept = Kept()
    streams = watch_database(open_database(wanted), kept, poll_seconds=0)
    assert of(next(streams)) == [(1, "upsert")]
    stream = next(streams)
    assert of(stream) == [(1, "upsert")]
    assert not kept
    with pytest.raises(CatalogueError, match="broken"):
        stream.nack(CatalogueError("broken"))
    streams.close()


def test_following_gives_a_row_once_and_again_when_it_changed(
    counted: tuple[sqlite3.Connection, DatabaseTable],
) -> None:
    database, wanted = counted
    stop = threading.Event()
    streams = watch_database(open_database(wanted), Kept(), poll_seconds=0.01, stop=stop)

    def after(statement: str) -> list[tuple[object, ...]]:
        database.execute(statement)
        stream = next(streams)
        found = of(stream)
        stream.ack()
        return found

    assert after("INSERT INTO t VALUES (1, 'Mug', 7), (2, 'Cup', 8)") == [(1, "upsert"), (2, "upsert")]
    assert after("INSERT INTO t VALUES (3, 'Jug', 9)") == [(3, "upsert")]
    assert after("UPDATE t SET title = 'Pot' WHERE id = 2") == [(2, "upsert")]  # its watermark stayed
    assert after("UPDATE t SET title = 'Cup' WHERE id = 2") == [(2, "upsert")]
    assert after("INSERT INTO t VALUES (4, 'Can', 1)") == [(4, "upsert")]  # behind, but in the overlap
    stop.set()
    assert list(streams) == []


def test_more_rows_than_are_remembered_are_only_repeated(
    counted: tuple[sqlite3.Connection, DatabaseTable],
) -> None:
    database, wanted = counted
    database.executemany("INSERT INTO t VALUES (?, 'Mug', 5)", [(n,) for n in range(50)])
    streams = watch_database(open_database(wanted), Kept(), poll_seconds=0, remembered_rows=10)
    for expected in (50, 40):
        stream = next(streams)
        assert len(of(stream)) == expected
        stream.ack()
    streams.close()


def test_a_long_poll_is_acknowledged_in_several_streams(
    counted: tuple[sqlite3.Connection, DatabaseTable],
) -> None:
    database, wanted = counted
    database.executemany("INSERT INTO t VALUES (?, 'Mug', ?)", [(n, n // 50) for n in range(130)])
    kept = Kept()
    streams = watch_database(open_database(wanted), kept, overlap=0, stream_rows=20)
    for _ in range(4):
        stream = next(streams)
        assert len(of(stream)) == 20
        stream.ack()
    assert [value["value"] for value in kept.values()] == [1]
    assert len(of(next(streams))) == 20
    assert next(streams, None) is None  # without an acknowledgement the rest is left to the next run
    assert look(wanted, kept, overlap=0) == [(n, "upsert") for n in range(50, 130)]


def test_rows_can_be_read_in_another_thread(
    counted: tuple[sqlite3.Connection, DatabaseTable], shop: DatabaseTable
) -> None:
    database, wanted = counted
    database.executemany("INSERT INTO t VALUES (?, 'Mug', ?)", [(n, n) for n in range(2000)])
    for table, rows in ((wanted, 2000), (shop, 10)):
        streams = watch_database(open_database(table), Kept())
        assert sum(len(batch) for batch in batch_by_time(next(streams).source.records(), 100, 1)) == rows
        streams = watch_database(open_database(table), Kept())
        left = batch_by_time(next(streams).source.records(), 2, 1)
        assert len(next(left)) == 2
        left.close()
        streams.close()


def test_rows_without_a_watermark_are_left_to_the_rebuild_and_odd_ones_are_rejected_once(
    counted: tuple[sqlite3.Connection, DatabaseTable],
) -> None:
    database, wanted = counted
    database.execute("INSERT INTO t VALUES (1, 'Mug', NULL), (2, 'Cup', 'soon'), (3, 'Jug', 4)")
    database.execute("INSERT INTO t VALUES (4, 'Jar', '2026-03-01')")
    stop = threading.Event()
    streams = watch_database(open_database(wanted), Kept(), poll_seconds=0.01, stop=stop)
    stream = next(streams)
    found = list(stream.source.records())
    assert [(record.line, type(record)) for record in found] == [(1, Record), (2, Reject), (3, Reject)]
    stream.ack()
    threading.Timer(0.2, stop.set).start()
    assert list(streams) == []


def test_moments_as_text(tmp_path: Path) -> None:
    kept = Kept()
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE t (id INTEGER, changed TEXT, gone TEXT)")
        wanted = DatabaseTable(f"sqlite:///{tmp_path / 'shop.db'}", "t", watermark="changed", deleted="gone")
        for n in range(3):
            moment = (MOMENT + timedelta(minutes=n)).replace(tzinfo=None)
            database.execute("INSERT INTO t VALUES (?, ?, NULL)", (n, moment.isoformat(" ") + ".25"))
        assert len(look(wanted, kept)) == 3
        assert look(wanted, as_if_fresh(kept), overlap=60) == [(1, "upsert"), (2, "upsert")]
        database.execute("UPDATE t SET gone = changed WHERE id = 2")
        assert look(wanted, as_if_fresh(kept), overlap=1) == [(2, "delete")]


def test_a_watermark_is_needed_and_a_broken_one_is_named(
    counted: tuple[sqlite3.Connection, DatabaseTable],
) -> None:
    _, wanted = counted
    with pytest.raises(SettingsError, match="watermark column"):
        next(watch_database(open_database(replace(wanted, watermark="")), Kept()))
    kept = Kept()
    kept[database_changes.watermark_key(open_database(wanted))] = {"kind": "number", "value": "x"}
    with pytest.raises(CatalogueError, match="remove it"):
        next(watch_database(open_database(wanted), kept))


@pytest.fixture
def shop(postgres: PostgresServer) -> DatabaseTable:
    """A PostgreSQL table with moments and deletions, of ten products changed a day ago."""
    postgres.execute(
        "DROP TABLE IF EXISTS products",
        "CREATE TABLE products (id int PRIMARY KEY, title text, changed timestamptz, deleted timestamptz)",
        "INSERT INTO products SELECT n, 'Mug ' || n, now() - interval '1 day' + n * interval '1 microsecond' "
        "FROM generate_series(1, 10) AS n",
    )
    return DatabaseTable(postgres.url, "products", watermark="changed", deleted="deleted")


def test_moments_and_soft_deletes(postgres: PostgresServer, shop: DatabaseTable) -> None:
    kept = Kept()
    assert look(shop, kept) == [(n, "upsert") for n in range(1, 11)]
    assert len(look(shop, as_if_fresh(kept))) == 10  # a new run remembers no rows, and all are within 60 s
    assert len(look(shop, as_if_fresh(kept), overlap=0)) == 1
    as_if_fresh(kept)
    postgres.execute("UPDATE products SET changed = now(), deleted = now() WHERE id = 4")
    assert look(shop, kept, overlap=60) == [
        *((n, "upsert") for n in (1, 2, 3, 5, 6, 7, 8, 9, 10)),
        (4, "delete"),
    ]
    assert look(shop, kept, overlap=60) == [(4, "delete")]
    (value,) = kept.values()
    assert PASSWORD not in str(value)
    assert datetime.fromisoformat(value["value"]).tzinfo is not None


def test_what_is_long_past_is_not_read_again(postgres: PostgresServer, shop: DatabaseTable) -> None:
    kept = Kept()
    assert len(look(shop, kept)) == 10
    assert [value["past"] for value in kept.values()] == [True]
    assert look(shop, kept) == []
    postgres.execute("UPDATE products SET changed = now() WHERE id = 2")
    assert look(shop, kept) == [(2, "upsert")]
    assert [value["past"] for value in kept.values()] == [False]
    assert look(shop, kept) == [(2, "upsert")]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_zone_of_the_session_changes_nothing(
    postgres: PostgresServer, shop: DatabaseTable, zone: str
) -> None:
    kept = Kept()
    url = f"{postgres.url}?options=-c%20timezone%3D{zone}"
    # The hour that comes twice when New York's summer time ends.
    postgres.execute(
        "UPDATE products SET changed = timestamptz '2026-11-01 05:00Z' + n * interval '10 minutes' "
        "FROM generate_series(1, 10) AS n WHERE id = n"
    )
    wanted = replace(shop, url=url)
    assert len(look(wanted, kept)) == 10
    assert look(wanted, as_if_fresh(kept), overlap=1200) == [(n, "upsert") for n in (8, 9, 10)]
    postgres.execute("UPDATE products SET changed = '2026-11-01 05:55Z' WHERE id = 1")
    assert look(wanted, as_if_fresh(kept), overlap=1800)[0] != (1, "upsert")
    assert look(wanted, as_if_fresh(kept), overlap=2820)[0] == (1, "upsert")


def test_a_transaction_that_commits_late_is_not_lost(postgres: PostgresServer, shop: DatabaseTable) -> None:
    kept = Kept()
    streams = watch_database(open_database(shop), kept, poll_seconds=0.01)
    stream = next(streams)
    assert len(of(stream)) == 10
    stream.ack()
    with postgres.connect() as late, postgres.connect() as other:
        late.execute("BEGIN")
        late.execute("UPDATE products SET title = 'late', changed = now() WHERE id = 1")
        other.execute("UPDATE products SET title = 'early', changed = clock_timestamp() WHERE id = 2")
        stream = next(streams)
        assert of(stream) == [(2, "upsert")]
        stream.ack()
        late.execute("COMMIT")
        stream = next(streams)
        assert of(stream) == [(1, "upsert")]
        stream.ack()
    streams.close()
    assert {(1, "upsert"), (2, "upsert")} <= set(look(shop, kept))


def test_a_row_from_the_future_hides_none(postgres: PostgresServer, shop: DatabaseTable) -> None:
    postgres.execute("UPDATE products SET changed = '9999-12-31' WHERE id = 10")
    kept = Kept()
    assert len(look(shop, kept)) == 10
    postgres.execute("UPDATE products SET changed = now() WHERE id = 1")
    assert look(shop, kept) == [(1, "upsert"), (10, "upsert")]


@pytest.mark.parametrize("kind", ["timestamp", "date", "bigint", "numeric(20)"])
def test_other_kinds_of_watermark(postgres: PostgresServer, kind: str) -> None:
    values = {"timestamp": "'2026-03-0%d 12:00'", "date": "'2026-03-0%d'"}.get(kind, "300000000000000%d")
    rows = ", ".join(f"({n}, {values % n})" for n in range(1, 6))
    postgres.execute(
        "DROP TABLE IF EXISTS kinds",
        f"CREATE TABLE kinds (id int, mark {kind})",
        f"INSERT INTO kinds VALUES {rows}",
    )
    kept = Kept()
    wanted = DatabaseTable(postgres.url, query="SELECT * FROM kinds", watermark="mark")
    assert len(look(wanted, kept)) == 5
    assert look(wanted, as_if_fresh(kept), overlap=0) == [(5, "upsert")]


def test_a_server_that_goes_away_is_waited_for(postgres: PostgresServer, shop: DatabaseTable) -> None:
    postgres.execute(
        "INSERT INTO products SELECT n, repeat('Mug', 300), now() - interval '1 h' + n * interval '1 second' "
        "FROM generate_series(11, 3000) AS n"
    )
    notes: list[str] = []
    streams = watch_database(open_database(shop), Kept(), poll_seconds=0.05, say=notes.append)
    stream = next(streams)
    records = stream.source.records()
    found = [shown(next(records)) for _ in range(100)]
    postgres.crash()
    again = threading.Timer(1.0, postgres.start)
    again.start()
    found += [shown(record) for record in records]
    again.join()
    assert {product for product, _ in found} == set(range(1, 3001))
    assert len(found) == 3000  # those before the crash did not come twice
    stream.ack()

    postgres.crash()
    again = threading.Timer(1.0, postgres.start)
    again.start()
    waiting = threading.Thread(target=again.join)
    waiting.start()
    changed = threading.Thread(
        target=lambda: (
            waiting.join(),
            postgres.execute("UPDATE products SET changed = now(), deleted = now() WHERE id = 7"),
        )
    )
    changed.start()
    stream = next(streams)
    assert of(stream) == [(7, "delete")]
    changed.join()
    streams.close()
    assert notes
    assert all("trying again in" in note and PASSWORD not in note for note in notes)


def test_looking_once_a_lost_server_is_an_error(postgres: PostgresServer, shop: DatabaseTable) -> None:
    query = "SELECT n AS id, now() AS changed, repeat('x', 1000) AS title FROM generate_series(1, 50000) AS n"
    database = open_database(DatabaseTable(shop.url, query=query, watermark="changed"))
    streams = watch_database(database, Kept())
    records = next(streams).source.records()
    next(records)
    with postgres.connect() as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'attune'"
        )
    with pytest.raises(DatabaseLost, match=r"127\.0\.0\.1.* query: reading its changes failed"):
        list(records)


def test_stopping_while_the_server_is_away(postgres: PostgresServer, shop: DatabaseTable) -> None:
    stop = threading.Event()
    streams = watch_database(
        open_database(shop), Kept(), poll_seconds=0.05, stop=stop, say=lambda _: stop.set()
    )
    postgres.crash()
    try:
        assert list(streams) == []
    finally:
        postgres.start()
