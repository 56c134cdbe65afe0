"""A table or query of a database as a catalogue: rows from a server-side cursor, in constant memory."""

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus
from uuid import UUID

from indexer.catalogue.records import Record, Reject
from indexer.catalogue.values import BadValue
from indexer.sources.watermarks import Watermark, parse_watermark, watermark_version
from mappings.errors import CatalogueError, SettingsError
from mappings.types import JsonObject

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, Select

VERSION_COLUMN = "_version"
OPERATION_COLUMN = "_op"
DELETE_OPERATION = "delete"
"""Columns added to rows: the watermark as the version, and the operation of deleted rows."""

_FETCH_ROWS = 500
"""Rows that are in memory at a time."""

_POSTGRES_OPTIONS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "attune",
}
"""Options of a PostgreSQL connection that the URL does not set. They notice a lost network."""

_NO = ("", "0", "f", "false", "n", "no")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


@dataclass(frozen=True, slots=True)
class DatabaseTable:
    """The rows to read: those of a `table` or of a `query`, not both.

    `url` is SQLAlchemy's. A table may be `schema.table`; put a part with dots or quotes in double quotes.
    `watermark` is the column that grows with every change of a row and serves as its version. `deleted` is a
    column that is true, or not null, in rows that are deleted.
    """

    url: str = field(repr=False)
    table: str = ""
    query: str = ""
    watermark: str = ""
    deleted: str = ""


class Database:
    """An opened table or query, a `Source` of its rows. Make one with `open_database`.

    Reading it as a catalogue leaves out the rows that are marked deleted.
    """

    def __init__(self, wanted: DatabaseTable, url: "URL", engine: "Engine") -> None:
        self.wanted = wanted
        self.place = url.set(password=None, query={}).render_as_string()
        self._secrets = _secrets(url)
        self._engine = engine
        self._own: tuple[str, ...] = ()
        self._moment_ms = time.time_ns() // 1_000_000

    @property
    def name(self) -> str:
        """The URL without its password, and the table."""
        return f"{self.place} {self.wanted.table or 'query'}"

    @property
    def moment_ms(self) -> int:
        """When it was opened, before any row was read, by this machine's clock."""
        return self._moment_ms

    def check(self) -> None:
        """Read the columns. Raises CatalogueError where the database, the table or a column can't be read."""
        with self.connection("opening it") as connection:
            result = connection.execute(self.statement().limit(0))
            self._own = tuple(str(column) for column in result.keys())  # noqa: SIM118 - a result is no dict
        repeated = sorted({column for column in self._own if self._own.count(column) > 1})
        if repeated:
            raise CatalogueError(f"{self.name}: the query names these columns twice: {', '.join(repeated)}")
        for column in (self.wanted.watermark, self.wanted.deleted):
            if column and column not in self._own:
                raise CatalogueError(f"{self.name} has no column {column}; it has {', '.join(self._own)}")

    def columns(self) -> tuple[str, ...]:
        """Return the columns, and `_version` where there is a watermark."""
        given = (VERSION_COLUMN,) if self.wanted.watermark and VERSION_COLUMN not in self._own else ()
        return (*self._own, *given)

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return those of the `wanted` columns that it lacks, sorted."""
        return tuple(sorted(set(wanted).difference(self.columns())))

    def details(self) -> list[JsonObject]:
        """Return nothing: a database or standard input has one format."""
        return []

    def records(self) -> Iterator[Record | Reject]:
        """Yield every row that isn't marked deleted. Raises CatalogueError when the database is lost."""
        total = self._count()
        row = 0
        with self.connection("reading its rows") as connection:
            for cells in self.rows(connection, self.statement()):
                row += 1
                record, _ = self.record(row, cells, min(1.0, row / total) if total else 0.0)
                if isinstance(record, Reject) or record.values.get(OPERATION_COLUMN) != DELETE_OPERATION:
                    yield record

    def record(
        self, line: int, cells: dict[str, object], share: float = 0.0
    ) -> tuple[Record | Reject, Watermark | None]:
        """Return a row as a record with its watermark, or as a Reject where the watermark is not valid."""
        raw = json.dumps(cells, ensure_ascii=False, default=str)
        values = dict(cells)
        mark: Watermark | None = None
        cell = cells.get(self.wanted.watermark)
        if cell is not None:
            try:
                mark = parse_watermark(cell)
                values.setdefault(VERSION_COLUMN, watermark_version(mark))
            except BadValue as error:
                return Reject(line, f"{self.wanted.watermark}: {error}", raw), None
        if is_deleted(cells.get(self.wanted.deleted)):
            values[OPERATION_COLUMN] = DELETE_OPERATION
        return Record(line, values, raw, share), mark

    def statement(self) -> "Select[Any]":
        """Return the query for all rows."""
        from sqlalchemy import literal_column, select, table, text

        if self.wanted.query:
            # A colon would begin a parameter, and a comment at the end would swallow the bracket.
            query = self.wanted.query.strip().rstrip(";").replace(":", "\\:")
            return select(literal_column("*")).select_from(text(f"({query}\n) attune_rows"))
        schema, name = _table_name(self.wanted.table)
        return select(literal_column("*")).select_from(table(name, schema=schema))

    def rows(self, connection: "Connection", statement: "Select[Any]") -> Iterator[dict[str, object]]:
        """Yield the rows of a statement, each a new dict of plain values."""
        streamed = connection.execution_options(
            stream_results=True, yield_per=_FETCH_ROWS, postgresql_readonly=True
        )
        result = streamed.execute(statement)
        names = tuple(result.keys())  # read each time: the table may have a new column
        cursor = result.cursor
        try:
            for row in result:
                yield {name: _plain(cell) for name, cell in zip(names, row, strict=True)}
        finally:
            result.close()
            with suppress(Exception):
                cursor.close()  # SQLAlchemy leaves that of a lost connection open

    @contextmanager
    def connection(self, doing: str) -> "Iterator[Connection]":
        """Connect for the time of the block. Raises CatalogueError for anything that goes wrong in it.

        Raises its subclass DatabaseLost where another attempt may work.
        """
        from sqlalchemy import exc

        try:
            with self._engine.connect() as connection:
                yield connection
        except exc.DBAPIError as error:
            passing = error.connection_invalidated or isinstance(
                error, exc.OperationalError | exc.InterfaceError
            )
            kind = DatabaseLost if passing else CatalogueError
            raise kind(f"{self.name}: {doing} failed: {self._hide_secrets(error.orig)}") from None
        except exc.SQLAlchemyError as error:
            raise CatalogueError(f"{self.name}: {doing} failed: {self._hide_secrets(error)}") from None

    def _count(self) -> int:
        """Return the number of rows, 0 for a query, whose count may take as long as reading."""
        from sqlalchemy import func, select

        if self.wanted.query:
            return 0
        with self.connection("counting its rows") as connection:
            return int(
                connection.execute(select(func.count()).select_from(self.statement().subquery())).scalar_one()
            )

    def _hide_secrets(self, error: BaseException | None) -> str:
        """Return a driver's message as one line without what is secret in the URL."""
        message = " ".join(str(error).split())
        for secret in self._secrets:
            message = message.replace(secret, "***")
        return message[:1000]


class DatabaseLost(CatalogueError):
    """The database does not answer. A later attempt may work."""


def open_database(wanted: DatabaseTable) -> Database:
    """Connect and check the columns. Raises SettingsError, and CatalogueError where rows can't be read."""
    try:
        import sqlalchemy
        from sqlalchemy import exc
    except ImportError as error:
        raise CatalogueError("reading a database needs SQLAlchemy: pip install 'attune[database]'") from error
    if bool(wanted.table) == bool(wanted.query):
        raise SettingsError("name a table of the database or give a query, one of the two")
    try:
        url = sqlalchemy.make_url(wanted.url)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        extra = {"postgresql+psycopg": _POSTGRES_OPTIONS}.get(url.drivername, {})
        if url.get_backend_name() == "sqlite":
            extra = {"check_same_thread": False}  # one thread reads on where another began
        given = {name: value for name, value in extra.items() if name not in url.query}
        engine = sqlalchemy.create_engine(url, connect_args=given, poolclass=sqlalchemy.NullPool)
    except exc.NoSuchModuleError:
        raise SettingsError(f"no database driver is called {url.drivername}") from None
    except (exc.ArgumentError, ValueError, TypeError):
        raise SettingsError(
            "the database's URL can't be read: postgresql://user:password@host/database is one, "
            "with special characters of the password as %40 and the like"
        ) from None
    except ImportError as error:
        raise CatalogueError(f"reading {url.drivername} needs {error.name}: pip install it") from None
    database = Database(wanted, url, engine)
    database.check()
    return database


def is_deleted(cell: object) -> bool:
    """Whether a cell of the deleted column is true, a number other than 0, or the time of the deletion."""
    if isinstance(cell, str):
        return cell.strip().lower() not in _NO
    if isinstance(cell, bool | int | float | Decimal):
        return bool(cell)
    return cell is not None


def _table_name(text: str) -> tuple[str | None, str]:
    parts: list[str] = []
    rest = text.strip()
    while match := _PART.match(rest):
        parts.append(match[1].replace('""', '"') if match[1] else match[2])
        rest = rest[match.end() :]
        if not rest.startswith("."):
            break
        rest = rest[1:]
    if rest or text.strip().endswith(".") or not 1 <= len(parts) <= 2:
        raise SettingsError(
            f"{text!r} is not a table's name: write table or schema.table, with \" around parts with dots"
        )
    return (parts[0] if len(parts) == 2 else None), parts[-1]


def _plain(cell: object) -> object:
    if isinstance(cell, UUID):
        return str(cell)
    if isinstance(cell, Decimal) and cell.is_finite() and cell.as_tuple().exponent == 0:
        return int(cell)  # numeric(12): an id is one
    return bytes(cell) if isinstance(cell, memoryview) else cell


def _secrets(url: "URL") -> tuple[str, ...]:
    """Return the secrets of a URL, longest first: the password, and values of options that name one."""
    secrets: list[str] = [str(url.password)] if url.password else []
    for option, value in url.query.items():
        if re.search("pass|secret|token|key", option, re.IGNORECASE):
            values: Sequence[str] = [value] if isinstance(value, str) else value
            secrets.extend(values)
    forms = {
        form
        for secret in secrets
        for form in (secret, quote(secret), quote_plus(secret), quote(secret, safe=""))
    }
    return tuple(sorted(forms - {""}, key=len, reverse=True))
