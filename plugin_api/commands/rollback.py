"""`attune rollback`: searches return to the index before."""

import json
import threading
from dataclasses import asdict
from pathlib import Path

import click

from plugin_api.commands.context import CommandContext
from plugin_api.commands.index.priority import lower_priority
from plugin_api.commands.index.signals import stop_on_signals
from plugin_api.terminal import format_count


@click.command()
@click.option("--alias", help="Name that searches use. Default: the setting search.alias (products).")
@click.option("--to", default="", help="Index to return to. Default: the one before.")
@click.option("--model", type=click.Path(path_type=Path), help="Folder of the model that made that index.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def rollback(context: CommandContext, alias: str | None, to: str, model: Path | None, as_json: bool) -> None:
    """Return searches to the index before the last rebuild.

    Points the alias back at that index. Changes made since are copied to it first, so only the
    rebuild is undone. The other index is kept: `attune rollback --to INDEX` returns to it. The
    setting index.keep_previous says how many are kept.

    Where `attune attach` replaced a shop's indexes by copies, these take their places again.
    """
    lower_priority()
    # Imported after that: imports take two thirds of a rollback's time.
    from indexer.attach.job import return_to_originals
    from indexer.attach.shop_index import read_attachment
    from indexer.rebuild.rollback import roll_back
    from indexer.store.retry import RetryPolicy
    from indexer.store.session import IndexSession
    from mappings.client import check_cluster, connect
    from plugin_api.commands.index.models import model_folders

    settings = context.settings
    stop = threading.Event()
    with stop_on_signals(stop):
        client = connect(settings.opensearch)
        check_cluster(client, settings.opensearch)
        session = IndexSession(
            client=client,
            alias=alias if alias is not None else settings.search.alias,
            encoders=model_folders(model, settings.model),
            settings=settings.index,
            retry=RetryPolicy(settings.index.retry_seconds, stop=stop),
        )
        if read_attachment(client, session.alias):
            switches = return_to_originals(session)
            if as_json:
                click.echo(json.dumps({"name": session.alias, "switches": list(map(asdict, switches))}))
                return
            for switch in switches:
                click.echo(
                    f"{switch.index} is behind {session.alias} again, with all that was written since. "
                    f"{switch.kept} is kept."
                )
            return
        report = roll_back(session, to)
        if as_json:
            click.echo(json.dumps(asdict(report)))
            return
        copied = f"; {format_count(report.changes_copied, 'change')} copied" if report.changes_copied else ""
        click.echo(f"Alias {report.alias} points at {report.index}, of model {report.model}{copied}.")
        click.echo(
            f"{report.previous} is kept: attune rollback --alias {report.alias} --to {report.previous}"
        )
