"""`attune up` and `attune down`: the embedded OpenSearch node."""

import json
import os

import click

from plugin_api.commands.context import CommandContext
from plugin_api.commands.node.lifecycle import Node, node_home, start_node, stop_node
from plugin_api.terminal import task_progress


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_obj
def up(context: CommandContext, as_json: bool) -> None:
    """Start a local OpenSearch with k-NN.

    It is downloaded first where needed (about 230 MB). It listens on this machine only, at the address
    in opensearch.url. Its data is in the folder node.home (~/.attune, for root /var/lib/attune). It
    runs until `attune down`. Where it runs already, nothing changes.
    """
    running = start_node(context.settings, os.environ, task_progress)
    if as_json:
        click.echo(
            json.dumps(_shown(running) | {"started": running.started, "seconds": round(running.seconds, 1)})
        )
    elif running.started:
        click.echo(
            f"OpenSearch runs at {running.url}, started in {running.seconds:.0f} s (data in {running.home})."
        )
        click.echo("Next: attune index FILE --alias NAME    Stop it: attune down")
    else:
        click.echo(f"OpenSearch already runs at {running.url} (data in {running.home}).")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_obj
def down(context: CommandContext, as_json: bool) -> None:
    """Stop the local OpenSearch that `attune up` started. Its data stays."""
    stopped = stop_node(context.settings, os.environ)
    home = node_home(context.settings.node, os.environ)
    if as_json:
        click.echo(
            json.dumps(
                {"stopped": stopped is not None} | (_shown(stopped) if stopped else {"home": str(home)})
            )
        )
    elif stopped:
        click.echo(f"OpenSearch at {stopped.url} is stopped; its data stays in {stopped.home}.")
    else:
        click.echo(f"No local OpenSearch is running (data in {home}).")


def _shown(running: Node) -> dict[str, object]:
    return {"url": running.url, "pid": running.pid, "home": str(running.home)}
