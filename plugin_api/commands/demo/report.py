"""Prints the demo's output: its steps, both rankings of each query side by side, and the next commands."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from plugin_api.commands.demo.comparison import COMPARED_HITS, AttuneHit, QueryComparison
from plugin_api.commands.demo.shoppers import PersonalComparison, describe_reason

_NO_HITS = "no hits"

_LEGEND = (
    f"▲ ▼ places up or down from the keyword ranking, = the same place, new: not in its first "
    f"{COMPARED_HITS:,}. Milliseconds are whole requests over HTTP, the median of three."
)


def show_step(console: Console, what: str, how: str) -> None:
    """Print one step, and how long it took."""
    console.print(Text(f"{what:<64} ") + Text(how, style="dim"), soft_wrap=True)


def show_legend(console: Console, notices: Iterable[str]) -> None:
    """Print what the marks and times mean, the source of the texts, and what else must be known of them."""
    console.print()
    console.print(Text(_LEGEND, style="dim"))
    for notice in notices:
        console.print(Text(notice, style="dim"))


def show_comparison(console: Console, number: int, total: int, comparison: QueryComparison) -> None:
    """Print one query's rankings side by side, with titles cut to fit."""
    console.print()
    console.print(
        Text(f"{number}/{total}  ", style="dim")
        + Text(comparison.query, style="bold")
        + Text(f"  {comparison.shows}", style="italic")
    )
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column(f"keyword, {comparison.keyword_ms:.0f} ms", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("", justify="right", no_wrap=True)
    reranking = f"of which reranking {comparison.rerank_ms:.0f} ms"
    heading = f"Attune, {comparison.attune_ms:.0f} ms, {reranking}"
    table.add_column(heading, ratio=1, no_wrap=True, overflow="ellipsis")
    for rank in range(1, max(len(comparison.keyword), len(comparison.attune)) + 1):
        keyword_title = comparison.keyword[rank - 1] if rank <= len(comparison.keyword) else ""
        if rank == 1 and not keyword_title:
            keyword_title = _NO_HITS
        right = comparison.attune[rank - 1] if rank <= len(comparison.attune) else AttuneHit("", rank)
        mark = format_move(rank, right.keyword_rank) if right.title else Text()
        # Text, not str: rich reads brackets in a str as markup.
        title = Text(right.title)
        if right.warnings:  # first: nobody may read the product without it
            title = Text(f"WARNING: {'; '.join(right.warnings)}: ", style="bold red") + title
        table.add_row(str(rank), Text(keyword_title), mark, title)
    if not (comparison.keyword or comparison.attune):
        table.add_row("", Text(_NO_HITS), Text(), Text(_NO_HITS))
    console.print(table)
    if comparison.reason:
        console.print(Text(f"   not reranked: {comparison.reason}", style="red"))


def format_move(rank: int, keyword_rank: int | None) -> Text:
    """Return a mark that says how far a hit moved from its place in the keyword ranking."""
    if keyword_rank is None:
        return Text("new", style="bold green")
    if keyword_rank > rank:
        return Text(f"▲{keyword_rank - rank}", style="green")
    return Text(f"▼{rank - keyword_rank}", style="yellow") if keyword_rank < rank else Text("=", style="dim")


def show_personal(console: Console, comparison: PersonalComparison) -> None:
    """Print one query for everybody and for a shopper, with what the history added, and recommendations."""
    console.print()
    console.print(
        Text(comparison.query, style="bold")
        + Text(f"  for {comparison.shopper}, who {comparison.shows}", style="italic")
    )
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("for everybody", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column(f"for {comparison.shopper}", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("", no_wrap=True)
    for rank, (hit, parts) in enumerate(zip(comparison.personal, comparison.reasons, strict=True), start=1):
        plain = comparison.plain[rank - 1] if rank <= len(comparison.plain) else ""
        reason = Text(describe_reason(parts), style="dim")
        table.add_row(str(rank), Text(plain), format_move(rank, hit.keyword_rank), Text(hit.title), reason)
    console.print(table)
    for title, why in comparison.recommended:
        console.print(Text("   recommended: ", style="dim") + Text(title) + Text(f"  {why}", style="dim"))


def show_next(console: Console, lines: Iterable[tuple[str, str]]) -> None:
    """Print the next commands, each with what it does. Lines are not broken, so that they can be copied."""
    console.print()
    console.print(Text("Next:", style="bold"))
    for command, what in lines:
        console.print(Text(f"  {what}:", style="dim"), soft_wrap=True)
        console.print(Text(f"    {command}"), soft_wrap=True)
