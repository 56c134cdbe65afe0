"""Words of a text in their order, with their places: what understanding and facts are made of."""

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from reranker.text.chinese import simplify_characters
from reranker.text.word_tokens import CJK, is_cjk, stem_word

_MARKS = str.maketrans({"™": " ", "®": " ", "©": " ", "″": '"', "”": '"', "“": '"', "’": "'", "‑": "-"})
_WORD = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+(?:[.,][0-9]+|'[^\W\d_]+)*")
_NUMERALS = dict(zip("一二两三四五六七八九", "1223456789", strict=True))
_COUNTED = re.compile(
    f"(?<![{''.join(_NUMERALS)}十百千万])([{''.join(_NUMERALS)}])(?=米|厘米|毫米|分米|公斤|千克|斤|英寸|寸|升|毫升|瓦|匹)"
)
"""A Chinese numeral before a unit: 两米 is 2米."""

_ZERO = re.compile("(?<![\\d.,])0(?=[糖脂卡盐蔗添])")
"""Nothing of what food is without: 0糖 is 零糖."""

_FIRST_CJK = "\u3000"
_BREAK = re.compile(r"[,;:|/()\[\]{}•–—]| - ")


class Word(NamedTuple):
    """A case-folded word, its stem, where it stands in the normalised text, whether a break precedes it."""

    text: str
    stem: str
    start: int
    end: int
    after_break: bool = False


def normalise_text(text: str, most: int = 2000) -> str:
    """Return a text without trademark signs, in NFKC, with single spaces.

    Traditional Chinese becomes Simplified, 两米 2米 and 0糖 零糖. Reads at most `most` characters.
    """
    normalised = " ".join(unicodedata.normalize("NFKC", text[:most].translate(_MARKS)).split())
    if normalised.isascii():
        return normalised
    simplified = _ZERO.sub("零", simplify_characters(normalised))
    return _COUNTED.sub(lambda match: _NUMERALS[match[1]], simplified)


def list_words(text: str) -> list[Word]:
    """Return the words of a normalised text. Chinese, Japanese and Korean become pairs of characters."""
    words: list[Word] = []
    end = 0
    for match in _WORD.finditer(text):
        piece, start = match.group().casefold(), match.start()
        gap = text[end:start]
        broken = not words or (gap != " " and bool(_BREAK.search(gap)))
        end = match.end()
        if len(piece) == 1 or piece[0] < _FIRST_CJK or not is_cjk(piece[0]):
            words.append(Word(piece, stem_word(piece.removesuffix("'s")), start, end, broken))
            continue
        words += [
            Word(piece[i : i + 2], piece[i : i + 2], start + i, start + i + 2, broken and not i)
            for i in range(len(piece) - 1)
        ]
    return words


def stem_words(text: str) -> tuple[str, ...]:
    """Return the stems of a text's words, in order."""
    return tuple(word.stem for word in list_words(normalise_text(text)))


def join_words(words: Iterable[str]) -> str:
    """Return words as one text, with spaces. Overlapping pairs of Chinese characters become a word again.

    >>> join_words(["apple", "智能", "能手", "手机"])
    'apple 智能手机'
    """
    text = ""
    for word in words:
        overlaps = text and is_cjk(word[0]) and text[-1] == word[0]
        text += word[1:] if overlaps else f" {word}" if text else word
    return text


def compact_words(text: str) -> str:
    """Return letters and digits alone, case-folded: `HL-2140` and `hl 2140` are hl2140."""
    return re.sub(r"[\W_]+", "", text.casefold())
