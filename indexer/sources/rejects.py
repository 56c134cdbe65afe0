"""The reject file: one JSON object a line for every record that did not reach the index."""

import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from indexer.catalogue.records import Reject
from mappings.errors import CatalogueError

MAX_RAW = 2000
"""Characters of the raw record that are kept."""


class RejectFile:
    """Writes and counts rejects as `{"line", "kind", "reason", "raw"}`. A file without any is removed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first = ""
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise CatalogueError(
                f"the reject file {self.path} can't be written ({error.strerror}): name another by --rejects"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._counts.total():
            self.path.unlink(missing_ok=True)

    def write(self, reject: Reject) -> None:
        """Write one reject."""
        self.first = self.first or f"line {reject.line}: {reject.reason}"
        self._counts[reject.kind] += 1
        row = {"line": reject.line, "kind": reject.kind, "reason": reject.reason, "raw": reject.raw[:MAX_RAW]}
        self._file.write(json.dumps(row) + "\n")

    @property
    def duplicates(self) -> int:
        """Records whose id came before."""
        return self._counts["duplicate"]

    @property
    def rejected(self) -> int:
        """Everything but duplicates: bad records and documents that OpenSearch refused."""
        return self._counts.total() - self.duplicates
