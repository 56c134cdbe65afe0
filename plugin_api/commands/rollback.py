"""`attune rollback`: searches back to the index before."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from plugin_api.cli import Wiring
from plugin_api.commands.index.priority import step_back


@click.command()
@click.option("--alias", help="Name that searches use. Default: the setting search.alias (products).")
@click.option("--to", default="", help="Index to go to. Default: the one before.")
@click.option("--model", type=click.Path(path_type=Path), help="Folder of the model that made that index.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_obj
def rollback(wiring: Wiring, alias: str | None, to: str, model: Path | None, as_json: bool) -> None:
    """Point the alias back at the index that searches used before the last rebuild.

    Changes that came since are brought to that index first, so nothing is lost but the rebuild. The index
    that is left stays: `attune rollback --to INDEX` goes there again. How many are kept is the setting
    index.keep_previous.
    """
    step_back()
    # Imported now: it takes two thirds of a rollback's time, and searches go first in that as well.
    from indexer.rebuild.rollback import roll_back
    from indexer.store.retry import Patience
    from mappings.client import check_cluster, connect
    from plugin_api.commands.index.models import model_folders

    settings = wiring.settings
    client = connect(settings.opensearch)
    check_cluster(client, settings.opensearch)
    report = roll_back(
        client,
        alias if alias is not None else settings.search.alias,
        to,
        model_folders(model, settings.model),
        settings.index,
        Patience(settings.index.retry_seconds),
    )
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    brought = f"; {report.brought:,} changes came along" if report.brought else ""
    click.echo(f"Alias {report.alias} points at {report.index}, of model {report.model}{brought}.")
    click.echo(f"{report.left} stays: attune rollback --alias {report.alias} --to {report.left}")
