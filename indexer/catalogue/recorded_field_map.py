"""The field map that the index in use was made by: for changes, and for comparing it with a catalogue."""

from dataclasses import replace

from indexer.catalogue.field_map import (
    FieldMap,
    add_operation,
    field_map_from,
    format_columns,
    missing_columns,
)
from indexer.catalogue.records import Source
from indexer.store.alias import ManagedIndex
from mappings.errors import CatalogueError


def load_recorded_field_map(
    live: ManagedIndex | None, source: Source, partial: bool = False
) -> FieldMap | None:
    """Return the field map that an index was made by, to read `source` by; None where none is recorded.


    A catalogue must have the columns of its fields. Attributes may come and go, and without the column of
    versions the catalogue counts as true from its moment. Changes (`partial`) need only the id; no changes
    need nothing.

    Raises CatalogueError naming the columns that the source lacks.
    """
    recorded = live.metadata.get("fields") if live else None
    if not (live and recorded):
        return None
    field_map = field_map_from(recorded, f"the note of index {live.name}", partial)
    fields = replace(field_map, attributes=(), version="", operation="").columns()
    missing = missing_columns(source, [field_map.id] if partial else fields)
    columns = source.columns()
    if missing and (columns or not partial):
        raise CatalogueError(
            f"{source.name} has no column {', '.join(missing)}, which index {live.name} was made by; it has "
            f"{format_columns(columns)}. Name the columns in a field map: --fields map.toml"
        )
    if partial:
        return add_operation(field_map, columns)
    unversioned = field_map.version and source.missing([field_map.version])
    return replace(field_map, version="") if unversioned else field_map


def was_simplified(live: ManagedIndex | None) -> bool:
    """Return whether Traditional Chinese was turned into Simplified when the index was made."""
    return bool(live and live.metadata.get("simplified"))
