"""Leave out what does not meet a query's demands of the kinds that `search.filter_demands` names."""

from collections.abc import Collection
from dataclasses import replace

from msgspec import Raw

from plugin_api.opensearch.raw_json import dumps, raw_object
from plugin_api.search.query.request import with_body_of_url
from plugin_api.search.query.types import QUERY_PARAMETERS, SearchCall, TextSearch
from plugin_api.search.retrieval.demand_clauses import build_demand_clauses


def filter_by_demands(call: SearchCall, search: TextSearch, kinds: Collection[str]) -> SearchCall:
    """Return the call with a filter for each demand of these kinds that OpenSearch can be asked for.

    `search` is the call as it was read. The filters are conditions like any other: totals, facets and added
    products keep to them.
    """
    understanding = search.understanding
    demands = [demand for demand in search.demands if demand.kind in kinds]
    clauses = build_demand_clauses(demands, understanding.text) if understanding else []
    if not clauses:
        return call
    call = with_body_of_url(call)
    body = raw_object(call.body) if call.body.strip() else {}
    params = {name: value for name, value in call.params.items() if name not in QUERY_PARAMETERS}
    query = {"bool": {"must": [search.query.query], "filter": clauses}}
    return replace(call, body=dumps({**body, "query": Raw(dumps(query))}), params=params)
