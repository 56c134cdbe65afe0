"""The state of a parser: a query's words, and the demands that were read from them so far."""

import re
from functools import cache

from reranker.understanding.demands import Demand
from reranker.understanding.lexicon import alternatives, load_lexicon
from reranker.understanding.measures import find_measures
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.understanding.words import Word, list_words


class ParserState:
    """A query while it is parsed. A part of it that a demand was read from is not read again.

    `attribute_words` and `thing_words` are the starts of words that name an attribute, and so no type, and
    of words that name what is sought, and so no value.
    """

    def __init__(self, query: str, vocabulary: CatalogueVocabulary) -> None:
        self.query = query
        self.vocabulary = vocabulary
        self.words = list_words(query)
        self.measures = find_measures(query)
        self.fit = _make_fit_pattern().search(query)
        self.demands: list[Demand] = []
        self.attribute_words: set[int] = set()
        self.thing_words: set[int] = set()

    def is_free(self, start: int, end: int) -> bool:
        """Return whether no demand was read from any of a part's characters."""
        return not any(start < demand.span.end and demand.span.start < end for demand in self.demands)

    def is_measured(self, start: int, end: int) -> bool:
        """Return whether a part has something of a number with a unit."""
        return any(measure.start < end and start < measure.end for measure in self.measures)

    def list_free_words(self) -> list[Word]:
        """Return the words that no demand was read from."""
        return [word for word in self.words if self.is_free(word.start, word.end)]

    def is_after_for(self, word: Word) -> bool:
        """Return whether a word names what the product is for: the laptop of `charger for laptop`."""
        return self.fit is not None and self.fit.start() <= word.start


@cache
def _make_fit_pattern() -> re.Pattern[str]:
    """Return the pattern of what asks for a fit: for, compatible with."""
    return re.compile(alternatives(load_lexicon().words["for"]), re.IGNORECASE)
