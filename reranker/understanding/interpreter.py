"""One catalogue's understanding: its vocabulary, its types as an encoder sees them, and the weights."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from reranker.types import Floats
from reranker.understanding.adjustment import Adjustment, Weights, adjust_scores, load_weights
from reranker.understanding.demands import TypeDemand, Understanding
from reranker.understanding.query import is_understood, understand
from reranker.understanding.spelling.corrector import SpellingCorrector
from reranker.understanding.type_index import TypeIndex, build_type_index
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.understanding.words import normalise_text


@dataclass(frozen=True)
class QueryInterpreter:
    """Understands queries of one catalogue. `encode` turns a text into its unit vector (d,).

    The first query with a type encodes the catalogue's types, at most 1,000 short texts; `load` does it
    beforehand.
    """

    vocabulary: CatalogueVocabulary
    encode: Callable[[str], Floats]
    weights: Weights = field(default_factory=load_weights)

    def load(self) -> "QueryInterpreter":
        """Encode the catalogue's types and load its spellings now."""
        _ = self.types
        self.corrector.load()
        return self

    @cached_property
    def types(self) -> TypeIndex:
        """The catalogue's types."""
        return build_type_index(self.vocabulary, self.encode)

    @cached_property
    def corrector(self) -> SpellingCorrector:
        """What corrects queries of the catalogue."""
        return SpellingCorrector(self.vocabulary.spellings)

    def understand(self, text: str, keep: Collection[str] = (), corrects: bool = True) -> Understanding:
        """Return what a query demands, after its words are corrected but for the case-folded words to `keep`.

        Nothing is corrected unless it `corrects`.
        """
        query = normalise_text(text)
        if not corrects or not is_understood(query):
            return understand(query, self.vocabulary)
        corrected = self.corrector.correct(query, keep)
        understanding = understand(corrected.text, self.vocabulary)
        if not corrected.corrections:
            return understanding
        return replace(understanding, original=query, corrections=corrected.corrections)

    def find_nearness(self, understanding: Understanding) -> Floats | None:
        """Return how near each of the catalogue's types (T,) is to the query's; None where there are none."""
        for demand in understanding.demands:
            if isinstance(demand, TypeDemand) and self.types.phrases:
                return self.types.nearness(self.encode(demand.words), demand.stems)
        return None

    def adjust(
        self,
        understanding: Understanding,
        facts: Sequence[bytes],
        prices: Sequence[float | None],
        scores: Sequence[float],
        missed: Sequence[float] = (),
    ) -> Adjustment:
        """Return the probabilities of n hits, moved by what their facts and prices say of the demands.

        `missed` (n,) are log-odds that each hit lost for not having the query's words.
        """
        near = self.find_nearness(understanding)
        return adjust_scores(understanding, facts, prices, scores, self.weights, self.types, near, missed)
