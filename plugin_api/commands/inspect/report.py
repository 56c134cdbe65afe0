"""What `attune inspect` prints for people."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from indexer.catalogue.inspection import Inspection
from indexer.catalogue.stats import Count
from indexer.sources.files import describe_format
from mappings.types import JsonObject, Product
from plugin_api.terminal import format_count
from reranker.text.product_text import format_attribute_values

_SHOWN_COLUMNS = 15
_SHOWN_FILES = 5


def print_inspection(console: Console, inspection: Inspection, details: list[JsonObject], file: str) -> None:
    """Print an inspection on a terminal."""
    console.print(Text.assemble(("File      ", "bold"), inspection.source))
    for detail in details[:_SHOWN_FILES]:
        of_file = f" ({detail['file']})" if len(details) > 1 else ""
        console.print(Text.assemble(("Read as   ", "bold"), describe_format(detail), of_file))
        for renamed, column in list(detail.get("renamed_columns", {}).items())[:_SHOWN_COLUMNS]:
            console.print(Text(f"          a second column {column} is called {renamed}"))
    known = (
        f"{inspection.preset} (--preset {inspection.field_map.preset})"
        if inspection.preset
        else "none is known"
    )
    console.print(Text.assemble(("Export    ", "bold"), known))
    console.print(Text.assemble(("Products  ", "bold"), _describe_counts(inspection)))
    _print_field_map(console, inspection)
    _print_fields(console, inspection)
    _print_samples(console, inspection.samples)
    _print_counts(console, "Cells left empty, because they can't be read", inspection.stats.unreadable)
    _print_counts(console, "Left out, because they are not for sale", inspection.stats.left_out)
    _print_counts(console, "Rejected", inspection.rejects)
    console.print()
    console.print(Text(f"To index it: attune index {file} --alias shop"))


def _describe_counts(inspection: Inspection) -> str:
    stats = inspection.stats
    parts = [f"{inspection.products:,} of {format_count(stats.records, 'record')}"]
    if stats.merged:
        parts.append(f"{stats.merged:,} merged as variants")
    left_out = sum(count.count for count in stats.left_out.values())
    rejected = sum(count.count for count in inspection.rejects.values())
    parts += [f"{left_out:,} left out"] if left_out else []
    parts += [f"{rejected:,} rejected"] if rejected else []
    return ", ".join(parts)


def _print_field_map(console: Console, inspection: Inspection) -> None:
    console.print()
    console.print(Text("Field map (save it as map.toml to change it: --fields map.toml)", "bold"))
    for line in inspection.field_map.as_toml().splitlines():
        console.print(Text(f"  {line}"))
    unused = inspection.unused_columns
    if unused and not inspection.preset:
        more = f" and {len(unused) - _SHOWN_COLUMNS:,} more" if len(unused) > _SHOWN_COLUMNS else ""
        console.print(Text(f"  # not named: {', '.join(unused[:_SHOWN_COLUMNS])}{more}", "dim"))


def _print_fields(console: Console, inspection: Inspection) -> None:
    table = Table(box=None, header_style="bold", title_justify="left")
    table.add_column("field")
    table.add_column("filled", justify="right")
    table.add_column("share", justify="right")
    for name, count in inspection.filled.items():
        share = f"{count / inspection.products:.0%}" if inspection.products else "–"
        table.add_row(Text(name), f"{count:,}", share)
    console.print()
    console.print(table)


def _print_samples(console: Console, samples: list[Product]) -> None:
    if not samples:
        return
    console.print()
    console.print(Text("Products as they would be indexed", "bold"))
    for product in samples:
        console.print(
            Text.assemble((product.id, "bold"), "  ", product.title), overflow="ellipsis", no_wrap=True
        )
        for line in _describe_product(product):
            console.print(Text(f"    {line}"), overflow="ellipsis", no_wrap=True)


def _describe_product(product: Product) -> Iterator[str]:
    available = {True: "available", False: "not available", None: ""}[product.available]
    price = "" if product.price is None else f"{product.price:,.2f} {product.currency}".strip()
    facts = [price, available, product.brand, product.category]
    yield "  ·  ".join(fact for fact in facts if fact) or "no price, availability, brand or category"
    if product.identifiers or product.group:
        group = f"  ·  group {product.group}" if product.group else ""
        yield f"identifiers: {', '.join(product.identifiers)}{group}"
    if product.attributes:
        yield "; ".join(
            f"{name}: {', '.join(format_attribute_values(value))}"
            for name, value in product.attributes.items()
        )
    for text in (product.description, product.image, product.url):
        if text:
            yield text[:300]


def _print_counts(console: Console, title: str, counts: dict[str, Count]) -> None:
    if not counts:
        return
    console.print()
    console.print(Text(title, "bold"))
    for name, count in sorted(counts.items(), key=lambda item: -item[1].count):
        examples = ", ".join(
            example if example == f"line {line}" else f"{example} (line {line})"
            for example, line in count.examples.items()
        )
        console.print(Text(f"  {count.count:>7,}  {name}: {examples}"))
