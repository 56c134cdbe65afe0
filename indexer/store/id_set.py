"""The ids that a catalogue has brought so far, in memory that does not grow with the catalogue."""

import sqlite3
from types import TracebackType

from mappings.errors import CatalogueError

CACHE_KIB = 16_384
"""Memory for the table; what does not fit lies in a temporary file, which goes with the process."""


class SeenIds:
    """Ids and the lines where they came first, in a temporary SQLite database. Close it, or use `with`.

    Used from one thread at a time, which need not be the one that made it.
    """

    def __init__(self) -> None:
        # An empty name is SQLite's for a temporary file that is made only when the cache is full.
        self._database = sqlite3.connect("", check_same_thread=False)
        for pragma in ("journal_mode = off", "synchronous = off", f"cache_size = -{CACHE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._count = 0

    def first_line(self, product_id: str, line: int) -> int | None:
        """Note the id and return None, or return the line where it came first."""
        inserted = self._ask("INSERT OR IGNORE INTO seen VALUES (?, ?)", product_id, line)
        if inserted.rowcount:
            self._count += 1
            return None
        return int(self._ask("SELECT line FROM seen WHERE id = ?", product_id).fetchone()[0])

    def replace(self, product_id: str, line: int) -> None:
        """Note the id with another number in place of the one that it had, if any."""
        self._ask("INSERT OR REPLACE INTO seen VALUES (?, ?)", product_id, line)

    def line(self, product_id: str) -> int | None:
        """Return the number that is noted with the id."""
        found = self._ask("SELECT line FROM seen WHERE id = ?", product_id).fetchone()
        return int(found[0]) if found else None

    def __contains__(self, product_id: str) -> bool:
        return self._ask("SELECT 1 FROM seen WHERE id = ?", product_id).fetchone() is not None

    def __len__(self) -> int:
        return self._count

    def _ask(self, question: str, *values: str | int) -> sqlite3.Cursor:
        try:
            return self._database.execute(question, values)
        except sqlite3.OperationalError as error:
            raise CatalogueError(
                f"the ids of the catalogue can't be kept in a temporary file: {error}. "
                "The variable SQLITE_TMPDIR names another folder for it"
            ) from error

    def close(self) -> None:
        """Forget all; the temporary file is gone."""
        self._database.close()

    def __enter__(self) -> "SeenIds":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
