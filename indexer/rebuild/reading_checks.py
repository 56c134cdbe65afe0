"""Whether a catalogue was read well enough to replace what searches have."""

from indexer.catalogue.stats import CatalogueStats
from indexer.sources.rejects import RejectFile
from indexer.store.alias import ManagedIndex
from mappings.errors import CatalogueError
from mappings.settings import IndexSettings
from mappings.types import JsonObject

_FEW = 10
"""So many bad records are never too many, however small the catalogue is."""

_ADVICE = "What was encoded is kept for the next run"


class DoubtfulCatalogue(CatalogueError):
    """A catalogue was read, but so badly that it must not replace the index in use."""


def check_rejects(name: str, rejects: RejectFile, indexed: int, settings: IndexSettings) -> None:
    """Raise DoubtfulCatalogue where too many records of the catalogue `name` were rejected.

    That is a share above `index.max_rejected_share` and more than 10, or any place where reading lost its way
    and records may be missing without a reject of their own.
    """
    if settings.max_rejected_share >= 1:
        return
    hint = (
        f"See {rejects.path} (first: {rejects.first}). Correct the catalogue, or index it as it is by "
        f"raising index.max_rejected_share. {_ADVICE}"
    )
    if rejects.resynchronised:
        raise DoubtfulCatalogue(
            f"{name} is broken in {rejects.resynchronised:,} places, and records behind them may be missing: "
            f"the alias stays as it was. {hint}"
        )
    share = rejects.rejected / max(1, rejects.rejected + indexed)
    if rejects.rejected > _FEW and share > settings.max_rejected_share:
        raise DoubtfulCatalogue(
            f"{rejects.rejected:,} records of {name} were rejected, {share:.0%} of them all, and "
            f"{settings.max_rejected_share:.0%} are allowed: the alias stays as it was. {hint}"
        )


def check_unreadable(
    name: str, stats: CatalogueStats, live: ManagedIndex | None, settings: IndexSettings
) -> None:
    """Raise DoubtfulCatalogue where a field can't be read in many more records than in the index before.

    That is a share of the records greater by more than `index.max_unreadable_share`, and more than 10
    records.
    """
    if live is None or "records" not in live.metadata:
        return
    before: JsonObject = live.metadata.get("unreadable") or {}
    records = max(1, int(live.metadata["records"]))
    for field, count in sorted(stats.unreadable.items()):
        share, old_share = stats.unreadable_share(field), min(1.0, before.get(field, 0) / records)
        if count.count > _FEW and share - old_share > settings.max_unreadable_share:
            examples = ", ".join(f"{cell} (line {line})" for cell, line in count.examples.items())
            raise DoubtfulCatalogue(
                f"{field} could not be read in {share:.0%} of the records of {name}, and in {old_share:.0%} "
                f"for {live.name}, so its wording may have changed: {examples}. The alias stays as it was. "
                "Correct the catalogue or its field map, or leave the cells empty by raising "
                f"index.max_unreadable_share. {_ADVICE}"
            )
