"""The reject file: one JSON object a line for every record that did not reach the index."""

import json
import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from indexer.catalogue.records import Reject
from mappings.errors import CatalogueError

MAX_RAW_CHARACTERS = 2000
"""The raw text of a record is cut after this many characters."""


class RejectFile:
    """Writes and counts rejects as `{"line", "kind", "reason", "raw"}`. A file without rejects is removed.

    Where its path is a link, nothing is written, since a link could lead anywhere.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first = ""
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        try:
            self._file = open(self.path, "w", encoding="utf-8", opener=_open_no_link)
        except OSError as error:
            raise CatalogueError(
                f"the reject file {self.path} can't be written ({error.strerror}): name another by --rejects"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._counts.total() and self.path.is_file():
            self.path.unlink(missing_ok=True)

    def write(self, reject: Reject) -> None:
        """Write one reject."""
        self.first = self.first or f"line {reject.line}: {reject.reason}"
        self._counts[reject.kind] += 1
        row = {
            "line": reject.line,
            "kind": reject.kind,
            "reason": reject.reason,
            "raw": reject.raw[:MAX_RAW_CHARACTERS],
        }
        self._file.write(json.dumps(row) + "\n")

    @property
    def duplicates(self) -> int:
        """How many records had an id that came before."""
        return self._counts["duplicate"]

    @property
    def resynchronised(self) -> int:
        """How often reading lost its way at a bad record: records behind it may be missing."""
        return self._counts["resynchronised"]

    @property
    def rejected(self) -> int:
        """How many records were bad, or refused by OpenSearch. Duplicates are not counted."""
        return self._counts.total() - self.duplicates


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
