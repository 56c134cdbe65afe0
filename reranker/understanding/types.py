"""What products are, mined from their titles: `notebook case` is a case, `notebook` a notebook.

A title is cut into runs of nouns: words that are neither a value (black, wireless), nor a number, a brand or
a preposition. What a run ends in names the product, and what stands before it in the run says of which kind.
Phrases that end runs of products of several brands are the catalogue's types; the encoder says how near two
of them are, so `laptop` is near `notebook`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reranker.types import Ints
from reranker.understanding import facts
from reranker.understanding.facts import FactBatch, hash_stem
from reranker.understanding.lexicon import load_lexicon
from reranker.understanding.vocabulary import TypePhrase, ValueMeaning
from reranker.understanding.words import stem_words

MAX_WORDS = 3
"""Words of the longest phrase that names a type."""
_FEWEST, _BRANDS = 4, 2
_FEWEST_OF_KIND = 12
"""Titles in which a phrase of only one brand must name products, where its end names a type by itself."""
_MOST_TYPES = 1000
_NOUNS = 6000
_VALUE_COVERAGE = 0.25
"""Share of a word's titles whose products have it as an attribute's value: from there on it names none."""
_TYPE_COVERAGE = 0.3
"""Share of a word's titles whose products have it as their type: from there on it does name a product."""


def choose_nouns(
    words: Counter[str], brands: Mapping[str, int], values: Mapping[str, Sequence[ValueMeaning]]
) -> list[str]:
    """Return the stems that may name a product, or stand before its name."""
    lexicon = load_lexicon()
    stops = (
        lexicon.stops
        | lexicon.attributes["colour"]
        | {stem for brand in brands for stem in _only(stem_words(brand))}
    )
    nouns: dict[str, int] = {}
    for word, count in words.most_common(2 * _NOUNS):
        for stem in _only(stem_words(word)):
            meanings = values.get(stem, ())
            as_type = max((m.coverage for m in meanings if names_type(m.attribute)), default=0.0)
            as_value = max((m.coverage for m in meanings if not names_type(m.attribute)), default=0.0)
            of_material = lexicon.values.get(stem, ("",))[0] == "material"
            is_value = as_value >= _VALUE_COVERAGE and as_type < _TYPE_COVERAGE and not of_material
            of_kind = lexicon.values.get(stem, ("",))[0] in ("colour", "gender", "size")
            of_kind = of_kind and stem not in lexicon.colours_of_things
            if stem.isalpha() and len(stem) > 1 and not (stem in stops or of_kind or is_value):
                nouns[stem] = nouns.get(stem, 0) + count
    return [stem for stem, count in nouns.items() if count >= _FEWEST][:_NOUNS]


_HEADS_FIRST = frozenset("de del para con la el y du des pour avec et di da do dos per com e".split())  # noqa: SIM905
_HEADS_LAST = frozenset("for with and of the in on für mit und aus".split())  # noqa: SIM905


def puts_heads_first(words: Mapping[str, int]) -> bool:
    """Return whether a catalogue's language has the name of a thing first, as Spanish and French do.

    Told by the small words of titles. `words` are the numbers of titles that have each word.
    """
    first, last = (sum(words.get(word, 0) for word in small) for small in (_HEADS_FIRST, _HEADS_LAST))
    return first > last


def names_type(attribute: str) -> bool:
    """Return whether an attribute's name promises what products are, not how they are."""
    return not _TYPE_NAMES.isdisjoint(stem_words(attribute))


_TYPE_NAMES = frozenset(
    stem
    for word in (
        "type",
        "category",
        "kind",
        "name",
        "model",
        "purpose",
        "suitable",
        "typ",
        "kategorie",
        "类型",
        "类别",
    )
    for stem in stem_words(word)
)


_WITH = frozenset(stem for word in load_lexicon().words["with"] for stem in stem_words(word))


def _only(stems: Sequence[str]) -> Sequence[str]:
    return stems if len(stems) == 1 else ()


def find_finals(batch: FactBatch, nouns: facts.Hashes) -> tuple[Ints, facts.Hashes, NDArray[np.bool_], Ints]:
    """Find where runs of nouns end in titles.

    Returns the places of the ends, and of all words of titles: their hashes, whether they continue the run of
    the word before, and whose title they are of.
    """
    title = np.flatnonzero(batch.kinds == facts.TITLE)
    words, owners, keys = batch.values[title], batch.owners[title], batch.keys[title]
    broken, after_for = (keys & facts.AFTER_BREAK) > 0, (keys & facts.AFTER_FOR) > 0
    is_noun = _is_among(words, nouns) & ~after_for & ((keys & (facts.OF_BRAND | facts.OF_MEASURE)) == 0)
    continues = np.zeros(len(title), dtype=bool)
    continues[1:] = is_noun[1:] & is_noun[:-1] & (owners[1:] == owners[:-1]) & ~broken[1:]
    goes_on = np.zeros(len(title), dtype=bool)
    goes_on[:-1] = continues[1:]
    return np.flatnonzero(is_noun & ~goes_on), words, continues, owners


def _is_among(words: facts.Hashes, ordered: facts.Hashes) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(words), dtype=bool)
    place = np.minimum(np.searchsorted(ordered, words), len(ordered) - 1)
    return np.asarray(ordered[place] == words)


def find_accessories(batch: FactBatch, accessories: frozenset[str]) -> NDArray[np.bool_]:
    """Return which products (n,) have a title that names an accessory, and not as what comes with a thing."""
    title = np.flatnonzero(batch.kinds == facts.TITLE)
    words, owners = batch.values[title], batch.owners[title]
    names = _is_among(words, _hash_set(accessories))
    comes_with = np.zeros(len(title), dtype=bool)
    follows = _is_among(words, _hash_set(_WITH))
    for distance in range(1, MAX_WORDS + 1):
        comes_with[distance:] |= follows[:-distance] & (owners[:-distance] == owners[distance:])
    belongs = np.zeros(batch.count, dtype=bool)
    belongs[owners[names & ~comes_with]] = True
    return belongs


@lru_cache(maxsize=64)
def _hash_set(stems: frozenset[str]) -> facts.Hashes:
    return hash_nouns(tuple(stems))


def hash_nouns(nouns: Sequence[str]) -> facts.Hashes:
    """Return the hashes of stems in ascending order."""
    return np.sort(np.array([hash_stem(stem) for stem in nouns], dtype=np.uint32))


def learn_types(batch: FactBatch, nouns: Sequence[str]) -> dict[str, TypePhrase]:
    """Return the phrases that name products of several brands, by their stems in one text."""
    stems = {hash_stem(stem): stem for stem in nouns}
    brands = np.zeros(batch.count, dtype=np.uint32)
    group = (batch.kinds == facts.GROUP) & (batch.keys == facts.BRAND)
    brands[batch.owners[group]] = batch.values[group]
    finals, words, continues, owners = find_finals(batch, hash_nouns(nouns))
    counts: Counter[tuple[int, ...]] = Counter()
    of_brands: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
    anywhere: Counter[tuple[int, ...]] = Counter()
    ends = set(finals.tolist())
    for end in range(len(words)):
        for length in range(1, MAX_WORDS + 1):
            start = end - length + 1
            if start < 0 or (length > 1 and not continues[start + 1]):
                break
            phrase = tuple(words[start : end + 1].tolist())
            anywhere[phrase] += 1
            if end in ends:
                counts[phrase] += 1
                of_brands[phrase].add(int(brands[owners[end]]))
    types: dict[str, TypePhrase] = {}
    for phrase, count in counts.most_common():
        if count < _FEWEST or len(types) == _MOST_TYPES:
            break
        names = tuple(stems[word] for word in phrase)
        is_kind = " ".join(names[1:]) in types  # of a type: one brand's notebook PCs are PCs
        if len(of_brands[phrase]) >= _BRANDS or (is_kind and count >= _FEWEST_OF_KIND):
            share = round(anywhere[phrase] / anywhere[phrase[:1]], 3)
            types[" ".join(names)] = TypePhrase(names, count, share)
    return types
