"""The one kind that a query is of, among those that a search may treat differently."""

from collections.abc import Sequence

from reranker.text.intent import strip_intent
from reranker.text.query_type import classify_query, names_one_model
from reranker.types import QueryType
from reranker.understanding.demands import Demand

_PRECISE = ("model", "measure", "price", "absence", "colour", "material", "gender", "age", "size")
"""Kinds of demands that make a query one of theirs, the first that it has: any word may be read as others."""

LOOKS = (QueryType.HEAD, QueryType.PHRASE, QueryType.SENTENCE)
"""Kinds of queries that demand nothing precise, by what they look like."""

QUERY_KINDS = (*LOOKS, *_PRECISE)
"""All kinds."""


def choose_query_kind(text: str, demands: Sequence[Demand] = ()) -> str:
    """Return the kind of a query: that of its most precise demand, else that of its looks."""
    kinds = {demand.kind for demand in demands} | (
        {QueryType.MODEL.value} if names_one_model(text) else set()
    )
    if precise := next((kind for kind in _PRECISE if kind in kinds), ""):
        return precise
    looks = classify_query(strip_intent(text))
    return looks.value if looks in LOOKS else QueryType.PHRASE.value
