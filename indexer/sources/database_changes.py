"""Changes of a table or query as feeds: at each look the rows whose watermark column has grown."""

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
from indexer.sources.change_stream import Feed
from indexer.sources.database import OPERATION, Database, Lost
from indexer.sources.watermarks import (
    OVERLAP,
    SavedWatermark,
    Watermark,
    Watermarks,
    earlier,
    is_past,
    not_after,
    utc_now,
)
from mappings.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import ColumnClause, Select
    from sqlalchemy.types import TypeEngine

KNOWN = 100_000
"""Rows of the overlap that are remembered so that they aren't applied again at each look."""

PORTION = 20_000
"""Rows of one feed: after each, the watermark is saved, and a job that is killed goes on from there."""

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
"""Pauses between tries to reach a lost database double up to this."""


def database_feeds(
    database: Database,
    watermarks: Watermarks,
    every: float | None = None,
    stop: threading.Event | None = None,
    note: Callable[[str], None] = lambda _: None,
    overlap: float = OVERLAP,
) -> Iterator[Feed]:
    """Yield the changes that each look at the database finds, 20,000 a feed; `note` takes lines to show.

    The first look ever reads all rows that have a watermark. Each further one reads from `overlap` seconds,
    or units of a number, before the last watermark: a transaction that took so long to commit has rows behind
    those read before. Once that watermark is so old that none can come, only later rows are read. Rows of the
    overlap that have not changed are left out, as far as they can be remembered; what is read twice does no
    harm, since its version is the same.

    With `every` it looks every so many seconds until `stop` is set, and a lost connection is tried again,
    ever less often; without, it looks once and a lost connection raises CatalogueError.
    """
    if not database.wanted.watermark:
        raise SettingsError("changes of a database need a watermark column: one that grows with every change")
    stop = stop or threading.Event()
    key = watermark_key(database)
    saved = watermarks.load(key)
    known = _Known(SavedWatermark.of_json(saved).value, saved.get("past") is True) if saved else _Known(None)
    while not stop.is_set():
        look = _Look(database, known, overlap, stop, note, follow=every is not None)

        def settle(look: _Look = look) -> None:
            nonlocal known
            changed = (look.known.since, look.known.past) != (known.since, known.past)
            known, look.settled = look.known.copy(), True
            if known.since is not None and changed:
                about = {"past": known.past, "source": database.name}
                watermarks.save(key, SavedWatermark(known.since).as_json() | about)

        try:
            while look.settled and look.more():
                look.settled = False
                yield Feed(look, settle)
            if look.settled and not stop.is_set():
                look.complete()
                settle()
        finally:
            look.close()
        if every is None:
            return
        stop.wait(every)


def watermark_key(database: Database) -> str:
    """Return the key of a table's or query's watermark: another query or column has another one."""
    wanted = database.wanted
    parts = "\n".join((database.place, wanted.table, " ".join(wanted.query.split()), wanted.watermark))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


class _Known:
    """How far changes have been read, and the rows of the overlap behind that, by digest.

    `past` tells that no change can come behind that any more.
    """

    def __init__(self, since: Watermark | None, past: bool = False) -> None:
        self.since = since
        self.past = past
        self._rows: deque[tuple[Watermark, bytes]] = deque(maxlen=KNOWN)

    def add(self, mark: Watermark | None, digest: bytes, overlap: float) -> None:
        """Note a row; they come in the order of their marks. Raises TypeError for a mark of another kind."""
        if mark is not None and (self.since is None or mark > self.since):  # type: ignore[operator]
            self.since, self.past = mark, False
            start = earlier(mark, overlap)
            while self._rows and self._rows[0][0] < start:  # type: ignore[operator]
                self._rows.popleft()
        if self.since is not None:
            self._rows.append((self.since, digest))

    def copy(self) -> "_Known":
        """Return a copy that stays as it is."""
        known = _Known(self.since, self.past)
        known._rows.extend(self._rows)
        return known

    def digests(self) -> set[bytes]:
        """Return the digests of the rows."""
        return {digest for _, digest in self._rows}


class _Look:
    """One look at the database: the `Source` of one feed after the other, `settled` when the last one is."""

    def __init__(
        self,
        database: Database,
        known: _Known,
        overlap: float,
        stop: threading.Event,
        note: Callable[[str], None],
        follow: bool,
    ) -> None:
        self.known = _Known(known.since, known.past)
        self._before = known.digests()
        self._database = database
        self._overlap = overlap
        self._stop = stop
        self._note = note
        self._follow = follow
        self._opened = self._began = utc_now()
        self._line = 0
        self._records = self._read()
        self._portion: Iterator[Record | Reject] = iter(())
        self.settled = True

    @property
    def name(self) -> str:
        """The database's."""
        return self._database.name

    @property
    def moment_ms(self) -> int:
        """When the look began, by this machine's clock."""
        return int(self._began.timestamp() * 1000)

    def columns(self) -> tuple[str, ...]:
        """Return the database's, and `_op` where there is a column of deletions."""
        columns = self._database.columns()
        added = (OPERATION,) if self._database.wanted.deleted and OPERATION not in columns else ()
        return (*columns, *added)

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return those of the `wanted` columns that it lacks, sorted."""
        return tuple(sorted(set(wanted).difference(self.columns())))

    def records(self) -> Iterator[Record | Reject]:
        """Yield each changed row of this feed in the order of the watermark. Rows are there once."""
        return self._portion

    def more(self) -> bool:
        """Go on to the next feed; False where there is no change left."""
        first = next(self._records, None)
        if first is None:
            return False
        self._portion = chain([first], islice(self._records, PORTION - 1))
        return True

    def complete(self) -> None:
        """Note that all changes of this look have been read."""
        since = self.known.since
        self.known.past = since is not None and is_past(since, self._opened, self._overlap)

    def close(self) -> None:
        """Let the connection go, unless a thread that is about to end still reads: then it does."""
        with suppress(ValueError):
            self._records.close()

    def _read(self) -> Generator[Record | Reject, None, None]:
        tries = 0
        while True:
            line = self._line
            try:
                yield from self._connected()
                return
            except Lost as error:
                if not self._follow:
                    raise
                tries = 0 if self._line > line else tries
                longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2**tries)
                pause = random.uniform(longest / 2, longest)
                tries = min(tries + 1, 10)
                self._note(f"{error}; trying again in {pause:.1f} s")
                if self._stop.wait(pause):
                    return
                self._before |= self.known.digests()

    def _connected(self) -> Iterator[Record | Reject]:
        """Yield what has changed since the last row that was read, over one connection."""
        statement = self._statement()
        with self._database.connection("reading its changes") as connection:
            self._began = utc_now()
            for cells in self._database.rows(connection, statement):
                if self._stop.is_set():
                    return
                self._line += 1
                record, mark = self._database.record(self._line, cells)
                digest = hashlib.blake2b(record.raw.encode(), digest_size=16).digest()
                ended = not_after(mark, self._began) if mark is not None else None
                try:
                    self.known.add(ended, digest, self._overlap)
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
        # Said outright: SQLAlchemy would take any moment for one without a time zone.
        kind: TypeEngine[Any] = String()
        if isinstance(start, int):
            kind = BigInteger()
        elif isinstance(start, datetime):
            kind = DateTime(timezone=start.tzinfo is not None)
        elif not isinstance(start, str):
            kind = Date()
        bound = bindparam(None, start, kind)
        return statement.where(mark > bound if self.known.past else mark >= bound)
