"""The command line as a newcomer meets it."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from plugin_api.cli import attune

COMMANDS = attune.list_commands(click.Context(attune))


def test_the_list_of_commands_fits_on_a_terminal() -> None:
    shown = CliRunner().invoke(attune, ["--help"], terminal_width=80).stdout
    assert "..." not in shown.partition("Commands:")[2]
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    for command in COMMANDS:
        assert f"\n  {command} " in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = attune.get_command(click.Context(attune), name)
    assert command is not None
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []
    shown = CliRunner().invoke(attune, [name, "--help"], terminal_width=80)
    assert shown.exit_code == 0
    assert [line for line in shown.stdout.splitlines() if len(line) > 80] == []


def test_a_misspelt_command_is_refused_with_the_nearest_one() -> None:
    result = CliRunner().invoke(attune, ["serch", "mouse"])
    assert result.exit_code == 2
    assert "Did you mean 'search'?" in result.stderr


def test_no_library_writes_log_lines_into_a_commands_output() -> None:
    code = (
        "import logging, plugin_api.cli as cli\n"
        "cli._show_own_log_lines_only()\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "logging.getLogger('bm25s').setLevel(logging.DEBUG)\n"
        "logging.getLogger('bm25s').debug('Building index')\n"
        "logging.getLogger('bm25s').warning('deprecated')\n"
        "logging.getLogger('attune.http').warning('ours')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "ours\n")
