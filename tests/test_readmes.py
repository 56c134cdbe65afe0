"""What the READMEs show is there: files, make targets, commands and their options."""

import re
from pathlib import Path

import click
import pytest

from plugin_api.cli import attune
from tests.readmes import ROOT, Command, commands, readmes

COMMANDS = [command for command in commands() if command.words[0] in ("attune", "make")]


def test_the_first_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("path", readmes(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_commands_exist_with_their_options(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *arguments = command.words
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in arguments if "=" not in word} <= set(targets)
        return
    monkeypatch.chdir(tmp_path)
    for word in arguments:
        _make_what_is_named(word)
    try:
        _parse(arguments)
    except (click.MissingParameter, click.BadOptionUsage):
        assert command.inline, "a sentence may name a command without its arguments; a code block may not"


def _make_what_is_named(word: str) -> None:
    name = word.rpartition("=")[2]
    if name.startswith(("-", "/")) or "://" in name:
        return
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        path.touch()
    elif name.endswith(("/", "-model")):
        path.mkdir(exist_ok=True)


def _parse(arguments: list[str]) -> None:
    """Parse a command line as the command would, and run nothing."""
    context = attune.make_context("attune", list(arguments))
    words = [*context._protected_args, *context.args]
    if not words:
        return
    name, command, rest = attune.resolve_command(context, words)
    assert command is not None
    command.make_context(name, rest, parent=context)
