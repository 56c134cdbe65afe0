"""Correct the words of a query that the catalogue does not know, and write compounds as its titles do.

A word that any text of the catalogue has is never changed, nor are numbers, words with digits, short words
before a number, Chinese, Japanese and Korean text, and words that queries are understood by. A word of
letters that remains is written as the catalogue's titles have it: apart, together with its neighbour, or with
a few other letters. Words of the English dictionary that comes with symspellpy are no typing errors: nobody
who searches for a toaster wants a poster.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from math import inf, log

from symspellpy import SymSpell, Verbosity

from reranker.text.intent import INTENT_WORDS
from reranker.understanding.demands import Correction
from reranker.understanding.lexicon import load_lexicon
from reranker.understanding.measures import find_measures
from reranker.understanding.patterns import MODEL_NUMBER
from reranker.understanding.spelling.edits import measure_edits
from reranker.understanding.spelling.spellings import Spellings, find_letter_words, find_pairs
from reranker.understanding.words import Word, list_words

_DICTIONARY = "frequency_dictionary_en_82_765.txt"
_EDITS = 2
"""Letters that may be wrong at most."""
_LIMITS = {4: 1.35, 5: 1.4, 6: 1.6, 7: 2.0}
"""Cost of the unlikeliest error that is corrected, by the number of letters, and for longer words."""
_LIMIT = 2.4
_RARITY = 0.1
"""What is added to the cost of an error where one product in e has the word, and again for one in e²."""
_SHORTEST, _LONGEST = 4, 24
"""Letters of words that are corrected, and that two words have together to be joined."""
_SHORTEST_PART = 3
_SHORT, _PART_SHARE = 8, 1 / 400
"""A word of fewer letters is split only into words that this share of products has, a longer one into any."""
_SHORTEST_JOINED, _JOINED_LIMIT = 7, 1.9
"""Letters of the shortest two words that are one misspelt word, and cost of the unlikeliest error in them."""
_OFTENER = 20
"""How many times as often as apart titles must have two words together, for them to be joined."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A text after its corrections."""

    text: str
    corrections: tuple[Correction, ...] = ()


class SpellingCorrector:
    """Corrects queries by one catalogue's spellings. Takes 20 µs for a text without unknown words."""

    def __init__(self, spellings: Spellings) -> None:
        self._spellings = spellings

    def load(self) -> None:
        """Build the index of errors now: 0.2 s and 16 MB for 10,000 words."""
        if self._spellings.words:
            _ = self._errors, _load_dictionary()

    def correct(self, text: str, keep: Collection[str] = ()) -> Corrected:
        """Return a normalised text with its words corrected, but for the case-folded words to `keep`."""
        if not self._spellings.words:
            return Corrected(text)
        words = list_words(text)
        unknown = {word.start for word in words if self._may_change(word, keep)}
        unknown -= {word.start for word in _find_model_parts(text, words)}
        changes = self._join_words(text, words, unknown)
        taken = {start for word in changes for start in range(*word)}
        for word in words:
            if (
                word.start in unknown
                and word.start not in taken
                and (better := self._correct_word(word.text))
            ):
                changes[word.start, word.end] = better
        parts, corrections, end = [], [], 0
        for (start, stop), better in sorted(changes.items()):
            parts += [text[end:start], better]
            corrections.append(Correction(text[start:stop], better))
            end = stop
        return Corrected("".join([*parts, text[end:]]), tuple(corrections))

    def list_unknown(self, corrections: Sequence[Correction]) -> tuple[str, ...]:
        """Return the words that were changed, case-folded, which the catalogue does not know."""
        words = [word for each in corrections for word in find_letter_words(each.original)]
        return tuple(word for word in words if not self._spellings.knows(word))

    def _may_change(self, word: Word, keep: Collection[str]) -> bool:
        is_word = find_letter_words(word.text) == [word.text] and word.text not in keep
        return is_word and not (_is_query_word(word) or self._spellings.knows(word.text))

    def _join_words(
        self, text: str, words: list[Word], unknown: Collection[int]
    ) -> dict[tuple[int, int], str]:
        """Return what neighbouring words are together, by their places: `head set` is headset."""
        changes: dict[tuple[int, int], str] = {}
        end = 0
        for pair, before, after in find_pairs(text, words):
            joined = before.text + after.text
            is_short = len(joined) < _SHORTEST or len(after.text) == 1
            if before.start < end or is_short or _is_operator(before) or _is_operator(after):
                continue
            apart = self._spellings.count_apart(before.text, after.text)
            if apart and "-" in pair:
                continue
            better = joined if self._spellings.words.get(joined, 0) > _OFTENER * apart else ""
            strange = [word for word in (before, after) if word.start in unknown]
            if not (better or any(self._correct_word(word.text) for word in strange)) and strange:
                better = self._correct_joined(joined)
            if better:
                changes[before.start, after.end] = better
                end = after.end
        return changes

    def _correct_joined(self, joined: str) -> str:
        return self._correct_letters(joined, _JOINED_LIMIT) if len(joined) >= _SHORTEST_JOINED else ""

    def _correct_word(self, word: str) -> str:
        """Return what an unknown word is: apart, or with other letters; empty where nothing is likely."""
        form = self._forms.get(word, "")
        is_english = word in _load_dictionary()
        if form and (not is_english or min(map(len, form.split())) >= _SHORTEST_PART):
            return form
        if is_english:
            return ""
        return self._correct_letters(word) or self._split_word(word)

    def _correct_letters(self, word: str, limit: float = _LIMIT) -> str:
        if not _SHORTEST <= len(word) <= _LONGEST:
            return ""
        likely = []
        for suggestion in self._errors.lookup(word, Verbosity.ALL, max_edit_distance=_EDITS):
            rarity = _RARITY * log(self._spellings.products / suggestion.count)
            likely.append((measure_edits(word, suggestion.term) + rarity, suggestion.term))
        cost, best = min(likely, default=(inf, ""))
        return best if cost <= min(limit, _LIMITS.get(len(word), _LIMIT)) else ""

    def _split_word(self, word: str) -> str:
        counts = self._spellings.words
        share = _PART_SHARE * self._spellings.products
        least = max(share if len(word) < _SHORT else min(share, 2), 1)
        splits = [(word[:i], word[i:]) for i in range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1)]
        known = [(min(counts.get(a, 0), counts.get(b, 0)), a, b) for a, b in splits]
        count, *parts = max(known, default=(0, "", ""))
        return " ".join(parts) if count >= least and not _affixes() & {*parts} else ""

    @cached_property
    def _forms(self) -> dict[str, str]:
        """How titles write two words, by their letters: `wi-fi` by wifi."""
        forms: dict[str, str] = {}
        for form in self._spellings.pairs:  # the commonest first
            if min(map(len, form.split(" "))) == 1:
                continue
            forms.setdefault(form.replace("-", "").replace(" ", ""), form)
        return forms

    @cached_property
    def _errors(self) -> SymSpell:
        errors = SymSpell(_EDITS)
        for word, count in self._spellings.words.items():
            if len(word) > _SHORTEST_PART:
                errors.create_dictionary_entry(word, count)
        return errors


def _is_operator(word: Word) -> bool:
    """Return whether a word joins, limits or excludes others. One letter may be the first of `t-shirt`."""
    return len(word.text) > 1 and word.text in _query_words()


def _is_query_word(word: Word) -> bool:
    """Return whether a word is one that queries are understood by, such as without or grey."""
    return word.text in _query_words() or word.stem in load_lexicon().values


@cache
def _query_words() -> frozenset[str]:
    """Return the words that limit, exclude and fit, and those that only say that somebody wants to buy."""
    lexicon = load_lexicon()
    phrases = " ".join(_list_texts(lexicon.words))
    return INTENT_WORDS | lexicon.stops | frozenset(find_letter_words(phrases))


@cache
def _affixes() -> frozenset[str]:
    """Return words that say little alone: `tankless` is not `tank less`."""
    lexicon = load_lexicon()
    return lexicon.stops | frozenset(lexicon.words["free_after"])


def _list_texts(value: object) -> Sequence[str]:
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (key, *_list_texts(inner))]
    return (
        [text for inner in value for text in _list_texts(inner)] if isinstance(value, list) else [str(value)]
    )


@cache
def _load_dictionary() -> frozenset[str]:
    """Return the 82,834 words of the dictionary: 8 MB."""
    lines = resources.files("symspellpy").joinpath(_DICTIONARY).read_text("utf-8-sig").splitlines()
    return frozenset(line.partition(" ")[0] for line in lines)


def _find_model_parts(text: str, words: list[Word]) -> list[Word]:
    """Return the words that belong to a model number: `dcp` in `dcp 7030`."""
    measures = find_measures(text)
    numbers = [
        match.span()
        for match in MODEL_NUMBER.finditer(text)
        if not any(m.start < match.end() and match.start(2) < m.end for m in measures)
    ]
    return [word for word in words if any(start <= word.start < end for start, end in numbers)]
