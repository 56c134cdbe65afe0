"""Queries made from a bare catalogue: what a shopper might type to find a product that is there.

Four ways, drawn at random a product: some of the title's own words; brand + category (or brand + title's last
words); an attribute value + category or title words; the model number alone.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence

from mappings.types import Product
from reranker.text.han_words import HanWords
from reranker.text.word_tokens import CJK, find_cjk_runs, is_cjk

_WORD = re.compile(r"[^\W_]+(?:[-./][^\W_]+)*", re.UNICODE)
_PIECE = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+(?:[-./][^\W_{CJK}]+)*")
_STOP = frozenset("a an and by for from in of on or the to with without pc s".split())  # noqa: SIM905
_HAS_DIGIT = re.compile(r"\d")


def make_queries(products: Sequence[Product], count: int, seed: int) -> list[tuple[str, int]]:
    """Return up to `count` distinct (query, row of the product it was made from), seeded."""
    chooser = random.Random(seed)
    split = _make_splitter(products)
    seen: dict[str, int] = {}
    rows = list(range(len(products)))
    chooser.shuffle(rows)
    for row in _cycled(rows, 4 * count):
        query = _query(products[row], chooser, split)
        if query and query.casefold() not in seen:
            seen[query.casefold()] = row
            if len(seen) == count:
                break
    return list(seen.items())


def _cycled(rows: Sequence[int], most: int) -> Iterator[int]:
    for i in range(most if rows else 0):
        yield rows[i % len(rows)]


def _make_splitter(products: Sequence[Product]) -> Callable[[str], list[str]]:
    """Return what splits a text into words: Chinese and Japanese by what recurs in titles."""
    if not any(find_cjk_runs(product.title) for product in products):
        return _WORD.findall
    han = HanWords(product.title for product in products)
    return lambda text: [
        word for piece in _PIECE.findall(text) for word in (han.split(piece) if is_cjk(piece[0]) else [piece])
    ]


def _query(product: Product, chooser: random.Random, split: Callable[[str], list[str]]) -> str:
    title = [w for w in split(product.title) if w.casefold() not in _STOP]
    plain = [w for w in title if not _HAS_DIGIT.search(w) and w.casefold() != product.brand.casefold()]
    models = [w for w in title if _HAS_DIGIT.search(w) and len(w) >= 4]
    kind = (split(product.category) or plain)[-2:]
    way = chooser.random()
    if way < 0.45:
        return " ".join(_run(plain or title, chooser))
    if way < 0.6:
        return " ".join([product.brand, *(kind if chooser.random() < 0.6 else _run(plain, chooser))]).strip()
    if way < 0.75:
        values = [v for v in product.attributes.values() if isinstance(v, str) and 0 < len(v) <= 20]
        if values and plain:
            return f"{chooser.choice(values)} {' '.join(_run(plain, chooser, 2))}"
    if way < 0.85:
        return " ".join(_run(title, chooser, 4))
    if way < 0.92 and models:
        return str(chooser.choice(models))
    described = [w for w in split(product.description[:200]) if w.casefold() not in _STOP]
    return " ".join(_run(described or plain, chooser, 3))


def _run(words: Sequence[str], chooser: random.Random, most: int = 3) -> Sequence[str]:
    """Return one to `most` neighbouring words."""
    length = min(len(words), chooser.randint(1, most))
    start = chooser.randint(0, len(words) - length)
    return words[start : start + length]
