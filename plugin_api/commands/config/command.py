"""`attune config`: the settings in force."""

import json
from collections.abc import Iterator, Sequence

import click
from rich.console import Console
from rich.table import Table

from mappings.errors import SettingsError
from mappings.settings import Settings
from plugin_api.commands.context import CommandContext


@click.command()
@click.option("--alias", help="Also what `attune tune` has chosen for the index behind this alias.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of {setting, value, origin}.")
@click.pass_obj
def config(context: CommandContext, alias: str | None, as_json: bool) -> None:
    """Show the settings in force and where each came from.

    Settings come from defaults, then a TOML file (--config or ATTUNE_CONFIG), then the environment:

    \b
      [search]                   ATTUNE_SEARCH_WINDOW=50
      window = 50

    Searches of an index use what `attune tune` has chosen for it where a setting has its default; with
    --alias that is shown, and the cluster is asked for it.
    """
    settings = context.settings
    rows = list(settings.rows())
    if alias:
        rows = list(_with_tuned(rows, settings, alias))
    if as_json:
        click.echo(
            json.dumps(
                [dict(zip(("setting", "value", "origin"), row, strict=True)) for row in rows], indent=2
            )
        )
        return
    table = Table("Setting", "Value", "Origin", box=None)
    for name, value, origin in rows:
        table.add_row(name, json.dumps(value, ensure_ascii=False), origin)
    Console().print(table, markup=False)


def _with_tuned(
    rows: Sequence[tuple[str, object, str]], settings: Settings, alias: str
) -> Iterator[tuple[str, object, str]]:
    """Yield the rows with the values that were chosen for the index of an alias, and its name as origin."""
    # Imported here: without --alias no cluster is needed.
    from mappings.client import check_cluster, connect
    from plugin_api.tuning.record import read_tunings

    client = connect(settings.opensearch)
    check_cluster(client, settings.opensearch)
    tunings = read_tunings(client, alias)
    chosen = list(tunings.values())
    if any(tuned != chosen[0] for tuned in chosen):
        raise SettingsError(
            f"the indexes behind {alias} are tuned differently, so none of it is used: {', '.join(tunings)}"
        )
    tuned = chosen[0].over(settings.search, settings.origins) if chosen else settings.search
    for name, value, origin in rows:
        section, _, key = name.partition(".")
        now = getattr(tuned, key) if section == "search" else value
        yield name, now, origin if now == value else f"attune tune ({', '.join(tunings)})"
