"""Read a caller's `_search`: decide whether it is reranked, and why not.

A body is parsed no further than is needed: what Attune does not read stays the bytes that came.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from mappings import fields
from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from plugin_api.opensearch.raw_json import RawObject, as_list, decoded, dumps, raw_object
from plugin_api.search.query.text import QueryText, parse_query
from plugin_api.search.query.types import FallbackRequest, Options, RerankRequest, SearchCall
from plugin_api.search.reasons import Cause, Reason

MAX_BODY_BYTES = 128_000
"""Bytes of the largest search that is reranked: reranking sends it several times, a larger one goes once."""

HIDDEN_FIELDS = (fields.ATTUNE, f"{fields.ATTUNE}.*")
"""Left out of every `_source`. With the pattern OpenSearch does not rebuild the vectors: half the time."""

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

_VERBATIM_PARAMETERS = {
    "scroll": Reason.SCROLL,
    "filter_path": Reason.FILTER_PATH,
    "format": Reason.OTHER_FORMAT,
    "source": Reason.BODY_IN_URL,
    "source_content_type": Reason.BODY_IN_URL,
}
"""URL parameters with which a search goes on byte for byte, and why."""

_OTHER_FORMATS = ("yaml", "cbor", "smile")
"""Formats in `Accept` that OpenSearch answers in beside JSON."""

_ORDER_KEYS = ("sort", "search_after", "slice")
"""Body keys by which the caller orders hits."""

_KEYS_FOR_VECTOR_HITS = frozenset({
    "query", "post_filter", "aggs", "aggregations", "suggest", "highlight", "_source", "fields", "version",
    "docvalue_fields", "script_fields", "seq_no_primary_term", "sort", "track_total_hits", "track_scores",
    "timeout",
})  # fmt: skip
"""Body keys that mean the same where vectors add hits. With any other the caller's own hits are reordered."""

_SORTS_BY_SCORE = ("_score", {"_score": "desc"}, {"_score": {"order": "desc"}})
"""Ways to write a sort by relevance, which is the order that reranking improves. What follows breaks ties."""

_DEFAULTS = SearchSettings()

_DEFAULT_PAGE = (("from", 0), ("size", 10))


def parse_call(call: SearchCall, settings: SearchSettings = _DEFAULTS) -> RerankRequest | FallbackRequest:
    """Decide what to do with a call. What can't be read goes on, for OpenSearch to judge.

    Raises BadRequest for a malformed `ext.attune`, and for weights of 0.
    """
    verbatim = [reason for name, reason in _VERBATIM_PARAMETERS.items() if name in call.params]
    if any(name in call.headers.get("accept", "").lower() for name in _OTHER_FORMATS):
        verbatim.append(Reason.OTHER_FORMAT)
    if len(call.body) > MAX_BODY_BYTES:
        verbatim.append(Reason.BODY_TOO_LARGE)
    if not verbatim:
        try:
            original = raw_object(call.body) if call.body.strip() else {}
            if "pit" not in original:
                return _parse_body(call, *_split_options(original), settings)
            verbatim.append(Reason.POINT_IN_TIME)
        except (ValueError, RecursionError):
            verbatim.append(Reason.UNREADABLE_BODY)
    return FallbackRequest(call.body, call.params, verbatim[0].because(), verbatim=True)


def _parse_body(
    call: SearchCall, original: RawObject, options: Options, settings: SearchSettings
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
        {"query_string": {"query": params["q"]}} if "q" in params else decoded(body.get("query"))
    )
    text = " ".join((options.query or "").split())
    if text and isinstance(query, Cause):
        is_for_all = decoded(body.get("query")) in (None, {"match_all": {}})
        query = QueryText(text, (), allows_vector_hits=is_for_all)
    cause: Cause | None = None
    if not options.rerank:
        cause = Reason.NOT_REQUESTED.because()
    elif order:
        cause = Reason.OWN_ORDER.because(key=order[0])
    elif start is None or size is None:
        cause = Reason.INVALID_PAGE.because()
    elif size == 0:
        cause = Reason.NO_HITS_REQUESTED.because()
    elif isinstance(query, Cause):
        cause = query
    if cause or isinstance(query, Cause) or start is None or size is None:
        return FallbackRequest(sent, params, cause or Reason.INVALID_PAGE.because())
    other = params.keys() - HEADER_PARAMETERS - SHARED_PARAMETERS - BODY_PARAMETERS - _OWN_PARAMETERS
    post_filter: Any = decoded(body.get("post_filter"))
    return RerankRequest(
        call=call,
        text=text or query.text,
        conditions=query.conditions + ((post_filter,) if post_filter else ()),
        allows_vector_hits=query.allows_vector_hits and body.keys() <= _KEYS_FOR_VECTOR_HITS and not other,
        body=body,
        params={name: value for name, value in params.items() if name not in BODY_PARAMETERS},
        start=start,
        size=size,
        options=options,
        settings=options.over(settings),
        fallback=FallbackRequest(sent, params, Reason.NOT_REQUESTED.because()),
    )


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
        return rest, msgspec.convert(given, Options)
    except msgspec.ValidationError as error:
        raise BadRequest(f"ext.attune: {error}") from error


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
        return {"excludes": list(HIDDEN_FIELDS)}
    if isinstance(source, str | list):
        return {"includes": as_list(source), "excludes": list(HIDDEN_FIELDS)}
    if isinstance(source, dict):
        excludes = source.get("excludes", source.get("exclude"))
        rest = {key: value for key, value in source.items() if key != "exclude"}
        return {**rest, "excludes": [*as_list(excludes), *HIDDEN_FIELDS]}
    return source
