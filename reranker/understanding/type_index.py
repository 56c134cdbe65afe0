"""A catalogue's types, ready to be compared with what a query's words name.

The encoder says how near two types are, so `laptop` is near `notebook`. A title says which types a product
is of. Where it names none that is known, or a rare one, the product's attributes say how like the type it is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from reranker.types import Floats, Ints
from reranker.understanding import facts
from reranker.understanding.facts import FactBatch, hash_stem
from reranker.understanding.profiles import TypeProfiles
from reranker.understanding.types import MAX_WORDS, find_finals, hash_nouns
from reranker.understanding.vocabulary import CatalogueVocabulary, TypePhrase
from reranker.understanding.words import join_words

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
_SYNONYM = 0.8
"""Cosine from which on two names without a common word mean one type: laptop and notebook 0.84, hard disk and
hard drive 0.93; tablet and smartphone 0.72.
"""
_UNKNOWN = 0.22
"""By how much a product without any known type counts as less near than the nearest type."""
_ALIKE, _QUITE_ANOTHER = 0.05, 0.45
"""The same where attributes are all that tells: at least, and of one quite unlike the type's products."""
_UNLIKE = 0.5
"""By how much the cosine of what is quite unlike is below those of the type's own products."""
_SURE = 30.0
"""Products of a type with which its name counts as much as attributes do."""
_TRAILING_PHRASES, _TRAILING_LIKENESS = 3, 0.835
"""In how many phrases, and at which mean cosine with and without it, a last word changes no meaning."""

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
    profiles: TypeProfiles = field(default_factory=TypeProfiles)

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

    def is_called_otherwise(self, near: Floats, stems: Sequence[str]) -> bool:
        """Return whether what a query's words name is mostly called by other words in the catalogue.

        `near` (T,) says how near each type is to the query's `stems`. A shop that sells notebooks may say
        `laptop` of nothing but bags and sleeves.
        """
        if not stems:
            return False
        own = sum(self.phrases[i].count for i in self._list_ending(stems[-1]))
        others = (self.phrases[i] for i in np.flatnonzero(near >= _SYNONYM).tolist())
        return any(each.count >= _COMMONER * own and not {*each.stems} & {*stems} for each in others)

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
        """Return by how much each product (n,) is less near than the nearest type: 0 to 1.

        Its title says it, and its attributes where the title names no type, or a rare one.
        """
        best = np.full(batch.count, -1.0, dtype=np.float32)
        sure = np.zeros(batch.count, dtype=np.float32)
        owners, kinds = self.find_types(batch)
        np.maximum.at(best, owners, near[kinds])
        nearest = near[kinds] >= best[owners]
        counts = self._counts
        np.maximum.at(sure, owners[nearest], (counts / (counts + _SURE))[kinds[nearest]])
        lacking = np.where(best < 0, np.float32(_UNKNOWN), float(near.max()) - best)
        if sought := self.profiles.find_sought(near, counts):
            positions, has_profile = self.profiles.place_products(batch)
            unlike = np.clip((sought.spread - positions @ sought.vector) / _UNLIKE, 0, 1)
            alike = max(_ALIKE, sought.lacking)
            likely = alike + (_QUITE_ANOTHER - alike) * unlike
            blended = np.where(best < 0, likely, sure * lacking + (1 - sure) * np.minimum(lacking, likely))
            lacking = np.where(has_profile, blended, lacking)
        return lacking.astype(np.float32)

    @cached_property
    def _counts(self) -> Floats:
        """How many titles of the sample name each type (T,)."""
        return np.array([phrase.count for phrase in self.phrases], dtype=np.float32)

    def find_types(self, batch: FactBatch) -> tuple[Ints, Ints]:
        """Return which types titles name: of which product (f,) each is, and which of the phrases (f,)."""
        if not self.phrases:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        finals, words, continues, owners = find_finals(batch, self.nouns)
        kind = np.full(len(finals), -1)
        rolling = np.zeros(len(finals), dtype=np.uint32)
        inside = np.ones(len(finals), dtype=bool)
        for length in range(MAX_WORDS):
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
    chosen = [place for place, stems in enumerate(known) if stems[-1] not in trailing]
    types = [phrase for stems, phrase in known.items() if stems[-1] not in trailing]
    index = index_phrases(types, [stem for stem in vocabulary.nouns if stem not in trailing])
    if not types:
        return index
    profiles = vocabulary.profiles.choose(chosen)
    return replace(index, vectors=np.stack([vectors[each.stems] for each in types]), profiles=profiles)


def index_phrases(types: Iterable[TypePhrase], nouns: Sequence[str]) -> TypeIndex:
    """Return types that can be found in titles, without vectors to compare them by."""
    phrases = tuple(types)
    hashes = np.array([_hash_phrase(phrase.stems) for phrase in phrases], dtype=np.uint32)
    order = np.argsort(hashes)
    return TypeIndex(
        phrases, np.zeros((len(phrases), 1), dtype=np.float32), hash_nouns(nouns), hashes[order], order
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
