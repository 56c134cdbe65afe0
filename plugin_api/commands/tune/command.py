"""`attune tune`: what searches of one catalogue gain by other settings, and those settings."""

import json
from pathlib import Path

import click

from mappings.client import check_cluster, connect
from plugin_api.commands.context import CommandContext
from plugin_api.commands.domain_option import domain_option
from plugin_api.commands.tune.table import print_tuning
from plugin_api.terminal import task_progress

_SECONDS = 60.0


@click.command()
@click.option("--alias", help="Alias or index to tune. Default: the setting search.alias.")
@click.option(
    "--query-template",
    type=click.Path(path_type=Path),
    help="The shop's own search, a JSON body with {{text}} for the words. Default: a search of all texts.",
)
@click.option("--model", type=click.Path(path_type=Path), help="Model folder. Default: model.folder.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=_SECONDS,
    show_default=True,
    help="Time to probe in. More time, more queries.",
)
@click.option("--dry-run", is_flag=True, help="Probe and report, and change nothing.")
@click.option("--reset", is_flag=True, help="Forget what was chosen for the index, and probe nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
@domain_option
def tune(
    context: CommandContext,
    alias: str | None,
    query_template: Path | None,
    model: Path | None,
    seconds: float,
    dry_run: bool,
    reset: bool,
    as_json: bool,
) -> None:
    """Choose search settings for one catalogue.

    Makes queries of every kind from the catalogue: known items, types, measures, colours, prices, features,
    model numbers. Compares the shop's own keyword search, the vectors alone and Attune on them, and tries
    other weights and windows. A setting changes only where made queries gain beyond chance and none of their
    families loses. Kinds of queries that Attune does not improve keep OpenSearch's order.

    \b
      attune tune --alias shop --dry-run
      attune tune --alias shop --query-template search.json

    What is chosen is recorded in the index and used by its searches, unless the settings say otherwise:
    `attune config --alias shop` shows both. A rebuild does the same at its end (index.tune_seconds).
    """
    if dry_run and reset:
        raise click.UsageError("--dry-run and --reset exclude each other: --reset probes nothing")
    # Imported here: `attune --help` needs neither model nor searches.
    from plugin_api.commands.index.tuning import open_tuning
    from plugin_api.commands.searched_index import read_template
    from plugin_api.tuning.job import tune_index
    from plugin_api.tuning.record import forget_tuning, record_tuning

    settings = context.settings
    index = alias or settings.search.alias
    client = connect(settings.opensearch)
    check_cluster(client, settings.opensearch)
    if reset:
        names = forget_tuning(client, index)
        click.echo(json.dumps({"reset": names}) if as_json else f"Reset: {', '.join(names)}.")
        return
    with task_progress("probing", 0) as advance:
        template = read_template(query_template) if query_template else None
        report = tune_index(open_tuning(client, settings, index, model, seconds, template, advance))
    if not dry_run:
        record_tuning(client, index, report)
    if as_json:
        shown = {"index": index, "recorded": not dry_run, **report.as_json()}
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    print_tuning(report, recorded=not dry_run)
