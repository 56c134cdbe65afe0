"""How unlikely a typing error is: a weighted edit distance."""

import unicodedata
from functools import lru_cache

_VOWELS = frozenset("aeiouy")
_ALIKE = frozenset(map(frozenset, ("ck", "cs", "sz", "gj", "kq", "vw", "fv", "dt", "bp", "mn", "ck")))
"""Consonants that sound alike or lie side by side."""

_OMITTED, _OMITTED_DOUBLE = 0.8, 0.4
_TYPED_TWICE, _INSERTED = 0.4, 0.9
_TRANSPOSED = 0.6
_VOWEL, _SOUND, _OTHER, _ACCENT = 0.6, 0.6, 1.1, 0.1
_SPELT = 0.4
"""What f for ph costs."""
_FIRST = 0.6
"""What an error in the first letter costs in addition: people seldom get that wrong (Yannakoudakis 1983)."""


def measure_edits(typed: str, word: str) -> float:
    """Return how unlikely it is that somebody who wants `word` types `typed`: 0 where both are alike.

    About 1 a letter that is missing, superfluous, exchanged or another one; less for doubled letters, vowels
    and consonants that sound alike (optimal string alignment with weights).
    """
    if "ph" in word and "f" in typed:
        return min(_align(typed, word), _align(typed, word.replace("ph", "f")) + _SPELT)
    return _align(typed, word)


def _align(typed: str, word: str) -> float:
    before_last: list[float] = []
    last = [0.0]
    for j, letter in enumerate(word):
        last.append(last[j] + _omission(word, j, letter))
    for i, own in enumerate(typed):
        row = [last[0] + _insertion(typed, i)]
        for j, letter in enumerate(word):
            cost = min(
                last[j] + _substitution(own, letter, i == j == 0),
                last[j + 1] + _insertion(typed, i),
                row[j] + _omission(word, j, letter),
            )
            if i and j and own == word[j - 1] and typed[i - 1] == letter and own != letter:
                cost = min(cost, before_last[j - 1] + _TRANSPOSED)
            row.append(cost)
        before_last, last = last, row
    return last[-1]


def _omission(word: str, place: int, letter: str) -> float:
    doubled = letter in (word[place - 1 : place], word[place + 1 : place + 2])
    return (_OMITTED_DOUBLE if doubled else _OMITTED) + (0.0 if place else _FIRST)


def _insertion(typed: str, place: int) -> float:
    doubled = typed[place] in (typed[place - 1 : place], typed[place + 1 : place + 2])
    return (_TYPED_TWICE if doubled else _INSERTED) + (0.0 if place else _FIRST)


def _substitution(typed: str, letter: str, is_first: bool) -> float:
    if typed == letter:
        return 0.0
    if _plain(typed) == _plain(letter):
        return _ACCENT
    if typed in _VOWELS and letter in _VOWELS:
        cost = _VOWEL
    else:
        cost = _SOUND if frozenset((typed, letter)) in _ALIKE else _OTHER
    return cost + (_FIRST if is_first else 0.0)


@lru_cache(maxsize=1024)
def _plain(letter: str) -> str:
    """Return a letter without its accent."""
    return unicodedata.normalize("NFD", letter)[:1]
