"""Changes of a table or query: each poll reads the rows whose watermark column has grown."""

import hashlib
import random
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from indexer.catalogue.records import Record, Reject
from indexer.sources.change_stream import ChangeStream
from indexer.sources.database import OPERATION_COLUMN, Database, DatabaseLost
from indexer.sources.watermarks import (
    OVERLAP_SECONDS,
    SavedWatermark,
    Watermark,
    WatermarkStore,
    earlier,
    is_past,
    not_after,
    utc_now,
)
from mappings.errors import SettingsError
from mappings.types import JsonObject

if TYPE_CHECKING:
    from sqlalchemy import ColumnClause, Select
    from sqlalchemy.types import TypeEngine

REMEMBERED_ROWS = 100_000
"""Rows of the overlap that are remembered, so that the next poll does not apply them again."""

STREAM_ROWS = 20_000
"""Rows of one stream. The watermark is saved after each, and a killed job goes on from there."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
"""Pauses between attempts to reach a lost database double up to this."""


def watch_database(
    database: Database,
    watermarks: WatermarkStore,
    poll_seconds: float | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = lambda _: None,
    overlap: float = OVERLAP_SECONDS,
    stream_rows: int = STREAM_ROWS,
    remembered_rows: int = REMEMBERED_ROWS,
) -> Iterator[ChangeStream]:
    """Yield the changes that each poll finds, `stream_rows` a stream. `say` gets lines to show.

    The first poll reads all rows that have a watermark. Later polls begin `overlap` seconds, or units of a
    number, before the last watermark, because a transaction that commits late adds rows behind those read
    before. Once that watermark is so old that no such rows can come, only later rows are read. Unchanged rows
    of the overlap are left out as far as they are remembered. A row that is applied twice does no harm: its
    version is the same.

    With `poll_seconds` the database is polled until `stop` is set, and a lost connection is tried again after
    growing pauses. Without, it is polled once and a lost connection raises CatalogueError.
    """
    if not database.wanted.watermark:
        raise SettingsError("changes of a database need a watermark column: one that grows with every change")
    stop = stop or threading.Event()
    key = watermark_key(database)
    saved = watermarks.load(key)
    known = _ReadPosition(
        SavedWatermark.from_json(saved).value if saved else None,
        past=saved is not None and saved.get("past") is True,
        rows=remembered_rows,
    )
    while not stop.is_set():
        poll = _Poll(database, known, overlap, stop, say, stream_rows, follow=poll_seconds is not None)

        def save(poll: _Poll = poll) -> None:
            nonlocal known
            changed = (poll.known.since, poll.known.past) != (known.since, known.past)
            known, poll.acknowledged = poll.known.copy(), True
            if known.since is not None and changed:
                about = {"past": known.past, "source": database.name}
                watermarks.save(key, SavedWatermark(known.since).as_json() | about)

        try:
            while poll.acknowledged and poll.advance():
                poll.acknowledged = False
                yield ChangeStream(poll, save)
            if poll.acknowledged and not stop.is_set():
                poll.complete()
                save()
        finally:
            poll.close()
        if poll_seconds is None:
            return
        stop.wait(poll_seconds)


def watermark_key(database: Database) -> str:
    """Return the key that a watermark is saved under. It differs by place, table, query and column."""
    wanted = database.wanted
    parts = "\n".join((database.place, wanted.table, " ".join(wanted.query.split()), wanted.watermark))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


class _ReadPosition:
    """How far changes have been read, and the digests of at most `rows` rows of the overlap before that.

    `past` is true when no change can appear before this position any more.
    """

    def __init__(self, since: Watermark | None, past: bool, rows: int) -> None:
        self.since = since
        self.past = past
        self._rows: deque[tuple[Watermark, bytes]] = deque(maxlen=rows)

    def add(self, mark: Watermark | None, digest: bytes, overlap: float) -> None:
        """Add a row, in the order of the marks. Raises TypeError for a mark that can't be compared."""
        if mark is not None and (self.since is None or mark > self.since):  # type: ignore[operator]
            self.since, self.past = mark, False
            start = earlier(mark, overlap)
            while self._rows and self._rows[0][0] < start:  # type: ignore[operator]
                self._rows.popleft()
        if self.since is not None:
            self._rows.append((self.since, digest))

    def copy(self, digests: bool = True) -> "_ReadPosition":
        """Return an independent copy, on request without the digests."""
        position = _ReadPosition(self.since, self.past, self._rows.maxlen or 0)
        if digests:
            position._rows.extend(self._rows)
        return position

    def digests(self) -> set[bytes]:
        """Return the digests of the rows."""
        return {digest for _, digest in self._rows}


class _Poll:
    """One poll of the database: the `Source` of one stream after the other.

    `acknowledged` is true when the last stream was.
    """

    def __init__(
        self,
        database: Database,
        known: _ReadPosition,
        overlap: float,
        stop: threading.Event,
        say: Callable[[str], None],
        stream_rows: int,
        follow: bool,
    ) -> None:
        self.known = known.copy(digests=False)
        self._before = known.digests()
        self._database = database
        self._overlap = overlap
        self._stop = stop
        self._say = say
        self._stream_rows = stream_rows
        self._follow = follow
        self._opened = self._began = utc_now()
        self._line = 0
        self._records = self._read()
        self._stream: Iterator[Record | Reject] = iter(())
        self.acknowledged = True

    @property
    def name(self) -> str:
        """The database's name."""
        return self._database.name

    @property
    def moment_ms(self) -> int:
        """When the poll began, by this machine's clock."""
        return int(self._began.timestamp() * 1000)

    def columns(self) -> tuple[str, ...]:
        """Return the database's columns, and `_op` where a column marks deleted rows."""
        columns = self._database.columns()
        added = (
            (OPERATION_COLUMN,) if self._database.wanted.deleted and OPERATION_COLUMN not in columns else ()
        )
        return (*columns, *added)

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return those of the `wanted` columns that it lacks, sorted."""
        return tuple(sorted(set(wanted).difference(self.columns())))

    def details(self) -> list[JsonObject]:
        """Return nothing: a database or standard input has one format."""
        return []

    def records(self) -> Iterator[Record | Reject]:
        """Yield the changed rows of this stream once, in the order of the watermark."""
        return self._stream

    def advance(self) -> bool:
        """Go on to the next stream. Return False where no change is left."""
        first = next(self._records, None)
        if first is None:
            return False
        self._stream = chain([first], islice(self._records, self._stream_rows - 1))
        return True

    def complete(self) -> None:
        """Record that all changes of this poll have been read."""
        since = self.known.since
        self.known.past = since is not None and is_past(since, self._opened, self._overlap)

    def close(self) -> None:
        """Close the connection. A thread that still reads closes it at its end instead."""
        with suppress(ValueError):
            self._records.close()

    def _read(self) -> Generator[Record | Reject, None, None]:
        tries = 0
        while True:
            line = self._line
            try:
                yield from self._read_connection()
                return
            except DatabaseLost as error:
                if not self._follow:
                    raise
                tries = 0 if self._line > line else tries
                longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**tries)
                pause = random.uniform(longest / 2, longest)
                tries = min(tries + 1, 10)
                self._say(f"{error}; trying again in {pause:.1f} s")
                if self._stop.wait(pause):
                    return
                self._before |= self.known.digests()

    def _read_connection(self) -> Iterator[Record | Reject]:
        """Yield the rows that changed since the last row that was read, over one connection."""
        statement = self._statement()
        with self._database.connection("reading its changes") as connection:
            self._began = utc_now()
            for cells in self._database.rows(connection, statement):
                if self._stop.is_set():
                    return
                self._line += 1
                record, mark = self._database.record(self._line, cells)
                digest = hashlib.blake2b(record.raw.encode(), digest_size=16).digest()
                mark_now = not_after(mark, self._began) if mark is not None else None
                try:
                    self.known.add(mark_now, digest, self._overlap)
                except TypeError:  # SQLite lets a column hold numbers and text, PostgreSQL does not
                    self.known.add(None, digest, self._overlap)
                    record = Reject(
                        self._line, f"wrong type: watermark {mark!r} can't be compared", record.raw
                    )
                if digest not in self._before:
                    yield record

    def _statement(self) -> "Select[Any]":
        from sqlalchemy import BigInteger, Date, DateTime, String, bindparam, column

        mark: ColumnClause[Any] = column(self._database.wanted.watermark)
        statement = self._database.statement().where(mark.is_not(None)).order_by(mark)
        if self.known.since is None:
            return statement
        since = self.known.since
        start = since if self.known.past else earlier(since, self._overlap)
        # SQLAlchemy would take any moment for one without a time zone.
        kind: TypeEngine[Any] = String()
        if isinstance(start, int):
            kind = BigInteger()
        elif isinstance(start, datetime):
            kind = DateTime(timezone=start.tzinfo is not None)
        elif not isinstance(start, str):
            kind = Date()
        bound = bindparam(None, start, kind)
        return statement.where(mark > bound if self.known.past else mark >= bound)
