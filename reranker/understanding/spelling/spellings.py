"""What a catalogue's products teach about spelling: its words, pairs of words, and which words it knows."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mappings.types import Product
from reranker.text.product_text import format_attribute_values, list_other_spellings
from reranker.text.word_tokens import CJK, is_cjk, stem_word
from reranker.understanding.words import Word, list_words, normalise_text

_LETTERS = re.compile(rf"[^\W\d_{CJK}]{{2,40}}")
_WORDS, _PAIRS = 20_000, 5_000
_COUNTED = 40_000
"""Words and pairs that are counted while learning, before the rarest are dropped: twice as many at most."""
_KNOWN = 200_000
"""Different words that are remembered: about 15 MB while learning, 500 kB in the artefact."""
_SHORT_VALUE = 30
"""Characters of the longest value of an attribute that a query's word may be corrected to."""
_TEXT = 20_000
"""Characters of a text that are read for words."""
_BITS_PER_WORD, _HASHES = 20, 14
"""A word that the catalogue does not have then counts as known in 0.01 % of cases (Bloom 1970)."""


@dataclass(frozen=True)
class Spellings:
    """What a catalogue of `products` products teaches about spelling.

    `words` gives the number of products that have a word in their title, brand or category, or in a short
    value of an attribute where no title has it: what a query's word may be corrected to. A brand that is
    known by two names has both. `pairs` gives the number of titles in which two words stand together, joined
    by a space or a hyphen: the commonest, and those that titles also have as one word. Both begin with the
    commonest. `known` is a Bloom filter of all words of products' texts and of their stems, in base64. Words
    are of letters alone, case-folded; Chinese, Japanese and Korean ones are left out.
    """

    products: int = 0
    words: dict[str, int] = field(default_factory=dict)
    pairs: dict[str, int] = field(default_factory=dict)
    known: str = ""

    def knows(self, word: str) -> bool:
        """Return whether some text of the catalogue has a case-folded word, or another form of it."""
        return self._is_among(word) or self._is_among(stem_word(word))

    def count_apart(self, first: str, second: str) -> int:
        """Return how many titles have two words side by side."""
        return sum(self.pairs.get(f"{first}{gap}{second}", 0) for gap in " -")

    def _is_among(self, word: str) -> bool:
        return bool(self._filter[_places([word], len(self._filter))].all())

    @cached_property
    def _filter(self) -> NDArray[np.bool_]:
        bits = np.unpackbits(np.frombuffer(base64.b64decode(self.known), dtype=np.uint8))
        return bits.astype(bool) if len(bits) else np.zeros(8, dtype=bool)


class SpellingsLearner:
    """Takes in products one by one, in bounded memory; `learn` then returns their spellings."""

    def __init__(self) -> None:
        self._products = 0
        self._words: Counter[str] = Counter()
        self._values: Counter[str] = Counter()
        self._pairs: Counter[str] = Counter()
        self._known: set[str] = set()

    def add(self, product: Product) -> None:
        """Take in a product."""
        self._products += 1
        title = normalise_text(product.title, 400)
        words = list_words(title)
        brands = (product.brand, *list_other_spellings(product))
        parts = (title, *brands, re.split(r"[>|/]", product.category[-120:])[-1])
        self._words.update({word for part in parts for word in find_letter_words(part)})
        said = (value for value in product.attributes.values() if not isinstance(value, bool))
        values = [text for value in said for text in format_attribute_values(value)]
        short = [text for text in values if len(text) <= _SHORT_VALUE]
        self._values.update({word for text in short for word in find_letter_words(text)})
        self._pairs.update({pair for pair, _, _ in find_pairs(title, words)})
        for counts in (self._words, self._values, self._pairs):
            _trim(counts)
        if len(self._known) < _KNOWN:
            texts = (title, *brands, product.category, product.description, *product.attributes)
            for text in (*texts, *values):
                self._known.update(find_letter_words(text))

    def learn(self) -> Spellings:
        """Return the spellings of what was taken in."""
        values = Counter({word: self._values[word] for word in self._values.keys() - self._words.keys()})
        words = dict((self._words + values).most_common(_WORDS))
        pairs = {
            pair: count
            for rank, (pair, count) in enumerate(self._pairs.most_common())
            if rank < _PAIRS or pair.replace(" ", "").replace("-", "") in words
        }
        return Spellings(self._products, words, pairs, _make_filter(self._known))


def find_letter_words(text: str) -> list[str]:
    """Return the runs of letters of a text, case-folded: those of 2 to 40 letters, none of them Chinese."""
    return _LETTERS.findall(text[:_TEXT].casefold())


def find_pairs(text: str, words: list[Word]) -> Iterator[tuple[str, Word, Word]]:
    """Yield neighbouring words of letters with what joins them: a space or a hyphen."""
    for before, after in pairwise(words):
        gap = text[before.end : after.start]
        if gap in (" ", "-") and _is_of_letters(before.text) and _is_of_letters(after.text):
            yield f"{before.text}{gap}{after.text}", before, after


def _is_of_letters(word: str) -> bool:
    return word.isalpha() and not is_cjk(word[0])


def _trim(counts: Counter[str]) -> None:
    if len(counts) > 2 * _COUNTED:
        for key, _ in counts.most_common()[_COUNTED:]:
            del counts[key]


def _make_filter(known: set[str]) -> str:
    words = known | set(map(stem_word, known))
    bits = np.zeros(-(-max(len(words), 8) * _BITS_PER_WORD // 8) * 8, dtype=bool)
    bits[_places(words, len(bits))] = True
    return base64.b64encode(np.packbits(bits).tobytes()).decode("ascii")


def _places(words: Collection[str], size: int) -> NDArray[np.uint64]:
    """Return the bits of each word (n, hashes), by double hashing (Kirsch and Mitzenmacher 2006)."""
    encoded = (word.encode("utf-8", "surrogatepass") for word in words)
    digests = b"".join(hashlib.blake2b(word, digest_size=8).digest() for word in encoded)
    first, second = np.frombuffer(digests, dtype="<u4").astype(np.uint64).reshape(-1, 2).T
    steps = np.arange(_HASHES, dtype=np.uint64)
    return (first[:, None] + steps * (second[:, None] | np.uint64(1))) % np.uint64(size)
