"""Concepts: groups of words that mean the same, and what each is a kind of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mappings.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Concept:
    """Words that mean the same. `broader` are the ids of the concepts of which this one is a kind."""

    id: str
    words: tuple[str, ...]
    broader: tuple[str, ...] = ()


def make_concept_id(words: str) -> str:
    """Return the id of a concept that is named by words. It has no blanks: it is one token of an index."""
    return "_".join(words.casefold().split())


def read_concepts(path: Path) -> Iterator[Concept]:
    """Yield the concepts of a thesaurus.txt: `words | other words < broader | broader`, one a line.

    A concept's id is made of its first words; what stands behind < are the first words of other lines. Text
    behind # is left out. Raises SettingsError.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    for line in text.splitlines():
        same, _, broader = line.partition("#")[0].partition("<")
        if words := _split(same):
            yield Concept(make_concept_id(words[0]), words, tuple(map(make_concept_id, _split(broader))))


def _split(text: str) -> tuple[str, ...]:
    return tuple(phrase for part in text.split("|") if (phrase := part.strip()))
