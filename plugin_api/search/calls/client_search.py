"""Restrict a search to what may be shown to the client that it names in `ext.attune.client`.

A search is changed before it is parsed, so that every way in which it may be answered obeys the rules. What
can't be read goes on with its `ext.attune`, which OpenSearch refuses.
"""

from collections.abc import Mapping
from dataclasses import replace

from msgspec import Raw

from mappings import fields
from mappings.errors import BadRequest
from mappings.types import JsonObject
from plugin_api.clients.rules import MARKED, SHOW, ClientRules, ShownPart
from plugin_api.opensearch.raw_json import RawObject, decoded, dumps, raw_object
from plugin_api.search.answer import Answer
from plugin_api.search.calls.marked_page import check_marked
from plugin_api.search.query.clauses import MATCH_ALL
from plugin_api.search.query.request import query_of_url, with_body_of_url
from plugin_api.search.query.types import QUERY_PARAMETERS, SearchCall

_CLIENT = "client"
_AGGREGATIONS = ("aggs", "aggregations")


def restrict_call(
    call: SearchCall, rules: ClientRules, said: Mapping[str, object], part: ShownPart = ShownPart.REQUESTED
) -> SearchCall:
    """Return the search as its client may be answered it; as it came where it names none.

    `said` is what the text itself says of the client, which the search's own `client` goes before. Raises
    BadRequest for a client that can't be read, for aggregations over everything, and for a search that can't
    show marked products last.
    """
    call = with_body_of_url(call)
    ext = _read_ext(call)
    if ext is None:
        return call
    body = raw_object(call.body) if call.body.strip() else {}
    options = ext.get(fields.ATTUNE)
    given = options.get(_CLIENT) if isinstance(options, dict) else None
    if given is None and not said:
        return call
    if _shows_marked(given):
        check_marked(call)
    applied = rules.apply({**said, **given} if isinstance(given, dict) else given or dict(said), part)
    if any(_has_global(decoded(body.get(name))) for name in _AGGREGATIONS):
        raise BadRequest("a search with ext.attune.client can't have a global aggregation")
    query = query_of_url(call.params) if "q" in call.params else decoded(body.get("query"), MATCH_ALL)
    changed: RawObject = {**body, "query": Raw(dumps(applied.restrict(query)))}
    if isinstance(options, dict):
        rest = {name: value for name, value in options.items() if name != _CLIENT}
        changed["ext"] = Raw(dumps({**ext, fields.ATTUNE: rest}))
    params = {name: value for name, value in call.params.items() if name not in QUERY_PARAMETERS}
    return replace(call, body=dumps(changed), params=params)


def shows_marked(call: SearchCall) -> bool:
    """Return whether a search asks for what does not suit its client, too."""
    ext = _read_ext(with_body_of_url(call))
    options = ext.get(fields.ATTUNE) if ext else None
    return isinstance(options, dict) and _shows_marked(options.get(_CLIENT))


def mark_answer(answer: Answer, rules: ClientRules) -> Answer:
    """Return the answer with its marked hits last on the page, each with its warnings."""
    if answer.status != 200 or not rules:
        return answer
    body = answer.read()
    try:
        return replace(answer, body=dumps(rules.mark(raw_object(body))))
    except ValueError:
        return replace(answer, body=body)


def _read_ext(call: SearchCall) -> JsonObject | None:
    """Return the `ext` of a search, empty where it has none; None where its body can't be read."""
    try:
        body = raw_object(call.body) if call.body.strip() else {}
        ext = decoded(body.get("ext"))
    except (ValueError, RecursionError):
        return None
    return ext if isinstance(ext, dict) else {}


def _shows_marked(client: object) -> bool:
    return isinstance(client, dict) and client.get(SHOW) == MARKED


def _has_global(aggregations: object) -> bool:
    if not isinstance(aggregations, dict):
        return False
    return any(
        isinstance(each, dict)
        and ("global" in each or any(_has_global(each.get(name)) for name in _AGGREGATIONS))
        for each in aggregations.values()
    )
