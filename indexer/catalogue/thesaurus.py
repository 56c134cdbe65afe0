"""Words that mean the same: a product that is described by some of them is found by the others too.

They are added when a product is indexed, behind its description, so that searches need nothing of it: keyword
and vector search both read them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from indexer.terminologies import load_synonyms
from mappings.domains import load_domain, read_word_lines
from mappings.types import Product
from reranker.text.word_tokens import CJK

_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")
_MOST_ADDED = 24
"""Groups of words that are added to one product."""

_INTRODUCTION = " · "
"""What stands between a description and the words that are added to it."""


@dataclass(frozen=True)
class Thesaurus:
    """Groups of words that mean the same. Each is a list of phrases."""

    groups: Sequence[tuple[str, ...]] = ()
    _by_first: dict[str, list[tuple[tuple[str, ...], int]]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for number, group in enumerate(self.groups):
            for phrase in group:
                words = _list_words(phrase)
                if words:
                    self._by_first.setdefault(words[0], []).append((words, number))

    def expand(self, product: Product) -> Product:
        """Return the product with the other words for what its title, category and description say."""
        if not self.groups:
            return product
        text = " \n ".join((product.title, product.category, product.description))
        present = text.casefold()
        added: dict[str, None] = {}
        for number in list(dict.fromkeys(self._find(_list_words(text))))[:_MOST_ADDED]:
            added |= dict.fromkeys(each for each in self.groups[number] if each.casefold() not in present)
        if not added:
            return product
        return replace(product, description=f"{product.description}{_INTRODUCTION}{', '.join(added)}")

    def _find(self, words: Sequence[str]) -> Iterable[int]:
        """Yield the groups that the words have a phrase of; where a longer phrase stands, no shorter one."""
        at = 0
        while at < len(words):
            longest = 0
            for phrase, number in self._by_first.get(words[at], ()):
                if len(phrase) >= longest and tuple(words[at : at + len(phrase)]) == phrase:
                    longest = len(phrase)
                    yield number
            at += max(longest, 1)


@cache
def load_thesaurus(domain: str) -> Thesaurus:
    """Return the thesaurus of a domain, empty where it has none. Raises SettingsError."""
    chosen = load_domain(domain)
    groups = [
        tuple(phrase for part in line.split("|") if (phrase := part.strip()))
        for line in (read_word_lines(chosen.thesaurus_file) if chosen.thesaurus_file else ())
    ]
    for name in chosen.thesaurus:
        groups.extend(load_synonyms(name))
    return Thesaurus(groups)


def _list_words(text: str) -> tuple[str, ...]:
    """Return case-folded words without a plural's s; each Han character is one."""
    return tuple(
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in _WORD.findall(text.casefold())
    )
