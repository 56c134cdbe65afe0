"""`attune index`: a catalogue file into OpenSearch."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from indexer.fieldmap import load_field_map
from indexer.guessing import guess_field_map
from indexer.job import IndexJob, IndexReport, run_index_job
from indexer.job import Progress as JobProgress
from indexer.reading import open_catalogue
from mappings.client import check_cluster, connect
from plugin_api.cli import Wiring
from reranker.model import load_model


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--alias", help="Name that searches use. Default: the setting search.alias (products).")
@click.option(
    "--fields", type=click.Path(path_type=Path), help="Field map in TOML. Default: guessed from the columns."
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Model folder. Default: the one shipped with Attune."
)
@click.option("--rejects", type=click.Path(path_type=Path), help="Reject file. Default: FILE.rejects.jsonl.")
@click.option("--simplified", is_flag=True, help="Turn Traditional into Simplified Chinese.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after this many products.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
@click.pass_obj
def index(
    wiring: Wiring,
    file: Path,
    alias: str | None,
    fields: Path | None,
    model: Path | None,
    rejects: Path | None,
    simplified: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """Clean, encode and index the catalogue FILE, then point the alias at it.

    FILE holds one product a record: JSON Lines (.jsonl), CSV (.csv, .tsv; comma, semicolon, tab or
    pipe), each also gzipped (.gz), or Parquet (.parquet). Searches see the old catalogue until the new
    one is complete.

    \b
    Which column is which is guessed and printed. To say it yourself, pass a field map by --fields:
      id = "sku"
      title = ["name", "variant"]        # several columns are joined
      brand = "supplier"
      category = "department"
      description = "long_text"
      price = "price_cents"
      price_scale = 0.01                 # the column is in cents
      available = "in_stock"
      image = "photo"
      url = "link"
      attributes = ["colour", "attr_*"]  # * stands for any text
    Records that can't be used are written to the reject file with line number and reason.
    """
    settings = wiring.settings
    catalogue = open_catalogue(file)
    field_map = load_field_map(fields, catalogue) if fields else guess_field_map(catalogue)
    client = connect(settings.opensearch)
    check_cluster(client, settings.opensearch)
    folder = model or (Path(settings.model.folder) if settings.model.folder else None)
    encoder = load_model(folder, settings.model.threads)
    rejects = rejects or file.with_name(f"{file.name}.rejects.jsonl")
    job = IndexJob(
        catalogue=catalogue,
        field_map=field_map,
        alias=alias if alias is not None else settings.search.alias,
        rejects=rejects,
        settings=settings.index,
        simplified=simplified,
        limit=limit,
    )
    if not (as_json or fields):
        click.echo("Field map guessed from the columns (correct it by --fields):")
        click.echo("".join(f"  {line}\n" for line in field_map.as_toml().splitlines()))
    with Bar(hidden=as_json or not sys.stderr.isatty()) as bar:
        report = run_index_job(job, client, encoder, bar.show)
    if as_json:
        click.echo(json.dumps(asdict(report), ensure_ascii=False))
    else:
        click.echo(summary(report, rejects))
        if model:
            click.echo(f"Searches need the same model: attune serve --model {model}")


def summary(report: IndexReport, rejects: Path) -> str:
    """Return what a run did, as lines for people."""
    lines = [
        f"Indexed {report.indexed:,} products in {report.seconds:.1f} s "
        f"({report.products_per_second:,.0f} products/s) into {report.index}.",
        f"Alias {report.alias} points at it; {report.bytes / 1e6:,.1f} MB, "
        f"{report.bytes / report.indexed / 1000:.1f} kB a product; model {report.model}.",
    ]
    if report.rejected or report.duplicates:
        lines.append(
            f"Left out: {report.rejected:,} rejected, {report.duplicates:,} duplicates; see {rejects}"
        )
    return "\n".join(lines)


class Bar:
    """A progress bar on standard error with products per second and time left; hidden, it prints nothing."""

    def __init__(self, hidden: bool) -> None:
        self._progress = Progress(
            TextColumn("indexing"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[products]:,} products"),
            TextColumn("{task.fields[rate]:,.0f}/s"),
            TextColumn("time left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=hidden,
            transient=True,
        )
        self._task = self._progress.add_task("indexing", total=1.0, products=0, rate=0.0)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, progress: JobProgress) -> None:
        """Show how far the run is."""
        seconds = self._progress.tasks[0].elapsed or 0.0
        self._progress.update(
            self._task,
            completed=progress.share,
            products=progress.indexed,
            rate=progress.indexed / seconds if seconds else 0.0,
        )
