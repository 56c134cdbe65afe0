"""`attune index --verify` and `--reencode` on the index that a shop already has, and their summaries."""

from indexer.attach.job import attach_index
from indexer.attach.shop_index import read_attachment
from indexer.attach.updater import AttachReport
from indexer.attach.verify import VectorCheck
from indexer.store.session import IndexSession
from mappings.errors import IndexingError
from plugin_api.terminal import format_count


def reencode_attached(session: IndexSession) -> AttachReport:
    """Encode the documents of an attached index anew by the session's model, with the recorded field map.

    Raises as `attach_index` does, and IndexingError where nothing behind the name is attached.
    """
    attachment = read_attachment(session.client, session.alias)
    if attachment is None:
        raise IndexingError(f"{session.alias} is not attached: attune attach {session.alias}")
    return attach_index(session, attachment.field_map)


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


def summarize_check(check: VectorCheck) -> str:
    """Return how documents and vectors of an attached index compare."""
    lines = [
        f"{format_count(check.documents, 'document')} in {', '.join(check.indexes)}: {check.same:,} have the "
        f"vectors of their text, {check.missing:,} have none, {check.outdated:,} have outdated ones, "
        f"{check.without_text:,} have no text to encode."
    ]
    if check.examples:
        lines.append(f"To encode, for example: {', '.join(check.examples)}")
        lines.append(f"Encode them: attune follow {check.name} --once --full")
    return "\n".join(lines)
