"""UBI logs from files: JSON Lines, one document of `ubi_queries` or `ubi_events` a line, plain or .gz."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from indexer.catalogue.records import Reject
from indexer.sources.files import CatalogueFile
from mappings.errors import CatalogueError, LabelsError
from reranker.training.clicks.click_log import ClickLog, UnusableRecord, parse_action, parse_search

T = TypeVar("T")


def read_ubi_files(queries: Path, events: Path) -> ClickLog:
    """Open a log's two files; they are read as the log's iterators are.

    Lines may be bare documents or wrapped in `_source`, as exports of an index are; a bulk file's action
    lines are passed over. Raises LabelsError at once when a file is missing, and while reading when one is
    damaged.
    """
    for path in (queries, events):
        if not path.is_file():
            raise LabelsError(
                f"click log {path} {'is a folder, not a file' if path.exists() else 'does not exist'}"
            )
    return ClickLog(_read(queries, parse_search), _read(events, parse_action))


def _read(
    path: Path, parse: Callable[[Mapping[str, object], str], T | UnusableRecord]
) -> Iterator[T | UnusableRecord]:
    try:
        for record in CatalogueFile(path).records():
            where = f"{path} line {record.line}"
            if isinstance(record, Reject):
                yield UnusableRecord(where, record.reason)
                continue
            if len(record.values) == 1 and next(iter(record.values)) in ("index", "create"):
                continue
            source = record.values.get("_source")
            yield parse(source if isinstance(source, dict) else record.values, where)
    except CatalogueError as error:
        raise LabelsError(f"click log: {error}") from error
