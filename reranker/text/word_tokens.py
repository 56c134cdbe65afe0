"""Words as the scorer compares them: case-folded, lightly stemmed, and hashed to be stored with a product."""

import re
import threading
import unicodedata
import zlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

from reranker.text.chinese import simplify_characters
from reranker.text.numbers import SPACED_UNIT

WordHashes = NDArray[np.uint32]

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
"""Kana, Han characters and hangul, as ranges for a regex's set of characters."""

_PIECES = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+(?:[.,][0-9]+)*")
_IS_CJK = re.compile(rf"[{CJK}]")
_LETTERS_OR_DIGITS = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[^\W\d_]+")
# Possessive, and from a word's first letter only: backtracking would take the square of a text's length.
_JOINED = re.compile(r"(?<![^\W_])[^\W_]++(?:[-/.][^\W_]++)++")
_STEMMERS = threading.local()
"""One stemmer a thread: a stemmer holds the word that it works on."""

_MAX_CHARACTERS = 65_536
"""Characters of a text that are read: a million hostile ones then take less than a second."""

_MAX_STEMMED = 40
"""Characters of the longest word that is stemmed: the stemmer's time grows with the square of the length."""

_CACHED_STEMS = 32_768
"""Stems that are cached: at most 16 MB, since a word has 40 characters of at most 4 bytes."""


def split_words(text: str) -> tuple[str, ...]:
    """Return the distinct words of `text` in order: NFKC, case-folded, plurals and endings stemmed,
    Traditional Chinese as Simplified.

    A model number stands whole and in its parts (`TN-2110` and `TN2110` both give tn, 2110 and tn2110), so
    does a number with its unit (`128gb` and `128 GB`: 128, gb, 128gb), and Chinese, Japanese and Korean text
    as pairs of neighbouring characters. Nothing behind the first 65,536 characters is read.
    """
    distinct: dict[str, None] = {}
    # One character may become 18 by normalisation.
    normalised = unicodedata.normalize("NFKC", text[:_MAX_CHARACTERS])[:_MAX_CHARACTERS]
    folded = simplify_characters(normalised.casefold())
    for piece in _PIECES.findall(folded):
        if _IS_CJK.match(piece):
            distinct.update(dict.fromkeys(_pairs(piece)))
            continue
        distinct[stem_word(piece)] = None
        parts = _LETTERS_OR_DIGITS.findall(piece)
        if len(parts) > 1:
            distinct.update(dict.fromkeys(map(stem_word, parts)))
    if any(map(str.isdigit, folded)):
        distinct.update(dict.fromkeys("".join(measure) for measure in SPACED_UNIT.findall(folded)))
        for joined in _JOINED.findall(folded):
            compact = re.sub(r"[-/.]", "", joined)
            if not compact.isdigit() and not compact.isalpha() and not _IS_CJK.search(compact):
                distinct[compact] = None
    return tuple(distinct)


def find_cjk_runs(text: str) -> list[str]:
    """Return the runs of Han characters, kana and hangul of a text, in order."""
    return [piece for piece in _PIECES.findall(text) if _IS_CJK.match(piece)]


def is_cjk(character: str) -> bool:
    """Whether a character is a Han character, kana or hangul: of text that is written without spaces."""
    return bool(_IS_CJK.match(character))


def hash_words(words: Iterable[str]) -> WordHashes:
    """Return the CRC-32 of each word: 4 bytes each, one clash in millions of comparisons."""
    return np.array([zlib.crc32(word.encode()) for word in words], dtype=np.uint32)


def _pairs(piece: str) -> list[str]:
    return [piece] if len(piece) == 1 else [piece[i : i + 2] for i in range(len(piece) - 1)]


def stem_word(word: str) -> str:
    """Return a case-folded word without plural and endings; a word of more than 40 characters as it is."""
    return _stem_short(word) if len(word) <= _MAX_STEMMED else word


@lru_cache(maxsize=_CACHED_STEMS)
def _stem_short(word: str) -> str:
    if not hasattr(_STEMMERS, "english"):
        _STEMMERS.english = snowballstemmer.stemmer("english")
    stemmed: str = _STEMMERS.english.stemWord(word)
    return stemmed
