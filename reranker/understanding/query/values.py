"""Values of attributes: colours, materials and sizes of the lexicon, and what the catalogue's own have."""

import re
from collections.abc import Collection, Sequence

from reranker.understanding.demands import QuerySpan, ValueDemand
from reranker.understanding.lexicon import load_lexicon
from reranker.understanding.patterns import load_operators
from reranker.understanding.query.state import ParserState
from reranker.understanding.types import names_type
from reranker.understanding.vocabulary import ValueMeaning
from reranker.understanding.words import Word, stem_words

_DIMENSIONS = re.compile(r"[0-9]+(?:x[0-9]+)+")
_RELIABLE = 0.8
"""Reliability from which on a word of a query is read as a value."""
_LONGEST = 3
"""Words of the longest value."""


def parse_values(state: ParserState) -> None:
    """Read the values, each of the words that stand side by side in some attribute."""
    lexicon = load_lexicon()
    free = [
        word
        for word in state.list_free_words()
        if word.start not in state.thing_words and not _names_thing(state, word)
    ]
    while free:
        word = free[0]
        span = QuerySpan(word.start, word.end)
        if word.stem in lexicon.values:
            kind, name = lexicon.values[word.stem]
            names = state.vocabulary.kinds.get(kind, ())
            state.demands.append(ValueDemand(span, kind, (lexicon.synonyms[kind, name],), names))
        elif _DIMENSIONS.fullmatch(word.text):
            state.demands.append(ValueDemand(span, "size", (frozenset({word.stem}),), ()))
        elif meanings := _list_meanings(state, word):
            free = free[_parse_own_value(state, free, meanings) :]
            continue
        free = free[1:]


def _names_thing(state: ParserState, word: Word) -> bool:
    """Return whether a colour or a material is part of what the product is called in the catalogue.

    So are the olive of `olive oil`, unless products have that colour, and the paper of `toilet paper`.
    """
    vocabulary, lexicon = state.vocabulary, load_lexicon()
    kind = lexicon.values.get(word.stem, ("",))[0]
    if kind == "colour" and word.stem in lexicon.colours_of_things:
        meanings = vocabulary.values.get(word.stem, ())
        return not any(meaning.attribute in vocabulary.kinds.get(kind, ()) for meaning in meanings)
    if kind != "material" or word.stem not in vocabulary.noun_stems:
        return False
    before = [other for other in state.words if other.end + 1 == word.start]
    if any(f"{other.stem} {word.stem}" in vocabulary.types for other in before):
        return True
    free = state.list_free_words()
    nouns = [other for other in free if other.stem in vocabulary.noun_stems]
    return nouns == [word] == free[-1:] and word.stem in vocabulary.type_heads


def _list_meanings(state: ParserState, word: Word) -> list[ValueMeaning]:
    if word.text.isdecimal() or word.text in load_operators():
        return []
    meanings = state.vocabulary.values.get(word.stem, ())
    return [m for m in meanings if m.reliability >= _RELIABLE and not names_type(m.attribute)]


def _parse_own_value(state: ParserState, free: Sequence[Word], meanings: Sequence[ValueMeaning]) -> int:
    """Read the value that begins with the first of the words. Return how many words it has."""
    attributes = {meaning.attribute for meaning in meanings}
    words = [free[0]]
    for following in free[1:_LONGEST]:
        own = {meaning.attribute for meaning in state.vocabulary.values.get(following.stem, ())}
        is_other = following.stem in load_lexicon().values or _describes(following, attributes)
        if following.start > words[-1].end + 1 or not own & attributes or is_other:
            break
        words.append(following)
        attributes &= own
    count = len(words)
    for following in free[count : count + 1]:
        if following.start == words[-1].end + 1 and _describes(following, attributes):
            state.attribute_words.add(following.start)
            attributes = {name for name in attributes if _describes(following, {name})}
            count += 1
    span = QuerySpan(words[0].start, words[-1].end)
    stems = tuple(frozenset({each.stem}) for each in words)
    reliability = max(meaning.reliability for meaning in meanings)
    precise = _is_property(state, words)
    state.demands.append(ValueDemand(span, "value", stems, tuple(sorted(attributes)), reliability, precise))
    return count


def _is_property(state: ParserState, words: Sequence[Word]) -> bool:
    """Return whether a value tells what a product has, and is no part of its name: i7, or core 2 duo."""
    nouns = [w for w in state.list_free_words() if w.stem in state.vocabulary.noun_stems and w not in words]
    has_number = any(map(str.isdigit, "".join(word.text for word in words)))
    return bool(nouns) and (has_number or words[-1].text not in state.vocabulary.modifiers)


def _describes(word: Word, attributes: Collection[str]) -> bool:
    """Return whether a word is in the name of one of the attributes: `processor` in `i7 processor`."""
    return any(word.stem in stem_words(name) for name in attributes)
