"""Words as the scorer compares them: folded, lightly stemmed, and hashed so that a product's can be
stored.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

WordHashes = NDArray[np.uint32]

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_PIECES = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+(?:[.,][0-9]+)*")
_IS_CJK = re.compile(rf"[{_CJK}]")
_LETTERS_OR_DIGITS = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[^\W\d_]+")
_STEMMER = snowballstemmer.stemmer("english")


def words(text: str) -> tuple[str, ...]:
    """Return the distinct words of `text` in order: NFKC, case-folded, plurals and endings stemmed.

    A model number stands whole and in its parts (`TN-2110` gives tn, 2110; `128gb` gives 128gb, 128, gb),
    and Chinese, Japanese and Korean text as pairs of neighbouring characters.
    """
    found: dict[str, None] = {}
    for piece in _PIECES.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _IS_CJK.match(piece):
            found.update(dict.fromkeys(_pairs(piece)))
            continue
        found[_stem(piece)] = None
        parts = _LETTERS_OR_DIGITS.findall(piece)
        if len(parts) > 1:
            found.update(dict.fromkeys(map(_stem, parts)))
    return tuple(found)


def is_cjk(character: str) -> bool:
    """Whether a character is a Han character, kana or hangul: of text that is written without spaces."""
    return bool(_IS_CJK.match(character))


def hashed(found: Iterable[str]) -> WordHashes:
    """Return the CRC-32 of each word: 4 bytes each, one clash in millions of comparisons."""
    return np.array([zlib.crc32(word.encode()) for word in found], dtype=np.uint32)


def _pairs(piece: str) -> list[str]:
    return [piece] if len(piece) == 1 else [piece[i : i + 2] for i in range(len(piece) - 1)]


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    stemmed: str = _STEMMER.stemWord(word)
    return stemmed
