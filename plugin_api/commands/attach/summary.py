"""Summaries of `attune attach` and `attune follow` for people."""

from indexer.attach.estimate import AttachEstimate
from indexer.attach.updater import AttachReport
from plugin_api.terminal import format_count


def summarize_attach(report: AttachReport) -> str:
    """Return the summary of a job that attached or followed."""
    lines = [
        f"Looked at {format_count(report.documents, 'document')} of {', '.join(report.indexes)} "
        f"in {report.seconds:.1f} s ({report.documents_per_second:,.0f}/s): {report.encoded:,} encoded, "
        f"{report.unchanged:,} had their vectors; model {report.model}."
    ]
    if report.without_text:
        lines.append(f"{report.without_text:,} have no title or description, and so no vectors.")
    if report.overtaken:
        lines.append(f"{format_count(report.overtaken, 'update')} gave way to writes of the shop's.")
    if report.refused:
        lines.append(
            f"OpenSearch refused {format_count(report.refused, 'update')} (first: {report.refusal})."
        )
    if report.kept:
        lines.append(
            f"A copy that can have vectors is in the place of the index; writes were refused for "
            f"{report.refusing_seconds:.1f} s. The data as it was is kept: {', '.join(report.kept)}."
        )
    lines.append(f"Keep them in step with the shop's writers: attune follow {report.name}")
    return "\n".join(lines)


def summarize_estimate(estimate: AttachEstimate) -> str:
    """Return what attaching would do."""
    way = "in place" if estimate.in_place else "in a copy that takes the place of the index"
    names, remaining = ", ".join(estimate.indexes), estimate.documents - estimate.encoded
    lines = [
        f"Attaching would encode {remaining:,} of {format_count(estimate.documents, 'document')} of {names} "
        f"{way}. Encoding takes about {_duration(estimate.seconds)} on this machine; the vectors "
        f"add at most {estimate.bytes / 1e6:,.1f} MB to each copy of the data."
    ]
    if estimate.without_text:
        lines.append(f"{estimate.without_text:.0%} of a sample have no title or description to encode.")
    lines += ["", "Some of them, as the model would read them:"]
    for product in estimate.products:
        facts = {
            "brand": product.brand,
            "category": product.category,
            "price": product.price,
            "description": product.description[:80],
        }
        shown = "; ".join(f"{name}: {value}" for name, value in facts.items() if value not in ("", None))
        lines.append(f"  {product.id}: {product.title[:80]}" + (f" ({shown})" if shown else ""))
    return "\n".join([*lines, "", "Nothing was changed."])


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
