"""`attune inspect`: read a catalogue, write nothing, show what an index of it would hold."""

import json
from pathlib import Path

import click

from indexer.catalogue.field_map import load_field_map
from indexer.catalogue.guessing import guess_field_map, judge_prices
from indexer.catalogue.inspection import inspect_catalogue
from indexer.sources.files import open_catalogue
from indexer.sources.files.options import parse_read_options
from plugin_api.commands.inspect.report import print_inspection
from plugin_api.terminal import output_console


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--fields", type=click.Path(path_type=Path), help="Field map in TOML. Default: guessed.")
@click.option("--preset", default="", help="Read FILE as this export, such as shopify. Default: recognised.")
@click.option(
    "--read-as", default="", metavar="OPTIONS",
    help='How to read FILE where detection is wrong, as "encoding=cp1252 delimiter=; quote=none".',
)  # fmt: skip
@click.option("--simplified", is_flag=True, help="Turn Traditional into Simplified Chinese.")
@click.option(
    "--samples", type=click.IntRange(0, 1000), default=10, show_default=True, help="Products to show."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(
    file: Path, fields: Path | None, preset: str, read_as: str, simplified: bool, samples: int, as_json: bool
) -> None:
    """Show what an index of FILE would hold.

    Reads all of FILE and writes nothing. Shows how the file is read, the export that its columns show, the
    field map (save it as map.toml, correct it, give it back by --fields), the first products as they would be
    indexed, cells that can't be read, products that are not for sale, and records that would be rejected.

    \b
      attune inspect products.csv
      attune inspect products.csv --preset shopify
      attune inspect products.csv --json | jq .rejected
    """
    catalogue = open_catalogue(file, parse_read_options(read_as))
    if fields:
        field_map = judge_prices(catalogue, load_field_map(fields, catalogue))
    else:
        field_map = guess_field_map(catalogue, preset=preset)
    inspection = inspect_catalogue(catalogue, field_map, simplified, samples)
    details = catalogue.details()
    if as_json:
        click.echo(json.dumps({**inspection.as_json(), "read_as": details}, ensure_ascii=False, indent=2))
    else:
        print_inspection(output_console(), inspection, details, str(file))
