"""A product's facts: what its title and attributes say, as 8 bytes each, computed when it is indexed.

They need no vocabulary: words and names of attributes are hashed, numbers stay numbers. What they mean to a
query is decided when it is searched, with the vocabulary of the catalogue. A record is a key and a value,
both 4 bytes; the upper 3 bits of the key are its kind:

    TITLE     place of a title's word          hash of its stem
    NUMBER    hash of an attribute's name      the number, float32
    TEXT      hash of an attribute's name      hash of the stem of a word of its value
    FLAG      hash of an attribute's name      1 or 0, float32
    MEASURE   number of a unit                 value in the dimension's base unit, float32
    BESIDE    hash of a word near a measure    the same value
    FITS      0                                hash of a model number that a text names
    GROUP     0 brand, 1 category              hash of the stem of a word
"""

import re
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mappings.types import Product
from reranker.text.product_text import format_attribute_values
from reranker.understanding.lexicon import load_lexicon
from reranker.understanding.measures import Measure, find_measures
from reranker.understanding.words import Word, compact_words, list_words, normalise_text

TITLE, NUMBER, TEXT, FLAG, MEASURE, BESIDE, FITS, GROUP = range(8)

_KEY_BITS = 29
"""Bits of a record's key below its kind."""
_KEY_MASK = (1 << _KEY_BITS) - 1

_FLOAT, _UINT = struct.Struct("<f"), struct.Struct("<I")
_RECORD = np.dtype([("key", "<u4"), ("value", "<u4")])
_IS_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,2})?")
_LONGEST_FLAG = 16
_TITLE_WORDS = 40
_ATTRIBUTE_WORDS = 12
_SIZES = re.compile(r"(?<![\w.,])([0-9]{1,4}) x ([0-9]{1,4})(?![\w.,]*[0-9])", re.IGNORECASE)
_MOST_SIZES = 4
_ATTRIBUTES = 160
_MODELS = 64
_DESCRIPTION = 400
AFTER_BREAK, AFTER_FOR, OF_BRAND, OF_MEASURE, ABSENT = 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
"""Flags of a title's word: something separates it from the word before; it follows "for"; it is of the brand
at the title's start; it is a measure's unit; the title says that the product is without it.
"""

_ABSENT_WORDS = 2
"""Words after "without" that a title may mean by it."""

BRAND, CATEGORY = range(2)
"""Keys of GROUP records."""

Hashes = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class FactBatch:
    """The facts of n products side by side: which product (0 to n - 1) each record is of, and the record."""

    count: int
    owners: NDArray[np.int64]  # (r,)
    kinds: Hashes  # (r,)
    keys: Hashes  # (r,) without the kind
    values: Hashes  # (r,) hashes
    numbers: NDArray[np.float32]  # (r,) the same bytes as numbers


@lru_cache(maxsize=65_536)
def hash_stem(stem: str) -> int:
    """Return the hash of a stem: 32 bits."""
    return zlib.crc32(stem.encode())


@lru_cache(maxsize=16_384)
def hash_key(name: str) -> int:
    """Return the hash of an attribute's name, or of a stem where it is a record's key: 29 bits."""
    return zlib.crc32(name.encode()) & _KEY_MASK


def pack_facts(product: Product) -> bytes:
    """Return a product's facts. Takes about 0.2 ms, in proportion to the length of its texts."""
    records = dict.fromkeys(_list_records(product))
    return np.array(list(records), dtype=np.uint32).astype("<u4").tobytes() if records else b""


def unpack_facts(facts: Sequence[bytes]) -> FactBatch:
    """Return the facts of products side by side; a product without facts has no records."""
    usable = [each if len(each) % _RECORD.itemsize == 0 else b"" for each in facts]
    records = np.frombuffer(b"".join(usable), dtype=_RECORD)
    owners = np.repeat(np.arange(len(usable)), [len(each) // _RECORD.itemsize for each in usable])
    keys, values = records["key"], np.ascontiguousarray(records["value"])
    return FactBatch(
        len(usable),
        owners,
        (keys >> _KEY_BITS).astype(np.uint32),
        (keys & _KEY_MASK).astype(np.uint32),
        values,
        values.view(np.float32),
    )


def _list_records(product: Product) -> Iterator[tuple[int, int]]:
    title = normalise_text(product.title, 400)
    words = list_words(title)
    brand = list_words(normalise_text(product.brand, 60))[:3]
    measures = find_measures(title)[:12]
    yield from _title_records(words[:_TITLE_WORDS], {word.stem for word in brand}, measures)
    yield from _size_records(hash_key("title"), title)
    for word in brand:
        yield _key(GROUP, BRAND), hash_stem(word.stem)
    for word in list_words(normalise_text(re.split(r"[>|/]", product.category[-120:])[-1], 60))[:6]:
        yield _key(GROUP, CATEGORY), hash_stem(word.stem)
    description = normalise_text(product.description, _DESCRIPTION)
    yield from _measure_records(measures, words)
    described = find_measures(description)[:12]
    yield from _measure_records(described, list_words(description) if described else ())
    compatible = [title, description]
    names = load_lexicon().compatibility
    for name, value in sorted(product.attributes.items())[:_ATTRIBUTES]:
        hashed = hash_key(name)
        if isinstance(value, bool):
            yield _key(FLAG, hashed), _bits(float(value))
        elif isinstance(value, int | float):
            yield _key(NUMBER, hashed), _bits(float(value))
        else:
            text = normalise_text(", ".join(format_attribute_values(value)), 600)
            if any(word.stem in names for word in list_words(name)):
                compatible.append(text)
            yield from _text_records(hashed, text)
    models = [model for text in compatible for model in list_models(text)]
    for model in list(dict.fromkeys(models))[:_MODELS]:
        yield _key(FITS, 0), hash_stem(model)


def _title_records(
    words: Sequence[Word], brand: Collection[str], measures: Sequence[Measure]
) -> Iterator[tuple[int, int]]:
    after_for, leading, absent = False, True, 0
    without = load_lexicon().without
    for place, word in enumerate(words):
        absent = 0 if word.after_break else absent - 1
        after_for = (after_for and not word.after_break) or word.text in ("for", "für", "para", "pour")
        flags = (AFTER_BREAK if word.after_break else 0) | (AFTER_FOR if after_for else 0)
        leading = leading and word.stem in brand
        flags |= OF_BRAND if leading else 0
        flags |= OF_MEASURE if any(m.start <= word.start < m.end for m in measures) else 0
        flags |= ABSENT if absent > 0 or _says_free(words, place) else 0
        absent = _ABSENT_WORDS + 1 if word.text in without else absent
        yield _key(TITLE, place | flags), hash_stem(word.stem)


def _says_free(words: Sequence[Word], place: int) -> bool:
    """Return whether `free` or the like follows a word: `sugar-free`."""
    following = words[place + 1 : place + 2]
    return bool(following) and following[0].text in load_lexicon().free and not following[0].after_break


def _text_records(hashed: int, text: str) -> Iterator[tuple[int, int]]:
    """Yield the words of an attribute's value, and its number where it is one; "none" is a flag of 0."""
    lexicon = load_lexicon()
    if len(text) < _LONGEST_FLAG and (flag := text.casefold()) in lexicon.none | lexicon.yes:
        yield _key(FLAG, hashed), _bits(float(flag in lexicon.yes))
        return
    if _IS_NUMBER.fullmatch(text):
        yield _key(NUMBER, hashed), _bits(float(text))
        return
    for word in list_words(text)[:_ATTRIBUTE_WORDS]:
        yield _key(TEXT, hashed), hash_stem(word.stem)
    yield from _size_records(hashed, text)
    for measure in find_measures(text)[:3]:
        if measure.end - measure.start == len(text):
            yield _key(NUMBER, hashed), _bits(measure.number)
        yield _key(MEASURE, measure.unit.number), _bits(measure.value)


def _size_records(hashed: int, text: str) -> Iterator[tuple[int, int]]:
    """Yield the sizes of a text that are written apart as one word: `10 x 15 cm` as 10x15."""
    for match in islice(_SIZES.finditer(text), _MOST_SIZES):
        yield _key(TEXT, hashed), hash_stem("x".join(match.groups()))


def _measure_records(measures: Sequence[Measure], words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    for measure in measures:
        yield _key(MEASURE, measure.unit.number), _bits(measure.value)
        for word in _list_words_beside(measure, measures, words):
            yield _key(BESIDE, hash_key(word.stem)), _bits(measure.value)


def _list_words_beside(measure: Measure, measures: Sequence[Measure], words: Sequence[Word]) -> list[Word]:
    """Return the two words after a measure, and the one before it where that is not behind another measure.

    The RAM of `16 GB RAM 512 GB SSD` says nothing of 512 GB.
    """
    earlier = [word for word in words if word.end <= measure.start]
    after = [word for word in words if word.start >= measure.end][:2]
    others = [each.end for each in measures if each.end <= measure.start]
    since = len(earlier) if not others else sum(word.start >= max(others) for word in earlier)
    return [*(earlier[-1:] if not others or since > 2 else []), *after]


_MODEL_WORD = re.compile(
    r"(?<![^\W_])(?:([^\W\d_]{1,4})[ -])?((?:[^\W_]+[-/.])*[^\W_]*[0-9][^\W_]*)", re.UNICODE
)


def list_models(text: str) -> list[str]:
    """Return the model numbers of a text, joined: `HL-2140` and `HL 2140` both give hl2140 and 2140."""
    models: list[str] = []
    for match in _MODEL_WORD.finditer(text[:2000].casefold()):
        before, number = match.group(1) or "", match.group(2)
        for part in number.split("/"):
            compact = compact_words(part)
            if 2 < len(compact) <= 24:
                models.append(compact)
            if before and 2 < len(before + compact) <= 24:
                models.append(before + compact)
    return models


def _key(kind: int, rest: int) -> int:
    return (kind << _KEY_BITS) | rest


def _bits(number: float) -> int:
    bits: int = _UINT.unpack(_FLOAT.pack(number))[0]
    return bits
