"""What the product is: the nouns that nothing else was understood of."""

from collections.abc import Sequence

from reranker.text.chinese import is_chinese
from reranker.text.intent import strip_intent
from reranker.understanding.demands import QuerySpan, TypeDemand
from reranker.understanding.lexicon import load_lexicon
from reranker.understanding.query.state import ParserState
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.understanding.words import Word, join_words

_FEW_TYPES = 20
"""Types of a catalogue that is too small to teach what is an accessory."""

_THING = 6
"""Words, of Chinese pairs of characters, in which a query at most names a thing."""


def parse_type(state: ParserState) -> None:
    """Read the type, without brands. What is sought may have a name that the catalogue does not know."""
    words = _list_candidates(state)
    names = [word for word in words if word.stem in state.vocabulary.noun_stems]
    before_for = [word for word in names if not state.is_after_for(word)]
    accessories = _list_accessories(state, words)
    if not before_for and not all(map(state.is_after_for, words)):
        if not accessories:
            return
        names = words
    stems = _cut_unnamed([word.stem for word in before_for or names], state.vocabulary)
    if stems:
        shown = [*_list_values_before(state, words[0]), *words]
        span = QuerySpan(shown[0].start, words[-1].end)
        text = join_words(word.text for word in shown)
        state.demands.append(TypeDemand(span, text, stems, accessories=accessories))


def _list_candidates(state: ParserState) -> list[Word]:
    """Return the words that may name the type: no brands, numbers, and names of attributes beside others."""
    vocabulary = state.vocabulary
    free = [w for w in state.list_free_words() if w.text not in vocabulary.brands and not w.text.isdecimal()]
    words = [word for word in free if word.start not in state.attribute_words or _starts_type(state, word)]
    if not any(word.stem in vocabulary.noun_stems for word in words):
        words = free
    while words and words[-1].text in load_lexicon().stops:
        words.pop()
    return words


def _list_accessories(state: ParserState, words: Sequence[Word]) -> frozenset[str]:
    """Return the stems that name what belongs to a thing of these words; none where it is one itself.

    They are asked of catalogues that are too small to teach types, and of Chinese titles: their words
    are pairs of characters, which name types less surely.
    """
    lexicon, ending = load_lexicon(), strip_intent(state.query)[-1:]
    chinese = is_chinese(ending)
    named = lexicon.accessories.intersection(word.stem for word in state.words)
    few_types = len(state.vocabulary.types) < _FEW_TYPES
    names_a_thing = not named and ending not in lexicon.accessory_endings and len(words) <= _THING
    if not (names_a_thing and (chinese or few_types)) or any(map(state.is_after_for, words)):
        return frozenset()
    return lexicon.accessories.union(ending + after for after in lexicon.accessory_endings if chinese)


def _cut_unnamed(stems: Sequence[str], vocabulary: CatalogueVocabulary) -> tuple[str, ...]:
    """Return the stems up to the last that ends a type's name: `pc` of `pc athlon`."""
    ends = vocabulary.type_heads
    last = max((place for place, stem in enumerate(stems, start=1) if stem in ends), default=len(stems))
    return tuple(stems[:last])


def _list_values_before(state: ParserState, word: Word) -> list[Word]:
    """Return the value right before a type that is part of its name in titles: `usb` in `usb stick`."""
    ends = {demand.span.end: demand.span for demand in state.demands if demand.kind in ("value", "feature")}
    span = ends.get(word.start - 1)
    values = [each for each in state.words if span and span.start <= each.start < span.end]
    return values if all(value.text.isalpha() for value in values) else []


def _starts_type(state: ParserState, word: Word) -> bool:
    """Return whether a word and the next name a type of the catalogue: `power` in `2m power cable`."""
    following = [other for other in state.words if other.start == word.end + 1]
    return any(f"{word.stem} {other.stem}" in state.vocabulary.types for other in following)
