"""Queries of every kind that a catalogue can be probed with, and what answers each.

known item   words of one product: it alone answers
category     what products are: `notebook case`
type         the same, mined from titles where there are no categories
measure, colour, material, gender, age, size, value, price, feature
             a type and one demand: `27 inch monitor`, `white keyboard`, `mouse under 20`
model        a model number
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mappings.types import Product
from reranker.probes.known_items import make_queries
from reranker.probes.truth import (
    Truth,
    costs_at_most,
    has_all,
    has_feature,
    has_model_number,
    has_number,
    has_value,
    is_of_category,
    is_of_type,
    is_product,
)
from reranker.text.product_text import format_attribute_values
from reranker.text.query_type import find_model_numbers
from reranker.understanding.facts import pack_facts, unpack_facts
from reranker.understanding.lexicon import VALUE_KINDS, load_lexicon
from reranker.understanding.measures import UNITS
from reranker.understanding.type_index import TypeIndex
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.understanding.words import compact_words, list_words, normalise_text, stem_words

KNOWN_ITEM, CATEGORY, TYPE = "known item", "category", "type"

FOUND_BY_WORDS = frozenset({KNOWN_ITEM, TYPE})
"""Families that titles answer by their own words: a search for words looks better on them than it is."""

_KNOWN_ITEMS, _OTHERS = 80, 40
"""Queries of known items, and of each other family."""

_TRIES = 40
"""Products that are tried for each query."""

_CATEGORY_SHARE = 0.5
"""Share of products that must have a category for the types to be categories."""

_WORDS_OF_KIND = 4
_FEWEST_OF_KIND = 3
_FEWEST_PRICES = 6
_CHEAP_QUANTILE = 0.4
_LONGEST_FEATURE = 3

_WITH_TYPE = 0.5
"""Share of model numbers with the type of product beside them."""


@dataclass(frozen=True, slots=True)
class ProbeQuery:
    """A made query, the family that it was made as, and all that a product must meet to answer it."""

    family: str
    text: str
    demands: tuple[Truth, ...]

    @property
    def truth(self) -> Truth:
        """What answers the query."""
        return has_all(*self.demands)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type of product: the words that ask for it, and which products are of it."""

    words: str
    truth: Truth


@dataclass(frozen=True, slots=True)
class _Shelf:
    """What queries are made from: products, the type of each (None where it has none), and the vocabulary."""

    products: Sequence[Product]
    kinds: Sequence[_Kind | None]
    vocabulary: CatalogueVocabulary


_Made = tuple[str, tuple[Truth, ...]]
"""A query and what it demands."""

_Make = Callable[[_Shelf, int, random.Random], Iterator[_Made]]
"""Makes the queries of a family from one product, given by its place on the shelf."""


def make_probe_queries(
    products: Sequence[Product], vocabulary: CatalogueVocabulary, types: TypeIndex, seed: int = 0
) -> list[ProbeQuery]:
    """Return the queries that can be made, of all families in turn; `types` are those of the vocabulary."""
    kinds = _find_categories(products)
    named = {CATEGORY if kinds else TYPE: _make_types}
    shelf = _Shelf(products, kinds or _find_types(products, vocabulary, types), vocabulary)
    families = {KNOWN_ITEM: _make_known_items(products, seed)}
    for family, make in (named | _FAMILIES).items():
        families[family] = _make_family(family, make, shelf, random.Random(f"{seed} {family}"))
    most = max(map(len, families.values()))
    return [made[turn] for turn in range(most) for made in families.values() if turn < len(made)]


def make_nonsense(products: Sequence[Product], count: int, seed: int = 0) -> list[str]:
    """Return texts that nothing answers: words of the products with their letters in another order."""
    chooser = random.Random(seed)
    words = sorted({word.text for product in products for word in list_words(normalise_text(product.title))})
    long = [word for word in words if word.isalpha() and len(word) >= 5]
    known = set(words)
    texts = []
    for _ in range(count if long else 0):
        drawn = ["".join(chooser.sample(word, len(word))) for word in chooser.choices(long, k=2)]
        if not known.intersection(drawn):
            texts.append(" ".join(drawn))
    return texts


def _make_known_items(products: Sequence[Product], seed: int) -> list[ProbeQuery]:
    made = make_queries(products, _KNOWN_ITEMS, seed)
    return [ProbeQuery(KNOWN_ITEM, text, (is_product(products[row].id),)) for text, row in made]


def _make_family(family: str, make: _Make, shelf: _Shelf, chooser: random.Random) -> list[ProbeQuery]:
    queries: dict[str, ProbeQuery] = {}
    if not shelf.products:
        return []
    for row in chooser.choices(range(len(shelf.products)), k=_TRIES * _OTHERS):
        for text, demands in make(shelf, row, chooser):
            queries.setdefault(text, ProbeQuery(family, text, demands))
        if len(queries) >= _OTHERS:
            break
    return list(queries.values())[:_OTHERS]


def _find_categories(products: Sequence[Product]) -> list[_Kind | None]:
    """Return the category of each product, None where few others have it; nothing for a catalogue without."""
    leaves = [_name_leaf(product) for product in products]
    if not leaves or sum(map(bool, leaves)) < _CATEGORY_SHARE * len(leaves):
        return []
    counts = Counter(leaves)
    kinds = {
        leaf: _Kind(leaf, is_of_category(frozenset(stem_words(leaf))))
        for leaf, count in counts.items()
        if leaf and count >= _FEWEST_OF_KIND
    }
    return [kinds.get(leaf) for leaf in leaves]


def _find_types(
    products: Sequence[Product], vocabulary: CatalogueVocabulary, types: TypeIndex
) -> list[_Kind | None]:
    """Return the type that each product's title names, None where it names none."""
    owners, types_named = types.find_types(unpack_facts([pack_facts(product) for product in products]))
    named = {
        at: _Kind(
            " ".join(vocabulary.surface.get(stem, stem) for stem in types.phrases[at].stems),
            is_of_type(types, types.phrases[at].stems),
        )
        for at in np.unique(types_named).tolist()
    }
    said: dict[int, list[int]] = {}
    for owner, at in zip(owners.tolist(), types_named.tolist(), strict=True):
        said.setdefault(owner, []).append(at)

    def choose(row: int) -> _Kind | None:
        """Return the type of several that says most: the longest, then the commonest."""
        phrases = types.phrases
        ranked = sorted(said.get(row, ()), key=lambda at: (len(phrases[at].stems), phrases[at].count))
        return named[ranked[-1]] if ranked else None

    return [choose(row) for row in range(len(products))]


def _name_leaf(product: Product) -> str:
    """Return the last part of a product's category as a shopper would type it; empty for a long one."""
    leaf = product.category[-120:].replace("|", ">").replace("/", ">").rpartition(">")[2]
    words = list_words(normalise_text(leaf, 60))
    return " ".join(word.text for word in words) if 0 < len(words) <= _WORDS_OF_KIND else ""


def _make_types(shelf: _Shelf, row: int, _: random.Random) -> Iterator[_Made]:
    if kind := shelf.kinds[row]:
        yield kind.words, (kind.truth,)


def _make_measures(shelf: _Shelf, row: int, chooser: random.Random) -> Iterator[_Made]:
    kind, numbers = shelf.kinds[row], shelf.vocabulary.numbers
    attributes = shelf.products[row].attributes
    names = sorted(name for name in attributes if name in numbers)
    if not kind or not names:
        return
    name = chooser.choice(names)
    unit = next(unit for unit in UNITS if unit.name == numbers[name].unit)
    value = _read_number(attributes[name])
    if value is None or value <= 0:
        return
    said = chooser.choice((f"{value:g} {unit.name}", f"{value:g}{unit.name}"))
    text = chooser.choice((f"{said} {kind.words}", f"{kind.words} {said}"))
    yield text, (kind.truth, has_number(name, value, unit.dimension, value * unit.factor))


def _make_values_of(value_kind: str) -> _Make:
    def make(shelf: _Shelf, row: int, _: random.Random) -> Iterator[_Made]:
        kind, names = shelf.kinds[row], shelf.vocabulary.kinds.get(value_kind, ())
        lexicon = load_lexicon()
        for name in names if kind else ():
            for text in _list_texts(shelf.products[row], name):
                named = lexicon.values.get(stem_words(text)[0]) if len(stem_words(text)) == 1 else None
                if kind and named and named[0] == value_kind:
                    word = normalise_text(text).casefold()
                    truth = has_value(names, lexicon.synonyms[named])
                    yield f"{word} {kind.words}", (kind.truth, truth)

    return make


def _make_values(shelf: _Shelf, row: int, chooser: random.Random) -> Iterator[_Made]:
    kind, vocabulary, lexicon = shelf.kinds[row], shelf.vocabulary, load_lexicon()
    if not kind:
        return
    own = stem_words(kind.words)
    product = shelf.products[row]
    choices = [
        (word.text, word.stem)
        for name in product.attributes
        for text in _list_texts(product, name)
        for word in list_words(normalise_text(text, 60))
        if word.stem in vocabulary.values and word.stem not in lexicon.values and word.stem not in own
        if any(meaning.attribute == name for meaning in vocabulary.values[word.stem])
    ]
    if choices:
        word, stem = chooser.choice(sorted(set(choices)))
        names = [meaning.attribute for meaning in vocabulary.values[stem]]
        yield f"{word} {kind.words}", (kind.truth, has_value(names, (stem,)))


def _make_prices(shelf: _Shelf, row: int, chooser: random.Random) -> Iterator[_Made]:
    kind = shelf.kinds[row]
    prices = [p.price for p, k in zip(shelf.products, shelf.kinds, strict=True) if p.price and k is kind]
    if not kind or len(prices) < _FEWEST_PRICES:
        return
    limit = float(f"{np.quantile(prices, _CHEAP_QUANTILE):.2g}")
    said = chooser.choice(("under", "below"))
    yield f"{kind.words} {said} {limit:g}", (kind.truth, costs_at_most(limit))


def _make_features(shelf: _Shelf, row: int, chooser: random.Random) -> Iterator[_Made]:
    kind, attributes = shelf.kinds[row], shelf.products[row].attributes
    names = sorted(
        name
        for name in attributes
        if name in shelf.vocabulary.flags
        and _list_texts(shelf.products[row], name) == ("true",)
        and len(list_words(name)) <= _LONGEST_FEATURE
    )
    if kind and names:
        name = chooser.choice(names)
        yield f"{kind.words} with {name}", (kind.truth, has_feature(name))


def _make_models(shelf: _Shelf, row: int, chooser: random.Random) -> Iterator[_Made]:
    numbers = [n for n in find_model_numbers(shelf.products[row].title) if not n.isdecimal()]
    if numbers:
        number, kind = chooser.choice(numbers), shelf.kinds[row]
        truth = has_model_number(compact_words(number))
        if kind and chooser.random() < _WITH_TYPE:
            yield f"{kind.words} {number}", (kind.truth, truth)
        else:
            yield number, (truth,)


_FAMILIES: dict[str, _Make] = {
    "measure": _make_measures,
    **{kind: _make_values_of(kind) for kind in VALUE_KINDS},
    "value": _make_values,
    "price": _make_prices,
    "feature": _make_features,
    "model": _make_models,
}


def _list_texts(product: Product, name: str) -> tuple[str, ...]:
    return tuple(format_attribute_values(product.attributes[name])) if name in product.attributes else ()


def _read_number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except ValueError:
        return None
