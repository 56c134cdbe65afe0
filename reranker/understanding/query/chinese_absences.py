"""What Chinese queries exclude: 无糖, 免打孔, 不含酒精, 不要蓝牙的.

Chinese has no spaces, so what is excluded has to be told from what follows it. A single character before it
(无, 免, 零, 非) is part of many other words, such as 免费 and 无人机: it excludes only what shops sell things
without, by the list `lacking` of `data/words.json`.
"""

import re
from collections.abc import Iterator
from functools import cache

from reranker.text.word_tokens import CJK, is_cjk
from reranker.understanding.demands import PresenceDemand, QuerySpan
from reranker.understanding.lexicon import load_lexicon
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.understanding.words import list_words

_PREFIXES = "无零免非"
_HAS = "含有带加"
"""Characters that say that a thing is there: 含糖 and 有线."""

_POSSESSIVE = "的"
_LONGEST, _SHORT = 4, 3
"""Characters of the longest thing before 的, and of a text that is taken for a thing as it is."""


def find_chinese_absences(query: str, vocabulary: CatalogueVocabulary) -> Iterator[PresenceDemand]:
    """Yield what a normalised query excludes in Chinese, in order."""
    for match in _absence_pattern().finditer(query):
        if match.group("lacked"):
            thing, end = match.group("lacked"), match.end()
        else:
            run = match.group("run")
            start = len(run) - len(run.lstrip(_HAS)) if run.rstrip(_HAS) else 0
            thing = _find_thing(run[start:], vocabulary)
            end = match.start("run") + start + len(thing)
        end += query[end:].startswith(_POSSESSIVE)
        yield _describe_absence(QuerySpan(match.start(), end), thing, vocabulary)


def _find_thing(run: str, vocabulary: CatalogueVocabulary) -> str:
    """Return the thing that a run of Han characters begins with."""
    known = _lacking_pattern().match(run)
    if known:
        return known.group()
    before, possessive, _ = run.partition(_POSSESSIVE)
    if possessive and 0 < len(before) <= _LONGEST:
        return before
    absent = load_lexicon().absent
    for length in range(min(len(run), _LONGEST), 0, -1):
        start = run[:length]
        if start in absent or start in vocabulary.brands or start in vocabulary.flags:
            return start
    return run if len(run) <= _SHORT else run[:2]


def _describe_absence(span: QuerySpan, thing: str, vocabulary: CatalogueVocabulary) -> PresenceDemand:
    """Return the demand. Titles say that they are without by pairs of characters such as 无糖."""
    words = list_words(thing)
    stems = tuple(word.stem for word in words)
    instead = {f"{prefix}{thing[0]}" for prefix in _PREFIXES}
    for word in words:
        instead |= load_lexicon().absent.get(word.stem, frozenset())
    if len(thing) == 1:  # no word of a title: titles have pairs of characters
        pairs = [f"{has}{thing}" for has in _HAS]
        stems = (max(pairs, key=lambda pair: vocabulary.words.get(pair, 0)),)
    return PresenceDemand(span, "absence", stems, _find_attributes(thing, vocabulary), tuple(sorted(instead)))


def _find_attributes(thing: str, vocabulary: CatalogueVocabulary) -> tuple[str, ...]:
    """Return the attributes that tell of a thing: 含糖, 是否含糖, 酒精含量."""
    name = re.compile(rf"(?:是否|有无)?[{_HAS}]?{re.escape(thing)}(?:含量|量|分)?")
    return tuple(each for each in (*vocabulary.flags, *vocabulary.texts) if name.fullmatch(each))


@cache
def _absence_pattern() -> re.Pattern[str]:
    phrases = [phrase for phrase in load_lexicon().words["without"] if is_cjk(phrase[0])]
    before = "|".join(sorted(phrases, key=len, reverse=True))
    return re.compile(
        rf"(?:{before})\s*(?P<run>[{CJK}]+?(?=$|[^{CJK}]|{before}))"
        rf"|[{_PREFIXES}](?P<lacked>{_lacking_pattern().pattern})"
    )


@cache
def _lacking_pattern() -> re.Pattern[str]:
    things: list[str] = load_lexicon().words["lacking"]
    return re.compile("|".join(sorted(things, key=len, reverse=True)))


def is_chinese_absence(phrase: str, following: str) -> bool:
    """Return whether a phrase excludes, in Chinese, a thing that is Chinese too."""
    return is_cjk(phrase[0]) and is_cjk(following.lstrip()[:1] or " ")
