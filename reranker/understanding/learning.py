"""Learn a catalogue's vocabulary in one pass over its products, in bounded memory.

Every product is counted; details are learnt from a sample of SAMPLE products' facts, drawn evenly from all
that came (reservoir sampling, Vitter 1985).
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from mappings.types import Product
from reranker.understanding import facts
from reranker.understanding.facts import FactBatch, hash_key, hash_stem, pack_facts, unpack_facts
from reranker.understanding.lexicon import NUMBERED, VALUE_KINDS, load_lexicon
from reranker.understanding.measures import UNITS, find_unit
from reranker.understanding.profiles import learn_profiles
from reranker.understanding.spelling.spellings import SpellingsLearner
from reranker.understanding.type_index import index_phrases
from reranker.understanding.types import choose_nouns, learn_types, puts_heads_first
from reranker.understanding.vocabulary import CatalogueVocabulary, NumberAttribute, ValueMeaning
from reranker.understanding.words import list_words, normalise_text, stem_words

_WORDS_NOT_UNITS = frozenset({"in", "min", "month", "months", "year", "years", "foot"})
SAMPLE = 10_000
"""Products whose facts are kept to learn from: about 6 MB."""

_NAMES, _WORDS, _BRANDS = 20_000, 60_000, 20_000
_STORED_WORDS, _STORED_NAMES, _STORED_BRANDS = 6_000, 1_500, 1_500
_FEWEST = 3
_UNIT_SHARE = 0.12
"""Share of an attribute's products whose text says its number with the unit, for the unit to be believed."""
_UNIT_CLEAR = 0.6
_RELIABLE = 0.5
_COVERAGE = 0.3
"""Share of the titles with a word whose products have it in some attribute too, for it to be a value."""
_NUMBER_MEANINGS = 40
_NAMED_SHARE, _UNNAMED_SHARE = 0.3, 0.7
"""Share of an attribute's values that are colours for it to be one of colours, by its name or without."""
_LARGEST_SIZE = 200
_VARIOUS = 6
"""Different colours that an attribute which is not called so must have."""


class VocabularyLearner:
    """Takes in products one by one; `learn` then returns the vocabulary."""

    def __init__(self, sample: int = SAMPLE, seed: int = 0) -> None:
        self._chooser = random.Random(seed)
        self._sample: list[bytes] = []
        self._size = sample
        self._products = 0
        self._words: Counter[str] = Counter()
        self._brands: Counter[str] = Counter()
        self._spellings = SpellingsLearner()
        self._names: dict[str, Counter[str]] = {"number": Counter(), "flag": Counter(), "text": Counter()}

    def add(self, product: Product, packed: bytes | None = None) -> None:
        """Take in a product; `packed` are its facts, where they are known already."""
        self._products += 1
        self._spellings.add(product)
        self._words.update({word.text for word in list_words(normalise_text(product.title, 400))})
        _trim(self._words, _WORDS)
        if product.brand:
            self._brands[normalise_text(product.brand, 60).casefold()] += 1
            _trim(self._brands, _BRANDS)
        for name, value in product.attributes.items():
            kind = (
                "flag" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "text"
            )
            self._names[kind][name] += 1
        for names in self._names.values():
            _trim(names, _NAMES)
        place = self._products - 1
        if place >= self._size:
            place = self._chooser.randrange(self._products)
        if place < self._size:
            blob = pack_facts(product) if packed is None else packed
            self._sample[place : place + 1] = [blob]

    def learn(self) -> CatalogueVocabulary:
        """Return the vocabulary of what was taken in."""
        batch = unpack_facts(self._sample)
        stems = {hash_stem(stem): stem for word in self._words for stem in stem_words(word)[:1]}
        names = {kind: _common(counts, _STORED_NAMES) for kind, counts in self._names.items()}
        values = _learn_values(batch, names["text"], stems)
        nouns = choose_nouns(self._words, self._brands, values)
        types = {} if puts_heads_first(self._words) else learn_types(batch, nouns)
        return CatalogueVocabulary(
            products=self._products,
            numbers=_learn_numbers(batch, {**names["text"], **names["number"]}, stems),
            flags=names["flag"],
            texts=names["text"],
            values=values,
            kinds=_learn_kinds(batch, names["text"])
            | _learn_numbered(batch, {**names["text"], **names["number"]}),
            words=_common(self._words, _STORED_WORDS),
            brands=_common(self._brands, _STORED_BRANDS),
            nouns=tuple(nouns),
            types=types,
            profiles=learn_profiles(
                batch, *index_phrases(types.values(), nouns).find_types(batch), len(types)
            ),
            spellings=self._spellings.learn(),
        )


def learn_vocabulary(products: Iterable[Product]) -> CatalogueVocabulary:
    """Return the vocabulary of a catalogue. Products are read once and not kept."""
    learner = VocabularyLearner()
    for product in products:
        learner.add(product)
    return learner.learn()


def _trim(counts: Counter[str], most: int) -> None:
    """Drop the rarest half of a counter that has grown beyond twice its bound."""
    if len(counts) > 2 * most:
        for key, _ in counts.most_common()[most:]:
            del counts[key]


def _common(counts: Counter[str], most: int) -> dict[str, int]:
    return {key: count for key, count in counts.most_common(most) if count >= _FEWEST}


def _learn_numbers(
    batch: FactBatch, names: Mapping[str, int], stems: Mapping[int, str]
) -> dict[str, NumberAttribute]:
    """Learn each attribute's unit: the one that stands behind its number in products' own texts."""
    votes: defaultdict[int, Counter[int]] = defaultdict(Counter)
    beside: defaultdict[int, Counter[int]] = defaultdict(Counter)
    present: Counter[int] = Counter()
    background: Counter[int] = Counter()
    for start, end in _bounds(batch):
        kinds, keys, numbers = batch.kinds[start:end], batch.keys[start:end], batch.numbers[start:end]
        own = np.flatnonzero(kinds == facts.NUMBER)
        said = np.flatnonzero(kinds == facts.MEASURE)
        present.update(set(keys[own].tolist()))
        if not len(own) or not len(said):
            continue
        factors = np.array([UNITS[unit].factor for unit in keys[said]])
        raw = numbers[said] / factors
        near = np.flatnonzero(kinds == facts.BESIDE)
        background.update(set(keys[near].tolist()))
        for at in own:
            value = float(numbers[at])
            hits = np.flatnonzero(np.abs(raw - value) <= 1e-3 * abs(value) + 1e-9)
            for unit in set(keys[said[hits]].tolist()):
                votes[int(keys[at])][unit] += 1
            for hit in hits[:1]:
                same = near[np.abs(numbers[near] - numbers[said[hit]]) <= 1e-3 * abs(numbers[said[hit]])]
                beside[int(keys[at])].update(set(keys[same].tolist()))
    known = {hash_key(stem): stem for stem in stems.values()}
    learnt = {}
    for name, count in sorted(names.items(), key=lambda item: -item[1])[:_STORED_NAMES]:
        key = hash_key(name)
        unit = _choose_unit(votes[key], present[key]) or _unit_of_name(name)
        if present[key] and unit:
            learnt[name] = NumberAttribute(count, unit, _choose_beside(beside[key], background, known))
    return learnt


def _choose_unit(votes: Counter[int], present: int) -> str:
    if not votes:
        return ""
    (unit, most), total = votes.most_common(1)[0], sum(votes.values())
    believed = most >= _FEWEST and most >= _UNIT_SHARE * present and most >= _UNIT_CLEAR * total
    return UNITS[unit].name if believed else ""


def _unit_of_name(name: str) -> str:
    """Return the unit that a name ends in, such as `length cm`; a name of one word is no unit."""
    words = list_words(name)
    last = words[-1].text if len(words) > 1 else ""
    unit = find_unit(last) if len(last) > 1 and last not in _WORDS_NOT_UNITS else None
    return unit.name if unit and unit.dimension not in ("count", "ports", "cores", "buttons") else ""


def _choose_beside(
    counts: Counter[int], background: Counter[int], known: Mapping[int, str]
) -> tuple[str, ...]:
    total = max(counts.values(), default=0)
    often = [
        key
        for key, count in counts.most_common(40)
        if key in known and count >= max(_FEWEST, 0.03 * total) and count >= 0.3 * background[key]
    ]
    return tuple(known[key] for key in often[:12])


def _learn_values(
    batch: FactBatch, names: Mapping[str, int], stems: Mapping[int, str]
) -> dict[str, tuple[ValueMeaning, ...]]:
    """Learn which attributes a word is a value of, and how reliably a title with it has it there too."""
    by_key = {hash_key(name): name for name in names}
    has: Counter[tuple[int, int]] = Counter()
    both: Counter[tuple[int, int]] = Counter()
    rows = []
    for start, end in _bounds(batch):
        kinds, keys, values = batch.kinds[start:end], batch.keys[start:end], batch.values[start:end]
        title = set(values[kinds == facts.TITLE].tolist())
        text = kinds == facts.TEXT
        pairs = set(zip(keys[text].tolist(), values[text].tolist(), strict=True))
        has.update(pairs)
        both.update(pair for pair in pairs if pair[1] in title)
        rows.append((title, set(keys[text].tolist())))
    wanted: defaultdict[int, list[int]] = defaultdict(list)
    for (key, word), count in both.items():
        if count >= _FEWEST and key in by_key and word in stems:
            wanted[word].append(key)
    could: Counter[tuple[int, int]] = Counter()
    for title, keys_present in rows:
        for word in title & wanted.keys():
            could.update((key, word) for key in wanted[word] if key in keys_present)
    titled = Counter(word for title, _ in rows for word in title & wanted.keys())
    learnt = {}
    for word, keys_of in wanted.items():
        meanings = [
            ValueMeaning(
                by_key[key],
                round(both[key, word] / could[key, word], 3),
                round(both[key, word] / titled[word], 3),
                has[key, word],
            )
            for key in keys_of
            if both[key, word] >= _RELIABLE * could[key, word] or _is_short_number(stems[word])
        ]
        meanings.sort(key=lambda meaning: -meaning.count)
        is_number = stems[word].isdecimal()
        covered = sum(both[key, word] for key in keys_of) >= _COVERAGE * titled[word]
        if meanings and (covered or is_number):
            learnt[stems[word]] = tuple(meanings[: _NUMBER_MEANINGS if is_number else 8])
    return learnt


def _is_short_number(stem: str) -> bool:
    """Return whether a word is a number that only counts within a name: the 2 of Core 2 Duo."""
    return stem.isdecimal() and len(stem) < 3


def _learn_kinds(batch: FactBatch, names: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Learn which attributes hold colours, materials and other values that any catalogue may have."""
    lexicon = load_lexicon()
    text = batch.kinds == facts.TEXT
    present = _count_products(batch, text)
    kinds: dict[str, tuple[str, ...]] = {}
    for kind in VALUE_KINDS:
        hashes = [
            hash_stem(stem) for (own, _), stems in lexicon.synonyms.items() if own == kind for stem in stems
        ]
        among = text & np.isin(batch.values, np.array(hashes, dtype=np.uint32))
        having = _count_products(batch, among)
        chosen = []
        for name, count in names.items():
            key = hash_key(name)
            is_named = bool(lexicon.attributes[kind] & {word.stem for word in list_words(name)})
            share = having[key] / present[key] if present[key] else 0.0
            various = (
                len(np.unique(batch.values[among & (batch.keys == key)])) if share >= _UNNAMED_SHARE else 0
            )
            is_shared = kind == "age" and name in kinds["gender"]  # of women, men and kids
            is_clear = share >= _NAMED_SHARE if is_named else various >= _VARIOUS
            if having[key] >= _FEWEST and (is_shared or is_clear):
                chosen.append((count, name))
        kinds[kind] = tuple(name for _, name in sorted(chosen, reverse=True)[:12])
    return kinds


def _learn_numbered(batch: FactBatch, names: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Learn which attributes hold sizes and ages as numbers, by their names."""
    lexicon = load_lexicon()
    numbers = set(batch.keys[batch.kinds == facts.NUMBER].tolist())
    digits = np.array(sorted(hash_stem(str(number)) for number in range(_LARGEST_SIZE)), dtype=np.uint32)
    numbers |= set(batch.keys[(batch.kinds == facts.TEXT) & np.isin(batch.values, digits)].tolist())
    kinds = {}
    for kind in ("size", "age"):
        chosen = [
            (count, name)
            for name, count in names.items()
            if hash_key(name) in numbers and not lexicon.attributes[kind].isdisjoint(stem_words(name))
        ]
        kinds[NUMBERED + kind] = tuple(name for _, name in sorted(chosen, reverse=True)[:12])
    return kinds


def _count_products(batch: FactBatch, records: NDArray[np.bool_]) -> Counter[int]:
    """Return how many products each key has, of the records (r,) that are chosen."""
    pairs = np.stack([batch.owners[records], batch.keys[records].astype(np.int64)])
    return Counter(np.unique(pairs, axis=1)[1].tolist())


def _bounds(batch: FactBatch) -> Iterable[tuple[int, int]]:
    """Yield where each product's records start and end."""
    ends = np.searchsorted(batch.owners, np.arange(batch.count), side="right").tolist()
    return zip([0, *ends][:-1], ends, strict=True)
