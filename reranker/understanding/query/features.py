"""What the product must have: the full name of an attribute that is yes or no, such as a touch screen."""

from collections.abc import Sequence

from reranker.understanding.demands import PresenceDemand, QuerySpan
from reranker.understanding.lexicon import load_lexicon
from reranker.understanding.query.state import ParserState
from reranker.understanding.words import Word, compact_words


def parse_features(state: ParserState) -> None:
    """Read the features, the longest names first."""
    free, flags = state.list_free_words(), state.vocabulary.flags_by_name
    for length in (3, 2, 1):
        for i in range(len(free) - length + 1):
            words = free[i : i + length]
            compact = compact_words("".join(word.text for word in words))
            names = flags.get(compact) or flags.get("".join(sorted({word.stem for word in words})))
            if not names or not all(state.is_free(word.start, word.end) for word in words):
                continue
            if _is_sought(state, words):
                state.thing_words |= {word.start for word in words}
            elif words[0].stem not in load_lexicon().values:
                span = QuerySpan(words[0].start, words[-1].end)
                stems = tuple(word.stem for word in words)
                state.demands.append(PresenceDemand(span, "feature", stems, tuple(names)))


def _is_sought(state: ParserState, words: Sequence[Word]) -> bool:
    """Return whether words name what is sought, no feature of it: the charger of `charger for laptop`.

    They are a type, and nothing else that is not after "for" is one.
    """
    vocabulary = state.vocabulary
    if " ".join(word.stem for word in words) not in vocabulary.types:
        return False
    others = [
        word
        for word in state.list_free_words()
        if word not in words and word.stem in vocabulary.type_heads and word.text not in vocabulary.brands
    ]
    return all(map(state.is_after_for, others)) and not state.is_after_for(words[0])
