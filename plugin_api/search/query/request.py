"""Read a caller's `_search`: decide whether it is reranked, and why not.

A body is parsed no further than is needed: what Attune does not read stays the bytes that came.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from mappings import fields
from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import RawObject, as_list, decoded, dumps, raw_object
from plugin_api.search.query.source_filter import SOURCE_PARAMETERS, stored_fields, visible_source
from plugin_api.search.query.text import MAX_TEXT, QueryText, parse_query
from plugin_api.search.reasons import Cause, Reason

MAX_BODY_BYTES = 128_000
"""Bytes of the largest search that is reranked: reranking sends it several times, a larger one goes once."""

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

_TIME = re.compile(r"(\d{1,18})(nanos|micros|ms|s|m|h|d)")
_SECONDS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_DEFAULTS = SearchSettings()

_DEFAULT_PAGE = (("from", 0), ("size", 10))

_MIN_WEIGHT = 1e-6
"""The least sum of the heads' weights: smaller ones are lost in rounding."""

_Share = Annotated[float, Meta(ge=0, le=1)]
_Weight = Annotated[float, Meta(ge=0, le=100)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`ext.attune` of a search: what replaces the settings for this search."""

    query: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    rerank: bool = True
    window: Annotated[int, Meta(ge=1, le=1000)] | None = None
    model: str | None = None
    vector_weight: _Share | None = None
    keyword_weight: _Weight | None = None
    relevance_weight: _Weight | None = None
    click_weight: _Weight | None = None
    purchase_weight: _Weight | None = None

    def over(self, settings: SearchSettings) -> SearchSettings:
        """Return the settings with these options in place of theirs. Raises BadRequest for weights of 0."""
        if self == Options():
            return settings
        names = ("window", "keyword_weight", "relevance_weight", "click_weight", "purchase_weight")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        suffixes = ("", "_head", "_model", "_sentence")
        if self.vector_weight is not None:
            given |= {f"vector_weight{suffix}": self.vector_weight for suffix in suffixes}
        changed = replace(settings, **given)
        if changed.relevance_weight + changed.click_weight + changed.purchase_weight < _MIN_WEIGHT:
            raise BadRequest(
                f"one of ext.attune's relevance, click and purchase weights must be {_MIN_WEIGHT} or more"
            )
        return changed


@dataclass(frozen=True, slots=True)
class SearchCall:
    """One `_search` as it came.

    `index` is as in the path, percent-encoded, empty for all indexes. `headers` are end-to-end, names in
    lower case: the caller's credentials among them.
    """

    index: str
    body: bytes = b""
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    @property
    def path(self) -> str:
        """Where the search goes in OpenSearch."""
        return f"/{self.index}/_search" if self.index else "/_search"


@dataclass(frozen=True, slots=True)
class FallbackRequest:
    """The search that is sent on where it is not reranked, and why.

    Attune's fields are left out of its `_source`. Where it is `verbatim`, it is sent byte for byte.
    """

    body: bytes
    params: Mapping[str, str]
    cause: Cause
    verbatim: bool = False


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A search to rerank. `body` is the caller's without from, size, sort and `ext.attune`.

    Where it `allows_vector_hits`, hits that only the vectors find join the window if they meet `conditions`;
    else the caller's own hits are reordered. `settings` are those in force, `options` applied. `fallback` is
    sent where reranking fails.
    """

    call: SearchCall
    text: str
    conditions: tuple[JsonObject, ...]
    allows_vector_hits: bool
    body: RawObject
    params: Mapping[str, str]
    start: int
    size: int
    options: Options
    settings: SearchSettings
    fallback: FallbackRequest

    @property
    def end(self) -> int:
        """How many hits there are down to the end of the page."""
        return self.start + self.size

    @property
    def timeout_seconds(self) -> float:
        """The caller's `timeout`; infinity where there is none, or none that can be read."""
        try:
            match = _TIME.fullmatch(str(decoded(self.body.get("timeout"), "")))
        except ValueError:  # not Unicode, or a number beyond all floats: OpenSearch judges it
            return math.inf
        return int(match[1]) * _SECONDS[match[2]] if match else math.inf

    @property
    def docvalue_fields(self) -> list[object]:
        """The doc values that the caller requests."""
        return as_list(decoded(self.body.get("docvalue_fields")))

    @property
    def docvalue_names(self) -> frozenset[str]:
        """Names of the doc values that the caller requests."""
        return frozenset(
            str(item.get("field") if isinstance(item, dict) else item) for item in self.docvalue_fields
        )


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
    params = {name: value for name, value in call.params.items() if name not in SOURCE_PARAMETERS}
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
    stored = stored_fields(original, call.params)
    source = visible_source(original, call.params, stored)
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
