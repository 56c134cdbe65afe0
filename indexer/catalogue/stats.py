"""Count what reading a catalogue left empty, left out and merged, with examples for people to look at."""

from dataclasses import dataclass, field

from indexer.catalogue.values import show_cell
from mappings.types import JsonObject

_EXAMPLES = 5
"""Examples that are kept of each field and reason."""


@dataclass(slots=True)
class Count:
    """How often something happened, and the first lines and cells that differ."""

    count: int = 0
    examples: dict[str, int] = field(default_factory=dict)

    def add(self, line: int, example: str) -> None:
        """Count one more; keep the example where it is new and there is room."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.setdefault(example, line)


@dataclass(slots=True)
class CatalogueStats:
    """What became of the cells and records of one reading. Its size does not grow with the catalogue.

    `records` were read, each of which is a row of a product. `unreadable` counts cells that were left empty,
    by field. `left_out` counts records of products that are not for sale, by reason. `merged` records joined
    the product of another record as its variants.
    """

    records: int = 0
    merged: int = 0
    unreadable: dict[str, Count] = field(default_factory=dict)
    left_out: dict[str, Count] = field(default_factory=dict)

    def add_unreadable(self, name: str, line: int, cell: object) -> None:
        """Count a cell of the field `name` that could not be read."""
        self.unreadable.setdefault(name, Count()).add(line, show_cell(cell))

    def add_left_out(self, reason: str, line: int, product_id: str) -> None:
        """Count a record that is left out of the index."""
        self.left_out.setdefault(reason, Count()).add(line, product_id)

    def unreadable_share(self, name: str) -> float:
        """Return the share of records, 0..1, whose field `name` could not be read."""
        count = self.unreadable.get(name)
        return min(1.0, count.count / self.records) if count and self.records else 0.0

    def as_json(self) -> JsonObject:
        """Return the stats for a report: counts, with examples as lines and what stood there."""
        return {
            "records": self.records,
            "merged": self.merged,
            "unreadable": {name: _as_json(count) for name, count in sorted(self.unreadable.items())},
            "left_out": {reason: _as_json(count) for reason, count in sorted(self.left_out.items())},
        }

    def lines(self) -> list[str]:
        """Return the stats as sentences for a terminal, none where there is nothing to say."""
        lines = [
            f"{name} could not be read in {count.count:,} of {self.records:,} records and was left empty: "
            + ", ".join(f"{example} (line {line})" for example, line in count.examples.items())
            for name, count in sorted(self.unreadable.items())
        ]
        lines += [
            f"{count.count:,} left out ({reason}): "
            + ", ".join(f"{example} (line {line})" for example, line in count.examples.items())
            for reason, count in sorted(self.left_out.items())
        ]
        if self.merged:
            lines.append(
                f"{self.merged:,} of {self.records:,} records merged as variants of other records' products"
            )
        return lines


def _as_json(count: Count) -> JsonObject:
    return {
        "count": count.count,
        "examples": [{"line": line, "value": example} for example, line in count.examples.items()],
    }
