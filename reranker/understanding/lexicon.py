"""What people say in any shop: colours, materials and sizes, and the words that limit, exclude and fit."""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from reranker.text.word_tokens import is_cjk
from reranker.understanding.words import stem_words

NUMBERED = "numbered "
"""What stands before the kind of attributes that hold numbers of it: sizes of shoes."""

VALUE_KINDS = ("colour", "material", "gender", "age", "size")
"""Kinds of values that any catalogue may have, whatever its attributes are called."""


@dataclass(frozen=True)
class Lexicon:
    """Words by what they do. Stems, but for the regular expressions.

    `values` give the kind and name of a stem (`gray`: colour, grey); `synonyms` all stems of a kind and name,
    those of sizes with the letters (`m`) that mean one only where the text says that it is a size.
    `attributes` give the stems by which attributes of each kind are called, `attribute_words` the words.
    `absent` maps a stem to the stems of words that say a product has none of it (`cabl`: wireless). `without`
    has the words before what a text excludes, `free` those behind it, `avoided` stems of what people want
    things to be free of. `colours_of_things` are stems of colours that are called as things are.
    `accessories` name what belongs to a thing: stems, of Chinese two characters of a word; in
    `accessory_endings` are the characters that make an accessory of a Chinese thing that they follow.
    """

    values: dict[str, tuple[str, str]]
    synonyms: dict[tuple[str, str], frozenset[str]]
    attributes: dict[str, frozenset[str]]
    attribute_words: dict[str, tuple[str, ...]]
    compatibility: frozenset[str]
    none: frozenset[str]
    yes: frozenset[str]
    stops: frozenset[str]
    without: frozenset[str]
    free: frozenset[str]
    avoided: frozenset[str]
    colours_of_things: frozenset[str]
    absent: dict[str, frozenset[str]]
    accessories: frozenset[str]
    accessory_endings: str
    words: dict[str, Any]


@cache
def load_lexicon() -> Lexicon:
    """Read the lexicon that comes with the package."""
    words, kinds = _read("words.json"), _read("values.json")
    values: dict[str, tuple[str, str]] = {}
    synonyms: dict[tuple[str, str], frozenset[str]] = {}
    for kind in VALUE_KINDS:
        for name, spelt in kinds[kind]["values"].items():
            spellings = map(stem_words, spelt.split())
            stems = frozenset(spelling[0] for spelling in spellings if len(spelling) == 1)
            synonyms[kind, name] = stems | ({name} if kind == "size" else set())
            for stem in stems:
                values.setdefault(stem, (kind, name))
    absent: dict[str, set[str]] = {}
    for word, things in words["absent"].items():
        for thing in things:
            absent.setdefault(_stem(thing), set()).add(_stem(word))
    return Lexicon(
        values=values,
        synonyms=synonyms,
        attributes={kind: frozenset(map(_stem, kinds[kind]["attributes"])) for kind in VALUE_KINDS},
        attribute_words={kind: tuple(kinds[kind]["attributes"]) for kind in VALUE_KINDS},
        compatibility=frozenset(map(_stem, words["compatibility"])),
        none=frozenset(words["none"]),
        yes=frozenset(words["yes"]),
        stops=frozenset(stem for word in words["stops"] for stem in stem_words(word)),
        without=frozenset(phrase for phrase in words["without"] if " " not in phrase),
        free=frozenset(words["free_after"]).difference(words["stops"]),
        avoided=frozenset(map(_stem, words["avoided"])),
        colours_of_things=frozenset(map(_stem, words["colours_of_things"])),
        absent={thing: frozenset(stems) for thing, stems in absent.items()},
        accessories=frozenset(map(_stem, words["accessories"])),
        accessory_endings=words["accessory_endings"],
        words=words,
    )


def list_synonyms(stem: str) -> frozenset[str]:
    """Return the stems that mean the same value as a stem, itself among them."""
    lexicon = load_lexicon()
    return lexicon.synonyms.get(lexicon.values.get(stem, ("", "")), frozenset()) | {stem}


def names_absence(attribute: str) -> bool:
    """Return whether an attribute's name says what a product is free of: `gluten free`."""
    free = load_lexicon().free
    return any(word in free for word in attribute.casefold().replace("-", " ").split())


def alternatives(phrases: list[str]) -> str:
    """Return a regular expression for any of the phrases as whole words; Chinese ones stand anywhere."""
    parts = []
    for phrase in sorted(phrases, key=len, reverse=True):
        inner = re.escape(phrase).replace(r"\ ", r"\s+")
        before = r"(?<!\w)" if phrase[0].isalnum() and not is_cjk(phrase[0]) else ""
        after = r"(?!\w)" if phrase[-1].isalnum() and not is_cjk(phrase[-1]) else ""
        parts.append(f"{before}{inner}{after}")
    return "|".join(parts)


def _stem(word: str) -> str:
    return "".join(stem_words(word)[:1])


def _read(name: str) -> Any:
    return json.loads(resources.files(__package__).joinpath(f"data/{name}").read_text(encoding="utf-8"))
