"""Files of events: UBI logs, and order histories as tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.catalogue.records import Reject
from indexer.sources.files import CatalogueFile
from mappings.errors import CatalogueError, LabelsError


@dataclass(frozen=True, slots=True)
class OrderColumns:
    """The columns of an order history."""

    user: str
    product: str
    order: str
    time: str


def read_event_files(
    paths: Sequence[Path], columns: OrderColumns | None
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield UBI documents, each with its file and line; with `columns`, rows of orders as purchase events.

    Documents may be bare or wrapped in `_source`; a bulk file's action lines are passed over. What can't be
    read comes as a document without content, which no store accepts. Raises LabelsError.
    """
    for path in paths:
        try:
            for record in CatalogueFile(path).records():
                where = f"{path} line {record.line}"
                if isinstance(record, Reject):
                    yield where, {}
                    continue
                values = dict(record.values)
                if len(values) == 1 and next(iter(values)) in ("index", "create"):
                    continue
                source = values.get("_source")
                document = source if isinstance(source, dict) else values
                yield where, _make_purchase(document, columns, where) if columns else document
        except CatalogueError as error:
            raise LabelsError(f"events: {error}") from error


def _make_purchase(row: dict[str, object], columns: OrderColumns, where: str) -> dict[str, object]:
    """Return a row of an order as an event. Raises LabelsError where a column is missing."""
    missing = [name for name in (columns.user, columns.product, columns.time) if name not in row]
    if missing:
        raise LabelsError(
            f"{where} has no column {missing[0]!r}: name the columns with --user, --product and --time"
        )
    product = str(row[columns.product])
    time = str(row[columns.time]).strip()
    order = str(row.get(columns.order) or time)
    user = str(row[columns.user])
    return {
        "action_name": "purchase",
        "user_id": user,
        "timestamp": time,
        "event_attributes": {"object": {"object_id": product}, "order_id": order},
        "event_id": f"{order}/{product}",
    }
