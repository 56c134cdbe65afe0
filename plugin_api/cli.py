"""The `attune` command: parses, calls the library, prints. Each command lives in `plugin_api/commands`.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 another job is at work on the alias. Errors are one line on
standard error.
"""

import importlib
import logging
import os
import sys
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path

import click

from mappings.errors import AttuneError
from plugin_api.commands.context import CommandContext

_COMMANDS = {
    "demo": "plugin_api.commands.demo.command",
    "up": "plugin_api.commands.node.command",
    "down": "plugin_api.commands.node.command",
    "inspect": "plugin_api.commands.inspect.command",
    "index": "plugin_api.commands.index.command",
    "attach": "plugin_api.commands.attach.command",
    "follow": "plugin_api.commands.attach.command",
    "detach": "plugin_api.commands.attach.command",
    "rollback": "plugin_api.commands.rollback",
    "search": "plugin_api.commands.search",
    "events": "plugin_api.commands.shoppers.command",
    "count": "plugin_api.commands.shoppers.command",
    "recommend": "plugin_api.commands.shoppers.command",
    "forget": "plugin_api.commands.shoppers.command",
    "risk": "plugin_api.commands.risk.command",
    "evaluate": "plugin_api.commands.evaluate.command",
    "experiment": "plugin_api.commands.experiment.command",
    "serve": "plugin_api.commands.serve.command",
    "train": "plugin_api.commands.train.command",
    "tune": "plugin_api.commands.tune.command",
    "install": "plugin_api.commands.install.command",
    "config": "plugin_api.commands.config.command",
}
"""Command → module with a click command of the same name, which is imported when it is needed."""


_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "1")
"""Makes NumPy, which is imported later, multiply on the calling thread.

The matrices are small, and NumPy's own threads spin while they wait for each other. On two busy cores a
search with a window of 100 took 112 ms (23 ms of CPU time); with this setting 12 ms (5 ms).
"""


class LazyGroup(click.Group):
    """Imports a command's module when it is called or listed, so that no command loads the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click passes it
        """Return the commands in the order a newcomer meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the named command, or None where there is none."""
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name. Raises UsageError, with the nearest name if any."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], _COMMANDS, 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from error


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with settings (or ATTUNE_CONFIG).",
)
@click.version_option(metadata.version("attune"), prog_name="attune")
@click.pass_context
def attune(ctx: click.Context, config: Path | None) -> None:
    """Neural relevance behind the search box you already have.

    \b
    First steps:
      attune demo                             see it on a sample catalogue
      attune up                               start a local OpenSearch
      attune inspect products.csv             see what would be indexed
      attune index products.csv --alias shop  clean, encode and index a catalogue
      attune attach shop                      add vectors to an index you have
      attune search "wireless mouse" --alias shop
      attune serve                            start what the search box asks
    """
    ctx.obj = CommandContext(config)


def _show_own_log_lines_only() -> None:
    """Write Attune's warnings to standard error, and no log line of any library.

    Some libraries set their loggers to DEBUG, or set up logging for the process, when they are imported.
    They leave a root logger that has a handler as it is.
    """
    handler = logging.StreamHandler()
    handler.addFilter(logging.Filter("attune"))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)


def main() -> None:
    """Run the command line; an AttuneError becomes one line and its exit code."""
    os.environ.setdefault(*_ONE_THREAD)
    _show_own_log_lines_only()
    try:
        attune(prog_name="attune")
    except AttuneError as error:
        click.echo(f"attune: {error}", err=True)
        sys.exit(error.exit_code)
