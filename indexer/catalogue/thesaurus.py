"""A domain's thesaurus: words that mean the same, and what they are kinds of.

When a product is indexed, the other words for what it says are added behind its description, so that keyword
and vector search both find it by them. Its concepts, with all broader ones, are stored beside: a search that
names a concept, or a kind of the same broader one, finds the product by them whatever the words are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from indexer.terminologies import load_concepts
from mappings.domains import Concept, load_domain, read_concepts
from mappings.types import Product
from reranker.text.word_tokens import CJK

_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")
_BREAK = re.compile(r"[,;.!?\n，；。、！？]")
"""What no phrase goes across."""

_MOST_ADDED = 64
"""Concepts whose other words are added to one product."""

_MOST_LEVELS = 8
"""Levels of broader concepts that are looked up: the ontology of phenotypes has up to 14, the uppermost of
which tell nothing apart.
"""

_INTRODUCTION = " · "
"""What stands between a description and the words that are added to it."""


@dataclass(frozen=True)
class Thesaurus:
    """The concepts of a domain. A phrase may name several."""

    concepts: Sequence[Concept] = ()
    _by_phrase: dict[tuple[str, ...], list[Concept]] = field(default_factory=dict, repr=False)
    _lengths: dict[str, list[int]] = field(default_factory=dict, repr=False)
    """By the first word of phrases: their numbers of words, the longest first."""
    _by_id: dict[str, Concept] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        lengths: dict[str, set[int]] = {}
        for concept in self.concepts:
            self._by_id.setdefault(concept.id, concept)
            for words in dict.fromkeys(map(_list_words, concept.words)):
                if words:
                    self._by_phrase.setdefault(words, []).append(concept)
                    lengths.setdefault(words[0], set()).add(len(words))
        self._lengths.update((word, sorted(each, reverse=True)) for word, each in lengths.items())

    def expand(self, product: Product) -> Product:
        """Return the product with the other words for what its title, category and description say, and with
        its concepts.
        """
        if not self.concepts:
            return product
        text = " \n ".join((product.title, product.category, product.description))
        present = text.casefold()
        named = list(dict.fromkeys(concept for phrase in self.find_phrases(text) for concept in phrase))
        added: dict[str, None] = {}
        for concept in named[:_MOST_ADDED]:
            added |= dict.fromkeys(word for word in concept.words if word.casefold() not in present)
        ids = dict.fromkeys(each for concept in named for each in self.list_broader(concept))
        if not added:
            return replace(product, concepts=tuple(ids)) if ids else product
        description = f"{product.description}{_INTRODUCTION}{', '.join(added)}"
        return replace(product, description=description, concepts=tuple(ids))

    def find_phrases(self, text: str) -> Iterator[tuple[Concept, ...]]:
        """Yield what each phrase of a text names; where a longer phrase stands, no shorter one."""
        for part in _BREAK.split(text):
            words, at = _list_words(part), 0
            while at < len(words):
                phrases = (words[at : at + length] for length in self._lengths.get(words[at], ()))
                phrase = next((each for each in phrases if each in self._by_phrase), ())
                if phrase:
                    yield tuple(self._by_phrase[phrase])
                at += max(len(phrase), 1)

    def list_broader(self, concept: Concept) -> Mapping[str, int]:
        """Return the ids of a concept and of the broader ones, each with how many levels it is above."""
        levels: dict[str, int] = {}
        level = [concept.id]
        for distance in range(_MOST_LEVELS + 1):
            new = [each for each in dict.fromkeys(level) if each not in levels]
            levels |= dict.fromkeys(new, distance)
            level = [name for each in new if each in self._by_id for name in self._by_id[each].broader]
        return levels


@cache
def load_thesaurus(domain: str) -> Thesaurus:
    """Return the thesaurus of a domain, empty where it has none. Raises SettingsError, CatalogueError."""
    chosen = load_domain(domain)
    concepts = list(read_concepts(chosen.thesaurus_file)) if chosen.thesaurus_file else []
    for name in chosen.thesaurus:
        concepts.extend(load_concepts(name))
    return Thesaurus(concepts)


def _list_words(text: str) -> tuple[str, ...]:
    """Return case-folded words without a plural's s; each Han character is one."""
    return tuple(
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in _WORD.findall(text.casefold())
    )
