"""The commands that the READMEs show, as a reader would type them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = ("attune", "make", "docker", "helm", "kubectl", "curl", "pip", "python")

_BLOCK = re.compile(r"^```(?:\w*)\n(.*?)^```|((?:^(?:    .*|)\n)+)", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(attune [^`]+)`")
_ENVIRONMENT = re.compile(r"[A-Z][A-Z_]*=\S*")


@dataclass(frozen=True)
class Command:
    """One command of a README: the file, and the words of the command."""

    readme: str
    words: tuple[str, ...]
    inline: bool = False

    def __str__(self) -> str:
        return f"{self.readme}: {shlex.join(self.words)}"


def readmes() -> list[Path]:
    """Return every README of the project, the largest first in reading order: the root's."""
    paths = [path for path in ROOT.rglob("*.md") if not {".venv", "node_modules"} & set(path.parts)]
    return sorted(paths, key=lambda path: (len(path.parts), path))


def commands() -> Iterator[Command]:
    """Yield the commands of code blocks, and those of attune that stand within a sentence."""
    for path in readmes():
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        for block in _BLOCK.finditer(text):
            lines = (block[1] or block[2] or "").replace("\\\n", " ").splitlines()
            for line in lines:
                words = _words(line.strip())
                if words and words[0] in PROGRAMS:
                    yield Command(name, words)
        for inline in _INLINE.finditer(text):
            words = _words(inline[1].replace("\n", " "))
            if words:
                yield Command(name, words, inline=True)


def _words(line: str) -> tuple[str, ...]:
    """Split a line into words, less its comment, its variables and what is piped into it."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # prose with an apostrophe
        return ()
    if "|" in words:
        words = words[words.index("|") + 1 :]
    while words and _ENVIRONMENT.fullmatch(words[0]):
        words = words[1:]
    if words and words[0].startswith(".venv/bin/"):
        words[0] = words[0].removeprefix(".venv/bin/")
    return tuple(words)
