"""What a check-up says, in words."""

from collections.abc import Iterator

from plugin_api.terminal import format_count
from plugin_api.tuning.report import TuningReport
from reranker.probes.choice import Verdict

_VERDICTS = {
    Verdict.BETTER: "better than keyword search",
    Verdict.NOT_BETTER: "nothing better found: OpenSearch's order is kept",
    Verdict.OPEN: "no difference shown",
}


def describe_verdict(verdict: Verdict) -> str:
    """Return what a verdict means."""
    return _VERDICTS[verdict]


def summarize_tuning(report: TuningReport) -> Iterator[str]:
    """Yield what a check-up at the end of a rebuild found, as lines."""
    if not report.kinds:
        yield "Too few queries can be made of this catalogue to tune its searches."
        return
    queries = format_count(report.queries, "made query", "made queries")
    yield f"Tuned its searches by {queries} in {report.seconds:.0f} s (attune tune --dry-run shows more):"
    yield from (f"  {line}" for line in describe_tuned(report))


def describe_tuned(report: TuningReport) -> Iterator[str]:
    """Yield what was chosen, a sentence each."""
    chosen = report.tuned.values
    if not chosen:
        yield "No setting is better beyond chance: all stay as they are."
    for name, value in chosen.items():
        yield f"search.{name} = {value}"
