"""Words as the scorer compares them: folded, lightly stemmed, and hashed so that a product's can be
stored.
"""

import re
import threading
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
_JOINED = re.compile(r"[^\W_]+(?:[-/.][^\W_]+)+")
_UNIT = (
    "mm|cm|dm|m|km|in|inch|ft|yd|mg|g|kg|lb|oz|ml|cl|l|litre|liter|gal|kb|mb|gb|tb|mah|ah|wh|kwh|w|kw|v|mv|a"
    "|hz|khz|mhz|ghz|mp|px|dpi|ppm|rpm|btu|lm|k|p|fps|bit|gbit|mbit|gbps|mbps|pack|pc|ct"
)
_SPACED_UNIT = re.compile(rf"(?<![\w.,])([0-9]+(?:[.,][0-9]+)*)[ -]?({_UNIT})(?:es|s)?(?!\w)")
_WITH_UNIT = re.compile(rf"[0-9]+(?:[.,][0-9]+)*(?:{_UNIT})")
_STEMMERS = threading.local()
"""A stemmer for each thread: it keeps the word that it is at."""


def split_words(text: str) -> tuple[str, ...]:
    """Return the distinct words of `text` in order: NFKC, case-folded, plurals and endings stemmed.

    A model number stands whole and in its parts (`TN-2110` and `TN2110` both give tn, 2110 and tn2110), so
    does a number with its unit (`128gb` and `128 GB`: 128, gb, 128gb), and Chinese, Japanese and Korean text
    as pairs of neighbouring characters.
    """
    found: dict[str, None] = {}
    folded = unicodedata.normalize("NFKC", text).casefold()
    for piece in _PIECES.findall(folded):
        if _IS_CJK.match(piece):
            found.update(dict.fromkeys(_pairs(piece)))
            continue
        found[_stem(piece)] = None
        parts = _LETTERS_OR_DIGITS.findall(piece)
        if len(parts) > 1:
            found.update(dict.fromkeys(map(_stem, parts)))
    if any(map(str.isdigit, folded)):
        found.update(dict.fromkeys("".join(of) for of in _SPACED_UNIT.findall(folded)))
        for joined in _JOINED.findall(folded):
            whole = re.sub(r"[-/.]", "", joined)
            if not whole.isdigit() and not whole.isalpha() and not _IS_CJK.search(whole):
                found[whole] = None
    return tuple(found)


def classify_number(word: str) -> str:
    """Tell what a word with a digit is: "unit" (128gb), "model" (tn2110) or "number" (13); else ""."""
    if not any(map(str.isdigit, word)):
        return ""
    if _WITH_UNIT.fullmatch(word):
        return "unit"
    return "model" if len(word) > 2 and any(map(str.isalpha, word)) else "number"


def is_cjk(character: str) -> bool:
    """Whether a character is a Han character, kana or hangul: of text that is written without spaces."""
    return bool(_IS_CJK.match(character))


def hash_words(found: Iterable[str]) -> WordHashes:
    """Return the CRC-32 of each word: 4 bytes each, one clash in millions of comparisons."""
    return np.array([zlib.crc32(word.encode()) for word in found], dtype=np.uint32)


def _pairs(piece: str) -> list[str]:
    return [piece] if len(piece) == 1 else [piece[i : i + 2] for i in range(len(piece) - 1)]


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    if not hasattr(_STEMMERS, "english"):
        _STEMMERS.english = snowballstemmer.stemmer("english")
    stemmed: str = _STEMMERS.english.stemWord(word)
    return stemmed
