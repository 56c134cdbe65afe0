"""Parse a query, step by step: each step reads one kind of demand from what the steps before it left."""

from collections.abc import Sequence

from reranker.understanding.demands import PriceDemand, QuerySpan, Understanding
from reranker.understanding.query.absences import parse_absences
from reranker.understanding.query.features import parse_features
from reranker.understanding.query.measures import parse_measures
from reranker.understanding.query.model_numbers import parse_model_numbers
from reranker.understanding.query.numbered_values import parse_numbered_values
from reranker.understanding.query.prices import parse_prices
from reranker.understanding.query.state import ParserState
from reranker.understanding.query.types import parse_type
from reranker.understanding.query.values import parse_values
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.understanding.words import normalise_text

_MAX_QUERY = 200
"""Characters of the longest query that is understood: beyond it is prose, which demands nothing precisely."""

_STEPS = (
    parse_prices,
    parse_absences,
    parse_numbered_values,
    parse_model_numbers,
    parse_measures,
    parse_features,
    parse_values,
    parse_type,
)


def is_understood(query: str) -> bool:
    """Return whether a normalised query is short enough to be understood."""
    return 0 < len(query) <= _MAX_QUERY


def understand(text: str, vocabulary: CatalogueVocabulary) -> Understanding:
    """Return what a query demands, by a catalogue's vocabulary. Takes less than a millisecond."""
    query = normalise_text(text)
    if not is_understood(query):
        return Understanding(query, query)
    state = ParserState(query, vocabulary)
    for step in _STEPS:
        step(state)
    demands = sorted(state.demands, key=lambda demand: demand.span.start)
    left_out = [d.span for d in demands if isinstance(d, PriceDemand) or d.kind == "absence"]
    return Understanding(query, _cut(query, left_out), tuple(demands))


def _cut(query: str, spans: Sequence[QuerySpan]) -> str:
    """Return the query without these parts; the query itself where nothing else would remain."""
    core = "".join(c for i, c in enumerate(query) if not any(s.start <= i < s.end for s in spans))
    core = " ".join(core.split()).strip(" ,;-")
    return core if any(map(str.isalnum, core)) else query
