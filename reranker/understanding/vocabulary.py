"""What a catalogue's own products teach about its words: a small artefact that is stored with the index."""

import base64
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from mappings.errors import ModelError
from reranker.understanding.measures import UNITS, Unit
from reranker.understanding.profiles import TypeProfiles
from reranker.understanding.spelling.spellings import Spellings
from reranker.understanding.words import compact_words, stem_words

_MODIFYING = 0.05
"""Share of a word's titles that have it before a type's name, above which it is part of such names."""

_MAX_BYTES = 20_000_000
"""Bytes of the largest vocabulary that is read."""


@dataclass(frozen=True)
class NumberAttribute:
    """An attribute with numbers whose unit the catalogue shows, and stems that stand beside them in texts."""

    count: int
    unit: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValueMeaning:
    """An attribute whose values have a word. `reliability`: of the products that have the attribute and whose
    titles have the word, the share whose attribute has it too. `coverage`: of all products whose titles have
    the word, that share. `count` products have the value.
    """

    attribute: str
    reliability: float
    coverage: float
    count: int


@dataclass(frozen=True)
class TypePhrase:
    """A phrase that names a type of product: its stems, and in how many titles of the sample it does so.

    `share`: of the titles with its first word, the share that have the phrase. Where most toner is `toner
    cartridge`, toner means that.
    """

    stems: tuple[str, ...]
    count: int
    share: float


@dataclass(frozen=True)
class CatalogueVocabulary:
    """What was learnt from a catalogue of `products` products.

    `numbers`, `flags` and `texts` are its attributes by name, `values` the meanings of a stem as an
    attribute's value, `kinds` the attributes of colours, materials and so on. `words` and `brands` give the
    number of products that have them, `nouns` are the stems that may name a product or stand before its name,
    `types` the phrases that name what products are, `profiles` the attributes that those have. `spellings` is
    what queries are corrected by.
    """

    products: int = 0
    numbers: dict[str, NumberAttribute] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    values: dict[str, tuple[ValueMeaning, ...]] = field(default_factory=dict)
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    brands: dict[str, int] = field(default_factory=dict)
    nouns: tuple[str, ...] = ()
    types: dict[str, TypePhrase] = field(default_factory=dict)
    profiles: TypeProfiles = field(default_factory=TypeProfiles)
    spellings: Spellings = field(default_factory=Spellings)

    def to_text(self) -> str:
        """Return the artefact: JSON, compressed, in base64."""
        return base64.b64encode(zlib.compress(msgspec.json.encode(self), 9)).decode("ascii")

    @cached_property
    def units(self) -> dict[str, list[tuple[str, Unit]]]:
        """By dimension, the attributes whose unit is known, with it."""
        by_name = {unit.name: unit for unit in UNITS}
        by_dimension: dict[str, list[tuple[str, Unit]]] = {}
        for name, attribute in self.numbers.items():
            if attribute.unit in by_name:
                unit = by_name[attribute.unit]
                by_dimension.setdefault(unit.dimension, []).append((name, unit))
        return by_dimension

    @cached_property
    def noun_stems(self) -> frozenset[str]:
        """The stems that may name a product."""
        return frozenset(self.nouns)

    @cached_property
    def type_heads(self) -> frozenset[str]:
        """The last stems of types' names."""
        return frozenset(phrase.stems[-1] for phrase in self.types.values())

    @cached_property
    def modifiers(self) -> frozenset[str]:
        """Words that stand before a type's name in titles, as part of it: the usb of `usb cable`."""
        types = {phrase.stems[0] for phrase in self.types.values()}
        before: Counter[str] = Counter()
        for pair, count in self.spellings.pairs.items():
            first, second = re.split("[ -]", pair)
            before[first] += count * (not types.isdisjoint(stem_words(second)))
        words = self.spellings.words
        return frozenset(word for word, count in before.items() if count > _MODIFYING * words.get(word, 0))

    @cached_property
    def surface(self) -> dict[str, str]:
        """The commonest word of each stem."""
        words: dict[str, str] = {}
        for word in self.words:
            for stem in stem_words(word)[:1]:
                words.setdefault(stem, word)
        return words

    @cached_property
    def flags_by_name(self) -> dict[str, list[str]]:
        """The attributes that are yes or no, by their names in one word: `wi fi` by wifi."""
        names: dict[str, list[str]] = {}
        for name in self.flags:
            for key in {compact_words(name), "".join(sorted(stem_words(name)))}:
                names.setdefault(key, []).append(name)
        return names

    @cached_property
    def attributes_by_stem(self) -> dict[str, list[tuple[str, frozenset[str]]]]:
        """The attributes that are yes or no, or may be none, by each stem of their names, with all stems."""
        attributes: dict[str, list[tuple[str, frozenset[str]]]] = {}
        for name in dict.fromkeys([*self.flags, *self.texts]):
            stems = frozenset(stem_words(name))
            for stem in stems:
                attributes.setdefault(stem, []).append((name, stems))
        return attributes


def read_vocabulary(artefact: str) -> CatalogueVocabulary:
    """Return the vocabulary in an artefact. Raises ModelError where it is not one."""
    try:
        unpacker = zlib.decompressobj()
        packed = unpacker.decompress(base64.b64decode(artefact, validate=True), _MAX_BYTES)
        return msgspec.json.decode(packed, type=CatalogueVocabulary)
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise ModelError(f"the catalogue's vocabulary can't be read ({error}): rebuild the index") from error
