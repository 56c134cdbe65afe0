"""Ask OpenSearch for hits that meet a query's demands, so that they are among the candidates."""

from collections.abc import Sequence

from mappings import fields
from mappings.types import JsonObject
from reranker.text.product_text import format_number
from reranker.understanding.demands import (
    Demand,
    MeasureDemand,
    ModelDemand,
    PresenceDemand,
    PriceDemand,
    TypeDemand,
    ValueDemand,
)

_FACETS_TEXT = f"{fields.FACETS}.text"
_TEXTS = (fields.DEMANDED_TITLE, fields.DESCRIPTION, _FACETS_TEXT)
_NONE = ("false", "N", "No", "None", "Not available", "Not supported")
_MOST = 8
"""Attributes of a demand that are asked for."""


def build_demand_clauses(demands: Sequence[Demand], text: str) -> list[JsonObject]:
    """Return a clause for each demand that an index of Attune's can be asked for; `text` is the query's."""
    clauses = []
    for demand in demands:
        said = text[demand.span.start : demand.span.end]
        if alternatives := _list_alternatives(demand, said):
            clauses.append({"bool": {"should": alternatives, "minimum_should_match": 1}})
    return clauses


def _list_alternatives(demand: Demand, said: str) -> list[JsonObject]:
    """Return the queries of which a hit that meets a demand matches one; none where that can't be asked."""
    match demand:
        case MeasureDemand() if demand.low == demand.high:
            numbers = [
                f"{name}={format_number(round(demand.low / factor, digits))}"
                for name, factor in demand.attributes[:_MOST]
                for digits in (0, 1, 2, 3)
            ]
            return [
                {"terms": {fields.FACETS: list(dict.fromkeys(numbers))}},
                _phrase(fields.DEMANDED_TITLE, said),
            ]
        case ValueDemand():
            words = [sorted(synonyms) for synonyms in demand.stems]
            anywhere = [
                {"multi_match": {"query": " ".join(one), "fields": [fields.DEMANDED_TITLE, _FACETS_TEXT]}}
                for one in words
            ]
            return [{"bool": {"must": anywhere}}]
        case PriceDemand() if not demand.cheap:
            limits = {"gte": demand.low} | ({"lte": demand.high} if demand.high < float("inf") else {})
            return [{"range": {fields.DEMANDED_PRICE: limits}}]
        case PresenceDemand() if demand.kind == "absence":
            lacks: list[JsonObject] = [
                {"terms": {f"{fields.ATTRIBUTES}.{name}": list(_NONE)}} for name in demand.attributes[:_MOST]
            ]
            instead = [
                {"match": {name: " ".join(demand.instead)}} for name in (fields.DEMANDED_TITLE, _FACETS_TEXT)
            ]
            return lacks + (instead if demand.instead else [])
        case PresenceDemand():
            return [{"terms": {fields.FACETS: [f"{name}=true" for name in demand.attributes[:_MOST]]}}]
        case ModelDemand():
            numbers = [*demand.models, said]
            return [_phrase(name, number) for name in _TEXTS for number in dict.fromkeys(numbers)]
        case MeasureDemand() | PriceDemand() | TypeDemand():
            return []
    return []


def _phrase(name: str, text: str) -> JsonObject:
    return {"match_phrase": {name: text}}
