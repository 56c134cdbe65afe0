"""Summaries of `attune index` for people."""

from pathlib import Path

from indexer.catalogue.stats import CatalogueStats
from indexer.change.job import ChangesReport
from indexer.rebuild.background import EncodingSpeed
from indexer.rebuild.job import RebuildReport
from indexer.rebuild.verify import MAX_EXAMPLES, VerifyReport
from plugin_api.terminal import format_count

_DIFFERENCES = {
    "missing": "missing in the index",
    "extra": "only in the index",
    "fields": "with other fields",
    "vectors": "with other vectors",
}


def summarize_rebuild(
    report: RebuildReport,
    catalogue: CatalogueStats,
    speed: EncodingSpeed | None,
    rejects: Path,
    model: Path | None,
) -> str:
    """Return the summary of a rebuild. `speed` is of one that let searches go first."""
    again = " (continuing an unfinished run)" if report.resumed else ""
    lines = [
        f"Indexed {format_count(report.indexed, 'product')} in {report.seconds:.1f} s "
        f"({report.products_per_second:,.0f} a second) into {report.index}{again}.",
        f"Alias {report.alias} points at it; {report.bytes / 1e6:,.1f} MB, "
        f"{report.bytes / report.indexed / 1000:.1f} kB a product; model {report.model}.",
    ]
    if report.encoded < report.indexed:
        lines.append(
            f"Encoded {report.encoded:,}; the other {report.indexed - report.encoded:,} had vectors."
        )
    if speed and speed.raised_share:
        lines.append(
            f"Other work kept the processors busy: encoding got {speed.share:.0%} of what it can use. "
            f"It did not wait for idle time during {speed.raised_share:.0%} of its time."
        )
    if report.changes_copied:
        lines.append(f"It includes {format_count(report.changes_copied, 'change')} made since the catalogue.")
    if report.rejected or report.duplicates:
        duplicates = format_count(report.duplicates, "duplicate")
        lines.append(f"Left out: {report.rejected:,} rejected, {duplicates}; see {rejects}")
    lines += [f"{line}." for line in catalogue.lines()]
    if report.kept:
        lines.append(f"To return to {report.kept[-1]}: attune rollback --alias {report.alias}")
    if model:
        lines.append(f"Searches need the same model: attune serve --model {model}")
    return "\n".join(lines)


def summarize_changes(report: ChangesReport, rejects: Path, dry: bool) -> str:
    """Return the summary of a job of changes, or of its dry run."""
    did = "Would apply" if dry else "Applied"
    applied = report.upserted + report.updated + report.deleted
    lines = [
        f"{did} {applied:,} of {format_count(report.changes, 'change')} to {report.index or report.alias} "
        f"in {report.seconds:.1f} s ({report.changes_per_second:,.0f} a second): "
        f"{format_count(report.upserted, 'whole product')}, {report.updated:,} partial, "
        f"{report.deleted:,} deleted; {report.encoded:,} encoded."
    ]
    if report.stale or report.unchanged:
        lines.append(f"Skipped: {report.stale:,} older than the index, {report.unchanged:,} in it already.")
    if report.redated:
        count = "counts" if report.redated == 1 else "count"
        lines.append(
            f"The file is older than the catalogue: {format_count(report.redated, 'change')} without "
            f"a version {count} as made just after it."
        )
    if report.unreadable:
        lines.append(
            f"{format_count(report.unreadable, 'cell')} could not be read; such fields stay as they were."
        )
    if report.rejected:
        lines.append(f"Left out: {report.rejected:,} rejected; see {rejects}")
    return "\n".join(lines)


def summarize_verify(report: VerifyReport, dry: bool) -> str:
    """Return the differences of catalogue and index, or what a rebuild would do about them."""
    lines = [
        f"{format_count(report.products, 'product')} in the catalogue; "
        + (f"{report.same:,} the same in {report.index}" if report.index else "there is no index yet")
        + (
            f", {report.newer:,} changed since, {report.deleted:,} deleted"
            if report.newer or report.deleted
            else ""
        )
        + "."
    ]
    for kind, words in _DIFFERENCES.items():
        count = getattr(report, kind)
        if count:
            lines.append(f"{count:,} {words}:")
            examples = [example for example in report.examples if example.kind == kind]
            lines += [f"  {example.id}: {example.what}" for example in examples]
            if count > MAX_EXAMPLES:
                lines.append(f"  and {count - MAX_EXAMPLES:,} more")
    if report.rejected or report.duplicates:
        duplicates = format_count(report.duplicates, "duplicate")
        lines.append(f"Left out: {report.rejected:,} rejected, {duplicates}.")
    if dry:
        lines.append(
            f"A rebuild would add {report.missing:,}, change {report.fields + report.vectors:,} and drop "
            f"{format_count(report.extra, 'product')}, and encode {report.to_encode:,}. Nothing was changed."
        )
    elif report.equal:
        since = " except for later changes" if report.newer or report.deleted else ""
        lines.append(f"Catalogue and index are equal{since}.")
    return "\n".join(lines)
