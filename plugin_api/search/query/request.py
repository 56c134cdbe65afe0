"""Read a caller's `_search`: decide whether it is reranked, and why not.

A body is parsed no further than is needed: what Attune does not read stays the bytes that came.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from mappings import fields
from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import RawObject, as_list, decoded, dumps, raw_object
from plugin_api.search.query.clauses import MATCH_ALL, required_filters
from plugin_api.search.query.field_types import NO_SCHEMA, IndexSchema
from plugin_api.search.query.query_text import QueryText
from plugin_api.search.query.text import parse_query
from plugin_api.search.query.types import (
    QUERY_PARAMETERS,
    FallbackRequest,
    Options,
    RerankRequest,
    SearchCall,
    TextSearch,
)
from plugin_api.search.reasons import Cause, Reason

MAX_BODY_BYTES = 128_000
"""Bytes of the largest search that is reranked: reranking sends it several times, a larger one goes once."""

_SOURCE_PARAMETERS = frozenset({"_source", "_source_includes", "_source_excludes"})

HEADER_PARAMETERS = frozenset({
    "routing", "preference", "search_type", "request_cache", "allow_partial_search_results",
    "ignore_unavailable", "allow_no_indices", "expand_wildcards", "ignore_throttled",
    "cancel_after_time_interval",
})  # fmt: skip
"""URL parameters that `_msearch` takes in a sub-search's header line."""

SHARED_PARAMETERS = frozenset({"typed_keys", "rest_total_hits_as_int", "max_concurrent_shard_requests"})
"""URL parameters that `_msearch` takes in its own URL."""

BODY_PARAMETERS = frozenset({"from", "size", "timeout", "track_total_hits"})
"""URL parameters that mean the same in the body, where the URL wins."""

_OWN_PARAMETERS = frozenset({"pretty"})
"""URL parameters that the sidecar itself obeys when it writes the answer."""

_OWN_WAY_PARAMETERS = {
    "scroll": Reason.SCROLL,
    "filter_path": Reason.FILTER_PATH,
    "format": Reason.OTHER_FORMAT,
}
"""URL parameters with which a search is not reranked, and why."""

_OTHER_FORMATS = ("yaml", "cbor", "smile")
"""Formats in `Accept` that OpenSearch answers in beside JSON."""

_ORDER_KEYS = ("sort", "search_after", "slice")
"""Body keys by which the caller orders hits."""

_KNOWN_KEYS = frozenset({
    "query", "post_filter", "aggs", "aggregations", "suggest", "highlight", "_source", "fields", "version",
    "docvalue_fields", "script_fields", "stored_fields", "seq_no_primary_term", "sort", "track_total_hits",
    "track_scores", "timeout", "collapse", "explain", "profile", "rescore", "indices_boost", "derived",
    "stats", "from", "size", "search_after", "pit",
})  # fmt: skip
"""Body keys that Attune's own searches can carry in parts. With any other, the caller's search is sent whole.
"""

_SORTS_BY_SCORE = ("_score", {"_score": "desc"}, {"_score": {"order": "desc"}})
"""Ways to write a sort by relevance, which is the order that reranking improves. What follows breaks ties."""

_DEFAULTS = SearchSettings()

_DEFAULT_PAGE = (("from", 0), ("size", 10))


def parse_call(
    call: SearchCall, settings: SearchSettings = _DEFAULTS, schema: IndexSchema = NO_SCHEMA
) -> RerankRequest | FallbackRequest:
    """Decide what to do with a call. What can't be read goes on, for OpenSearch to judge.

    `schema` tells what the index is like. Raises BadRequest for a malformed `ext.attune`, and for weights of
    0.
    """
    call = with_body_of_url(call)
    cause = Reason.BODY_TOO_LARGE.because() if len(call.body) > MAX_BODY_BYTES else None
    if not cause:
        try:
            original = raw_object(call.body) if call.body.strip() else {}
            return _parse_body(call, *_split_options(original), settings, schema)
        except (ValueError, RecursionError):
            cause = Reason.UNREADABLE_BODY.because()
    return FallbackRequest(call.body, call.params, cause, verbatim=True)


def parse_count(
    call: SearchCall, settings: SearchSettings = _DEFAULTS, schema: IndexSchema = NO_SCHEMA
) -> FallbackRequest:
    """Return what is sent for a `_count`, without its `ext.attune`. Raises as `parse_call` does."""
    call = with_body_of_url(call)
    request, cause = parse_call(call, settings, schema), Reason.COUNT.because()
    if isinstance(request, FallbackRequest) and request.verbatim:
        return replace(request, cause=cause)
    original = raw_object(call.body) if call.body.strip() else {}
    without, _ = _split_options(original)
    search = request if isinstance(request, RerankRequest) else request.search
    body = call.body if without is original else dumps(without)
    return FallbackRequest(body, call.params, cause, verbatim=without is original, search=search)


def with_body_of_url(call: SearchCall) -> SearchCall:
    """Return the call with the body that it has in its URL, as `source`, in its place."""
    if call.body or "source" not in call.params:
        return call
    content_type = call.params.get("source_content_type", "")
    if not content_type.startswith("application/json"):
        return call
    params = {name: value for name, value in call.params.items() if not name.startswith("source")}
    return replace(call, body=call.params["source"].encode("utf-8", "surrogatepass"), params=params)


def _parse_body(
    call: SearchCall, original: RawObject, options: Options, settings: SearchSettings, schema: IndexSchema
) -> RerankRequest | FallbackRequest:
    params = {name: value for name, value in call.params.items() if name not in _SOURCE_PARAMETERS}
    own_body = {
        **original,
        **{name: Raw(_parameter_json(params[name])) for name in params.keys() & BODY_PARAMETERS},
    }
    start, size = (_whole_number(decoded(own_body.get(name), default)) for name, default in _DEFAULT_PAGE)
    sort = as_list(decoded(own_body.get("sort")))
    by_score = bool(sort) and sort[0] in _SORTS_BY_SCORE
    left_out = {"from", "size"} | ({"sort"} if by_score and len(sort) == 1 else set())
    body = {name: value for name, value in own_body.items() if name not in left_out}
    order = [name for name in _ORDER_KEYS if decoded(body.get(name)) and not (name == "sort" and by_score)]
    order += [name for name in ("sort",) if name in params]
    stored = _stored_fields(original, call.params)
    source = _visible_source(original, call.params, stored)
    shown = {} if source is None else {"_source": Raw(dumps(source))}
    sent, body = dumps({**original, **shown}), {**body, **shown}
    query = parse_query(
        query_of_url(params) if "q" in params else decoded(body.get("query")), schema.field_types
    )
    text = " ".join((options.query or "").split())
    if (text or options.image) and isinstance(query, Cause):
        given: Any = decoded(body.get("query")) or MATCH_ALL
        query = QueryText(text, given, optional=given == MATCH_ALL or not text)
    cause = _cause_to_skip(call, body, options, order)
    if not cause and (start is None or size is None):
        cause = Reason.INVALID_PAGE.because()
    elif not cause and size == 0:
        cause = Reason.NO_HITS_REQUESTED.because()
    if isinstance(query, Cause):
        return FallbackRequest(sent, params, cause or query)
    own_params = {
        name: value
        for name, value in params.items()
        if name not in BODY_PARAMETERS and name not in QUERY_PARAMETERS
    }
    others = own_params.keys() - HEADER_PARAMETERS - SHARED_PARAMETERS - _OWN_PARAMETERS
    search: dict[str, Any] = {
        "call": call,
        "params": own_params,
        "text": text or query.text,
        "query": query,
        "options": options,
        "settings": options.over(settings),
        "required": (*schema.alias_filter, *required_filters(query.query, settings.always_fields)),
        "pit": _point_in_time(body),
        "fixed": bool(others - {"sort", *_OWN_WAY_PARAMETERS}) or not body.keys() <= _KNOWN_KEYS,
    }
    if cause or start is None or size is None:
        cause = cause or Reason.INVALID_PAGE.because()
        is_widened = cause.reason not in (Reason.NOT_REQUESTED, Reason.INVALID_PAGE)
        return FallbackRequest(sent, params, cause, search=TextSearch(**search) if is_widened else None)
    return RerankRequest(
        **search,
        body={**body, "query": Raw(dumps(query.query))},
        start=start,
        size=size,
        fallback=FallbackRequest(sent, params, Reason.NOT_REQUESTED.because()),
    )


def _cause_to_skip(call: SearchCall, body: RawObject, options: Options, order: Sequence[str]) -> Cause | None:
    """Return why a search is not reranked whatever its query is."""
    if not options.rerank:
        return Reason.NOT_REQUESTED.because()
    for name, reason in _OWN_WAY_PARAMETERS.items():
        if name in call.params:
            return reason.because()
    if any(name in call.headers.get("accept", "").lower() for name in _OTHER_FORMATS):
        return Reason.OTHER_FORMAT.because()
    if "pit" in body:
        return Reason.POINT_IN_TIME.because()
    return Reason.OWN_ORDER.because(key=order[0]) if order else None


def query_of_url(params: Mapping[str, str]) -> JsonObject:
    """Return the query that URL parameters make up."""
    names = {"q": "query", "df": "default_field"}
    options = {names.get(name, name): params[name] for name in QUERY_PARAMETERS & params.keys()}
    return {"query_string": options}


def _point_in_time(body: RawObject) -> str:
    pit = decoded(body.get("pit"))
    name = pit.get("id") if isinstance(pit, dict) else None
    return name if isinstance(name, str) else ""


def _split_options(body: RawObject) -> tuple[RawObject, Options]:
    """Return the body without `ext.attune`, and that. Raises BadRequest where it is malformed."""
    ext = decoded(body.get("ext"))
    if not isinstance(ext, dict) or fields.ATTUNE not in ext:
        return body, Options()
    given = ext.pop(fields.ATTUNE)
    rest = {key: value for key, value in body.items() if key != "ext"} | (
        {"ext": Raw(dumps(ext))} if ext else {}
    )
    try:
        options = msgspec.convert(given, Options)
    except msgspec.ValidationError as error:
        raise BadRequest(f"ext.attune: {error}") from error
    if options.client is not UNSET:  # where there are rules, it has been applied and is gone
        raise BadRequest("ext.attune.client needs a domain with rules: see the setting domain.name")
    return rest, options


def _whole_number(value: object) -> int | None:
    """Return a whole number of 0 or more, which OpenSearch also takes as a string; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _parameter_json(value: str) -> bytes:
    """Return a URL parameter's value as a body spells it."""
    if value in ("true", "false") or (value.isascii() and value.isdigit()):
        return dumps(int(value)) if value.isdigit() else value.encode()
    return dumps(value)


def _visible_source(body: RawObject, params: Mapping[str, str], stored: list[object] | None) -> Any:
    """Return the `_source` in force with Attune's fields excluded; None where the search requests none.

    As in OpenSearch, URL parameters replace the body's `_source`. `stored` are the requested stored fields:
    they and script fields come without `_source` unless it is requested.
    """
    if not params.keys() & _SOURCE_PARAMETERS:
        without = bool(decoded(body.get("script_fields"))) if stored is None else "_source" not in stored
        return _exclude_hidden(decoded(body.get("_source"), None if without else True))
    given = params.get("_source", "true")
    if given == "false":
        return False
    includes = params.get("_source_includes", "" if given in ("true", "") else given)
    excludes = params.get("_source_excludes", "")
    parts = (("includes", includes), ("excludes", excludes))
    return _exclude_hidden({key: names.split(",") for key, names in parts if names})


def _stored_fields(body: RawObject, params: Mapping[str, str]) -> list[object] | None:
    """Return the names of the requested stored fields; None where the search does not mention them."""
    if params.get("stored_fields"):
        return list(params["stored_fields"].split(","))
    return as_list(decoded(body["stored_fields"])) if "stored_fields" in body else None


def _exclude_hidden(source: object) -> object:
    if source is True:
        source = {}
    if isinstance(source, str | list):
        source = {"includes": as_list(source)}
    if not isinstance(source, dict):
        return source
    excludes = as_list(source.get("excludes", source.get("exclude")))
    if not _names_nothing_hidden(as_list(source.get("includes", source.get("include")))):
        excludes = [*excludes, *fields.HIDDEN]
    rest = {key: value for key, value in source.items() if key not in ("exclude", "excludes")}
    return {**rest, "excludes": excludes} if excludes else rest


def _names_nothing_hidden(includes: Sequence[object]) -> bool:
    """Return whether all that is requested are fields that are not Attune's, each by its name.

    To exclude Attune's as well would cost OpenSearch a seventh of the time that it takes for a page.
    """
    return bool(includes) and all(
        isinstance(name, str) and name and "*" not in name and name.split(".")[0] != fields.ATTUNE
        for name in includes
    )
