"""What the product must not have: without cable, no wifi, sugar-free, ohne Kabel, 不要蓝牙."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from reranker.understanding.demands import PresenceDemand, QuerySpan
from reranker.understanding.lexicon import alternatives, load_lexicon
from reranker.understanding.patterns import load_operators
from reranker.understanding.query.chinese_absences import find_chinese_absences, is_chinese_absence
from reranker.understanding.query.state import ParserState
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.understanding.words import Word, compact_words, list_words

_MOST_ATTRIBUTES = 12
_MOST_WORDS = 3
"""Words of the longest thing that is excluded."""


def parse_absences(state: ParserState) -> None:
    """Read what is excluded."""
    for absence in find_chinese_absences(state.query, state.vocabulary):
        if state.is_free(absence.span.start, absence.span.end):
            state.demands.append(absence)
    state.demands.extend(_find_behind(state))
    state.demands.extend(_find_free(state))


def _find_free(state: ParserState) -> Iterator[PresenceDemand]:
    """Yield what things are free of: sugar-free, gluten free, cordless unless the catalogue has the word."""
    for match in _make_free_pattern().finditer(state.query):
        thing = list_words(match.group("thing"))[:1]
        if state.is_free(*match.span()) and _excludes(match, thing[0].stem, state.vocabulary):
            yield _describe_absence(QuerySpan(*match.span()), thing, state.vocabulary)


def _excludes(match: re.Match[str], stem: str, vocabulary: CatalogueVocabulary) -> bool:
    """Return whether a word such as sugar-free excludes its thing: `hands free` excludes no hands."""
    lexicon = load_lexicon()
    if match.group("gap") == "-":
        return True
    if match.group("gap"):
        return stem in lexicon.avoided and match.group("after").casefold() != "less"
    is_known = vocabulary.spellings.knows(match.group().casefold())
    return not is_known and (stem in lexicon.avoided or stem in lexicon.absent)


def _find_behind(state: ParserState) -> Iterator[PresenceDemand]:
    """Yield what stands behind a word that excludes: the longest thing that the catalogue can tell of."""
    for match in _make_without_pattern().finditer(state.query):
        if is_chinese_absence(match.group(), state.query[match.end() :]):
            continue
        things = _list_excluded(state.query[match.end() :])
        for count in range(len(things), 0, -1):
            span = QuerySpan(match.start(), match.end() + things[count - 1].end)
            demand = _describe_absence(span, things[:count], state.vocabulary)
            if not demand.attributes and _goes_on(demand.stems):
                continue  # `without cable pink` excludes no pink
            if demand.attributes or demand.instead or demand.valued or count == 1:
                yield demand
                break


def _list_excluded(text: str) -> list[Word]:
    """Return the first words of a text, up to a break or a word that limits, excludes or joins."""
    words: list[Word] = []
    for word in list_words(text)[:_MOST_WORDS]:
        if word.text in load_operators() or (words and word.after_break):
            break
        words.append(word)
    return words


def _goes_on(stems: Sequence[str]) -> bool:
    """Return whether stems go on behind the last that things are known to lack."""
    absent = load_lexicon().absent
    return not {*stems}.isdisjoint(absent) and stems[-1] not in absent


def _describe_absence(
    span: QuerySpan, words: Sequence[Word], vocabulary: CatalogueVocabulary
) -> PresenceDemand:
    lexicon = load_lexicon()
    stems = tuple(word.stem for word in words)
    kind = lexicon.values.get(stems[0], ("",))[0] if len(stems) == 1 else ""
    valued = tuple(vocabulary.kinds.get(kind, ()))
    attributes = () if valued else _find_attributes(words, vocabulary)
    instead = {other for stem in stems for other in lexicon.absent.get(stem, ())}
    return PresenceDemand(span, "absence", stems, attributes, tuple(sorted(instead)), valued)


def _find_attributes(words: Sequence[Word], vocabulary: CatalogueVocabulary) -> tuple[str, ...]:
    """Return the attributes whose names say a thing: `fingerprint reader`, `wifi` for `wi fi`."""
    stems = frozenset(word.stem for word in words)
    named = vocabulary.flags_by_name.get(compact_words("".join(word.text for word in words)), [])
    rarest = min((vocabulary.attributes_by_stem.get(stem, []) for stem in stems), key=len)
    others = sorted((len(own), name) for name, own in rarest if stems <= own)
    return tuple(dict.fromkeys([*named, *(name for _, name in others)]))[:_MOST_ATTRIBUTES]


@cache
def _make_without_pattern() -> re.Pattern[str]:
    """Return the pattern of what excludes: without, no, ohne, 不要."""
    return re.compile(alternatives(load_lexicon().words["without"]), re.IGNORECASE)


@cache
def _make_free_pattern() -> re.Pattern[str]:
    """Return the pattern of words such as sugar-free, sugar free and sugarless."""
    after = "|".join(load_lexicon().words["free_after"])
    return re.compile(
        rf"(?<!\w)(?P<thing>[^\W\d_]{{3,}}?)(?P<gap>[ -]?)(?P<after>{after})(?!\w)", re.IGNORECASE
    )
