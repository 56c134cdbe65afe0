"""What products are, mined from their titles: `notebook case` is a case, `notebook` a notebook.

A title is cut into runs of nouns: words that are neither a value (black, wireless), nor a number, a brand or
a preposition. What a run ends in names the product, and what stands before it in the run says of which kind.
Phrases that end runs of products of several brands are the catalogue's types; the encoder says how near two
of them are, so `laptop` is near `notebook`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from reranker.types import Floats, Ints
from reranker.understanding import facts
from reranker.understanding.facts import FactBatch, hash_stem
from reranker.understanding.lexicon import load_lexicon
from reranker.understanding.vocabulary import CatalogueVocabulary, TypePhrase, ValueMeaning
from reranker.understanding.words import join_words, stem_words

_PHRASE = 3
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
_DOMINANT = 0.4
"""Share of a word's titles that have it in one phrase, from which on the word alone means that phrase."""
_OF_KIND = 0.25
"""By how much a type is less like one that it only belongs to: a mouse pad is no mouse."""
_SAME, _SAME_WIDTH = 0.87, 0.03
"""From which cosine on it is one after all, as a notebook PC is a notebook; how far below it surely is not.

With the shipped model: notebook PC 0.86, tablet PC 0.87, LCD monitor 0.90, sofa bed 0.89; mouse pad 0.84,
notebook case 0.81, coffee maker 0.84, shoe laces 0.84, projector lamp 0.81.
"""
NEAR_ENOUGH = 0.7
"""Cosine from which on a type of the catalogue may be what a query's words name."""

_COMMONER, _NAMED = 2, 0.1
"""How many times as common as the types with a query's own words another is that is meant as well, and by how
much it is less near at least.
"""
_UNKNOWN = 0.22
"""By how much a product without any known type counts as less near than the nearest type."""

_TRAILING_PHRASES, _TRAILING_LIKENESS = 3, 0.835
"""In how many phrases, and at which mean cosine with and without it, a last word changes no meaning."""


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
    for distance in range(1, _PHRASE + 1):
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
    group = batch.kinds == facts.GROUP
    brands[batch.owners[group]] = batch.values[group]
    finals, words, continues, owners = find_finals(batch, hash_nouns(nouns))
    counts: Counter[tuple[int, ...]] = Counter()
    of_brands: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
    anywhere: Counter[tuple[int, ...]] = Counter()
    ends = set(finals.tolist())
    for end in range(len(words)):
        for length in range(1, _PHRASE + 1):
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


Encode = Callable[[str], Floats]
"""A text → its unit vector (d,)."""


@dataclass(frozen=True)
class TypeIndex:
    """A catalogue's types with their vectors, ready to be compared."""

    phrases: tuple[TypePhrase, ...]
    vectors: Floats  # (T, d)
    nouns: facts.Hashes
    hashes: facts.Hashes  # (T,) ascending
    order: Ints  # (T,) which type each of `hashes` is

    def nearness(self, vector: Floats, stems: Sequence[str]) -> Floats:
        """Return how near each type (T,) is to what a query's words name, given by vector (d,) and stems."""
        near: Floats = (self.vectors @ vector).astype(np.float32)
        head = stems[-1] if stems else ""
        named = []
        for i in self._by_stem.get(head, ()):
            phrase = self.phrases[i]
            if head in phrase.stems[:-1] and head != phrase.stems[-1]:
                means_it = phrase.stems[0] == head and phrase.share >= _DOMINANT
                another = np.clip((_SAME - near[i]) / _SAME_WIDTH, 0, 1)
                near[i] = max(near[i], 0.95) if means_it else near[i] - _OF_KIND * another
            elif phrase.stems[-len(stems) :] == tuple(stems):
                named.append(i)
        if named:
            self._rank_named(near, stems, named)
        return near

    def _rank_named(self, near: Floats, stems: Sequence[str], named: Sequence[int]) -> None:
        """Put the types with the query's own words first: clearly, unless near ones are commoner.

        Where few products are called laptop bags and many notebook cases, these are meant as well; laptops
        are not. A toner cartridge is no ink cartridge: what has the same last word differs by the others.
        """
        own = sum(self.phrases[i].count for i in self._list_ending(stems[-1]))
        others = [
            float(near[i])
            for i in np.flatnonzero(near >= NEAR_ENOUGH).tolist()
            if self.phrases[i].count >= _COMMONER * own and self.phrases[i].stems[-1] not in stems
        ]
        if others:
            for stem in {*stems[:-1]} - {stems[-1]}:
                near[self._list_ending(stem)] -= _OF_KIND
        near[named] = np.maximum(near[named], min(1.0, max(others, default=1.0) + _NAMED))

    def _list_ending(self, stem: str) -> list[int]:
        """Return the types whose name ends in a stem."""
        return [i for i in self._by_stem.get(stem, ()) if self.phrases[i].stems[-1] == stem]

    @cached_property
    def _by_stem(self) -> dict[str, list[int]]:
        """The types in whose phrases each stem is."""
        places: dict[str, list[int]] = {}
        for i, phrase in enumerate(self.phrases):
            for stem in set(phrase.stems):
                places.setdefault(stem, []).append(i)
        return places

    def compare(self, near: Floats, batch: FactBatch) -> Floats:
        """Return by how much each product (n,) is less near than the nearest type: 0 to 1."""
        best = np.full(batch.count, -1.0, dtype=np.float32)
        owners, kinds = self.find_types(batch)
        np.maximum.at(best, owners, near[kinds])
        lacking = float(near.max()) - best
        return np.where(best < 0, np.float32(_UNKNOWN), lacking).astype(np.float32)

    def find_types(self, batch: FactBatch) -> tuple[Ints, Ints]:
        """Return which types titles name: of which product (f,) each is, and which of the phrases (f,)."""
        if not self.phrases:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        finals, words, continues, owners = find_finals(batch, self.nouns)
        kind = np.full(len(finals), -1)
        rolling = np.zeros(len(finals), dtype=np.uint32)
        inside = np.ones(len(finals), dtype=bool)
        for length in range(_PHRASE):
            at = finals - length
            inside &= at >= 0
            if length:
                inside &= continues[np.minimum(at + 1, len(words) - 1)]
            rolling = np.where(inside, _roll(rolling, words[np.maximum(at, 0)]), rolling)
            place = np.minimum(np.searchsorted(self.hashes, rolling), len(self.hashes) - 1)
            known = inside & (self.hashes[place] == rolling)
            kind = np.where(known, self.order[place], kind)
        known = kind >= 0
        return owners[finals[known]], kind[known]


def build_type_index(vocabulary: CatalogueVocabulary, encode: Encode) -> TypeIndex:
    """Return the types of a catalogue with their vectors; `encode` is called once a type."""
    known = {phrase.stems: phrase for phrase in vocabulary.types.values()}
    surface = vocabulary.surface
    vectors = {stems: encode(join_words(surface.get(stem, stem) for stem in stems)) for stems in known}
    trailing = _find_trailing(vectors)
    phrases = tuple(phrase for stems, phrase in known.items() if stems[-1] not in trailing)
    hashes = np.array([_hash_phrase(phrase.stems) for phrase in phrases], dtype=np.uint32)
    order = np.argsort(hashes)
    return TypeIndex(
        phrases,
        np.stack([vectors[p.stems] for p in phrases]) if phrases else np.zeros((0, 1), dtype=np.float32),
        hash_nouns([stem for stem in vocabulary.nouns if stem not in trailing]),
        hashes[order],
        order,
    )


def _find_trailing(vectors: Mapping[tuple[str, ...], Floats]) -> set[str]:
    """Return the words that change no meaning at a phrase's end: `toner cartridge original` is one, too."""
    likeness: defaultdict[str, list[float]] = defaultdict(list)
    for stems, vector in vectors.items():
        if stems[:-1] in vectors:
            likeness[stems[-1]].append(float(vector @ vectors[stems[:-1]]))
    return {
        stem
        for stem, cosines in likeness.items()
        if len(cosines) >= _TRAILING_PHRASES and float(np.mean(cosines)) >= _TRAILING_LIKENESS
    }


def _hash_phrase(stems: Sequence[str]) -> int:
    rolling = np.zeros(1, dtype=np.uint32)
    for stem in reversed(stems):
        rolling = _roll(rolling, np.array([hash_stem(stem)], dtype=np.uint32))
    return int(rolling[0])


def _roll(rolling: facts.Hashes, words: facts.Hashes) -> facts.Hashes:
    """Return the hash of a phrase that is one word longer at its front."""
    return (rolling * np.uint32(2_654_435_761) + words).astype(np.uint32)
