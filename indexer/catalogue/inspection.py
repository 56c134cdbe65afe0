"""Read a whole catalogue, write nothing, and tell what an index of it would hold."""

import re
from dataclasses import asdict, dataclass, field

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.presets import PRESETS
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Reject, Source
from indexer.catalogue.stats import CatalogueStats, Count
from mappings.types import JsonObject, Product

_MAX_REASONS = 50
"""Different reasons of rejection that are told apart."""

_FIELDS = (
    "title", "brand", "category", "description", "price", "currency", "available", "image", "url",
    "identifiers",
    "group", "attributes",
)  # fmt: skip


@dataclass(slots=True)
class Inspection:
    """What reading a catalogue by a field map gives.

    `filled` counts the products that have each field. `samples` are the first products. `rejects` counts
    rejected records by reason, with the first record of each line number as an example.
    """

    source: str
    columns: tuple[str, ...]
    field_map: FieldMap
    products: int = 0
    filled: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FIELDS, 0))
    samples: list[Product] = field(default_factory=list)
    rejects: dict[str, Count] = field(default_factory=dict)
    stats: CatalogueStats = field(default_factory=CatalogueStats)

    @property
    def preset(self) -> str:
        """What the export is that the records come from, empty where it is not known."""
        return next((preset.title for preset in PRESETS if preset.name == self.field_map.preset), "")

    @property
    def unused_columns(self) -> tuple[str, ...]:
        """The columns that no field names outright; patterns and presets may read them still."""
        named = set(self.field_map.columns())
        return tuple(column for column in self.columns if column not in named)

    def as_json(self) -> JsonObject:
        """Return everything for programs."""
        return {
            "source": self.source,
            "columns": list(self.columns),
            "preset": self.field_map.preset,
            "preset_title": self.preset,
            "field_map": self.field_map.as_json(),
            "field_map_toml": self.field_map.as_toml(),
            "products": self.products,
            "filled": dict(self.filled),
            "samples": [asdict(product) for product in self.samples],
            "rejected": {
                reason: {"count": count.count, "lines": sorted(count.examples.values())}
                for reason, count in self.rejects.items()
            },
            **self.stats.as_json(),
        }


def inspect_catalogue(
    source: Source, field_map: FieldMap, simplified: bool = False, samples: int = 10
) -> Inspection:
    """Read all of a catalogue by a field map. Raises CatalogueError for a damaged file."""
    inspection = Inspection(source.name, source.columns(), field_map)
    for outcome in read_products(source.records(), field_map, simplified, stats=inspection.stats):
        if isinstance(outcome, Reject):
            _count_reject(inspection.rejects, outcome)
            continue
        product = outcome.product
        inspection.products += 1
        for name in _FIELDS:
            inspection.filled[name] += getattr(product, name) not in ("", None, (), {})
        if len(inspection.samples) < samples:
            inspection.samples.append(product)
    return inspection


def _count_reject(rejects: dict[str, Count], reject: Reject) -> None:
    """Count a reject under its reason without what differs from record to record: ids and numbers."""
    reason = re.sub(r"'[^']*'|\"[^\"]*\"|\d(?:[\d,.]*\d)?", "…", reject.reason[:300])
    if reason not in rejects and len(rejects) >= _MAX_REASONS:
        reason = "other reasons"
    rejects.setdefault(reason, Count()).add(reject.line, f"line {reject.line}")
