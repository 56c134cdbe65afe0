"""A check-up as tables for a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from plugin_api.terminal import format_count, output_console
from plugin_api.tuning.report import TuningReport
from plugin_api.tuning.summary import describe_tuned, describe_verdict


def print_tuning(report: TuningReport, recorded: bool) -> None:
    """Print what was tried, how each kind of query does, and what was chosen."""
    console = output_console()
    queries = format_count(report.queries, "made query", "made queries")
    console.print(Text(f"{report.index}: {queries} in {report.seconds:.0f} s", style="bold"))
    if not report.kinds:
        console.print("Too few queries can be made of this catalogue to tell anything: nothing changes.")
        return
    console.print(_kinds_table(report))
    _print_steps(console, report)
    for line in describe_tuned(report):
        console.print(line)
    if report.tuned.values and recorded:
        undo = f"attune tune --reset --alias {report.index}"
        console.print(f"Recorded; a running sidecar uses it within a minute. To undo: {undo}")
    elif report.tuned.values:
        console.print("Nothing was changed (--dry-run).")


def _kinds_table(report: TuningReport) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("nDCG@10 by kind of query")
    for heading in ("queries", "keyword search", "vectors", "Attune before", "now"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for kind in report.kinds:
        values = (kind.own, kind.vectors, kind.before, kind.after)
        cells = [f"{value:.3f}" for value in values]
        table.add_row(kind.kind, str(kind.queries), *cells, Text(describe_verdict(kind.verdict), style="dim"))
    return table


def _print_steps(console: Console, report: TuningReport) -> None:
    for step in report.steps:
        values = ", ".join(f"{value} {figure:.3f}" for value, figure in step.figures.items())
        console.print(Text(f"{step.setting}: {values}", style="dim"))
