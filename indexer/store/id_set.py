"""A set of product ids that takes little memory however many there are."""

import sqlite3
from types import TracebackType

from mappings.errors import CatalogueError

_CACHE_KIB = 16_384
"""Memory for the table. The rest lies in a temporary file, which disappears with the process."""


class IdSet:
    """Ids, each with a number, in a temporary SQLite database. Close it, or use `with`.

    Use it from one thread at a time, which may be another than the one that made it.
    """

    def __init__(self) -> None:
        # An empty name is SQLite's for a temporary file that is made only when the cache is full.
        self._database = sqlite3.connect("", check_same_thread=False)
        for pragma in ("journal_mode = off", "synchronous = off", f"cache_size = -{_CACHE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        self._count = 0

    def add(self, product_id: str, number: int) -> int | None:
        """Add a new id with its number and return None; for a known id, return the number that it has."""
        inserted = self._execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", product_id, number)
        if inserted.rowcount:
            self._count += 1
            return None
        return self.get(product_id)

    def replace(self, product_id: str, number: int) -> None:
        """Give the id another number; add it where it is new."""
        self._execute("INSERT OR REPLACE INTO ids VALUES (?, ?)", product_id, number)

    def get(self, product_id: str) -> int | None:
        """Return the number of an id, None where the set lacks it."""
        row = self._execute("SELECT number FROM ids WHERE id = ?", product_id).fetchone()
        return int(row[0]) if row else None

    def __contains__(self, product_id: str) -> bool:
        return self.get(product_id) is not None

    def __len__(self) -> int:
        return self._count

    def _execute(self, statement: str, *values: str | int) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise CatalogueError(
                f"the ids of the catalogue can't be kept in a temporary file: {error}. "
                "Name another folder for it in the variable SQLITE_TMPDIR"
            ) from error

    def close(self) -> None:
        """Remove the ids and their temporary file."""
        self._database.close()

    def __enter__(self) -> "IdSet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
