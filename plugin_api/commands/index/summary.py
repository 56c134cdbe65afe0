"""What `attune index` did, as lines for people."""

from pathlib import Path

from indexer.change.job import ChangesReport
from indexer.rebuild.job import IndexReport
from indexer.rebuild.verify import EXAMPLES, Comparison

KINDS = {
    "missing": "missing in the index",
    "extra": "in the index alone",
    "fields": "with other fields",
    "vectors": "with other vectors",
}


def rebuild_summary(report: IndexReport, rejects: Path, model: Path | None) -> str:
    """Return what a rebuild did."""
    again = " (going on where a run was killed)" if report.resumed else ""
    lines = [
        f"Indexed {report.indexed:,} products in {report.seconds:.1f} s "
        f"({report.products_per_second:,.0f} products/s) into {report.index}{again}.",
        f"Alias {report.alias} points at it; {report.bytes / 1e6:,.1f} MB, "
        f"{report.bytes / report.indexed / 1000:.1f} kB a product; model {report.model}.",
    ]
    if report.encoded < report.indexed:
        lines.append(
            f"Encoded {report.encoded:,}; the other {report.indexed - report.encoded:,} had vectors."
        )
    if report.brought:
        lines.append(f"{report.brought:,} changes that came since the catalogue was made are in it.")
    if report.rejected or report.duplicates:
        lines.append(
            f"Left out: {report.rejected:,} rejected, {report.duplicates:,} duplicates; see {rejects}"
        )
    if report.kept:
        lines.append(f"Back to {report.kept[-1]}: attune rollback --alias {report.alias}")
    if model:
        lines.append(f"Searches need the same model: attune serve --model {model}")
    return "\n".join(lines)


def changes_summary(report: ChangesReport, rejects: Path, dry: bool) -> str:
    """Return what a run of changes did, or would have done."""
    did = "Would apply" if dry else "Applied"
    lines = [
        f"{did} {report.upserted + report.updated + report.deleted:,} of {report.changes:,} changes to "
        f"{report.index or report.alias} in {report.seconds:.1f} s ({report.changes_per_second:,.0f}/s): "
        f"{report.upserted:,} whole products, {report.updated:,} partial, {report.deleted:,} deleted; "
        f"{report.encoded:,} encoded."
    ]
    if report.stale or report.unchanged:
        lines.append(f"{report.stale:,} came after newer ones, {report.unchanged:,} were there already.")
    if report.rejected:
        lines.append(f"Left out: {report.rejected:,} rejected; see {rejects}")
    return "\n".join(lines)


def comparison_summary(found: Comparison, dry: bool) -> str:
    """Return how catalogue and index differ, or what a rebuild would do about it."""
    lines = [
        f"{found.products:,} products in the catalogue; "
        + (f"{found.same:,} are the same in {found.index}" if found.index else "there is no index yet")
        + (
            f", {found.newer:,} were changed since and {found.deleted:,} deleted"
            if found.newer or found.deleted
            else ""
        )
        + "."
    ]
    for kind, words in KINDS.items():
        count = getattr(found, kind)
        if count:
            lines.append(f"{count:,} {words}:")
            told = [of for of in found.examples if of.kind == kind]
            lines += [f"  {of.id}: {of.what}" for of in told]
            if count > EXAMPLES:
                lines.append(f"  and {count - EXAMPLES:,} more")
    if found.rejected or found.duplicates:
        lines.append(f"{found.rejected:,} records can't be used, {found.duplicates:,} are duplicates.")
    if dry:
        lines.append(
            f"A rebuild would add {found.missing:,}, change {found.fields + found.vectors:,} and drop "
            f"{found.extra:,} products, and encode {found.to_encode:,}. Nothing was changed."
        )
    elif found.equal:
        since = " but for what changed since" if found.newer or found.deleted else ""
        lines.append(f"Catalogue and index are equal{since}.")
    return "\n".join(lines)
