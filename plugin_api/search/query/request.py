"""Reading a caller's `_search`: what is reranked, what goes to OpenSearch as it came, and why.

A body is taken apart no further than is needed: what Attune does not read stays the bytes that came.
"""

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
from plugin_api.search.query.source_filter import SOURCE_PARAMETERS, source_of, stored_fields, visible
from plugin_api.search.query.text import MAX_TEXT, QueryText, Unranked, read_query
from reranker.text.intent import strip_intent
from reranker.text.word_tokens import is_cjk

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

OUR_PARAMETERS = frozenset({"pretty"})
"""URL parameters that whoever writes the answer minds."""

EXACT_PARAMETERS = {
    "scroll": "a scroll reads everything there is, in an order of its own",
    "filter_path": "filter_path leaves out what reranking needs",
    "format": "a search is reranked in JSON only",
    "source": "a search with its body in the URL is not reranked",
    "source_content_type": "a search with its body in the URL is not reranked",
}
"""URL parameters with which a search goes on byte for byte, and why."""

OTHER_FORMS = ("yaml", "cbor", "smile")
"""In `Accept`, other forms that OpenSearch answers in than JSON."""

OWN_ORDER = ("sort", "search_after", "slice")
"""Body keys with which the caller orders hits."""

WIDENING_KEYS = frozenset({
    "query", "post_filter", "aggs", "aggregations", "suggest", "highlight", "_source", "fields", "version",
    "docvalue_fields", "script_fields", "seq_no_primary_term", "track_total_hits", "track_scores", "timeout",
})  # fmt: skip
"""Body keys that mean the same where vectors add hits. With any other the caller's own hits are reordered."""

BY_SCORE = ("_score", {"_score": "desc"}, {"_score": {"order": "desc"}})
"""Ways to write a sort by relevance, which is what reranking improves."""

Share = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=0, le=100)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`ext.attune` of a search: what is to be done differently from the settings, this once."""

    query: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    rerank: bool = True
    window: Annotated[int, Meta(ge=1, le=1000)] | None = None
    model: str | None = None
    vector_weight: Share | None = None
    keyword_weight: Weight | None = None
    relevance_weight: Weight | None = None
    click_weight: Weight | None = None
    purchase_weight: Weight | None = None

    def over(self, settings: SearchSettings) -> SearchSettings:
        """Return the settings with what is given here in their place."""
        if self == Options():
            return settings
        names = ("window", "keyword_weight", "relevance_weight", "click_weight", "purchase_weight")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        weights = ("", "_head", "_model", "_sentence")
        if self.vector_weight is not None:
            given |= {f"vector_weight{of}": self.vector_weight for of in weights}
        changed = replace(settings, **given)
        if not changed.relevance_weight + changed.click_weight + changed.purchase_weight:
            raise BadRequest("one of ext.attune's relevance, click and purchase weights must be above 0")
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
class PlainRequest:
    """The caller's own search, with Attune's fields kept out of `_source`; if `exact`, as it came."""

    body: bytes
    params: Mapping[str, str]
    reason: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A search to rerank: `body` is the caller's less from, size, sort and `ext.attune`.

    Where it `widens`, what only the vectors find joins the window, if it meets `conditions`; else the
    caller's own hits are put in another order and that is all. `plain` is for when reranking fails.
    """

    call: SearchCall
    text: str
    conditions: tuple[JsonObject, ...]
    widens: bool
    body: RawObject
    params: Mapping[str, str]
    start: int
    size: int
    options: Options
    plain: PlainRequest

    @property
    def asked(self) -> frozenset[str]:
        """Names of the doc values that the caller asked for."""
        wanted = as_list(decoded(self.body.get("docvalue_fields")))
        return frozenset(str(item.get("field") if isinstance(item, dict) else item) for item in wanted)


KEYWORD_OPTIONS = {
    "type": "cross_fields",
    "operator": "or",
    "minimum_should_match": "2<67%",
    "tie_breaker": 0.3,
}
"""Up to two words must all be found, in whichever fields; of three and more, two thirds.

Whole-catalogue nDCG@10 on the electronics judgements: 0.778; with all words of three needed too 0.769;
any two of three in the same field 0.765.
"""

UNSPACED_OPTIONS = {"minimum_should_match": "2<50%"}
"""Of Chinese and Japanese half is enough: every second pair of characters spans two words."""


def keyword_query(text: str, filters: tuple[JsonObject, ...] = ()) -> JsonObject:
    """Build the keyword query over an Attune index that `attune search`, demo and benches ask.

    Intent words ("buy", 购买) are left out.
    """
    asked = strip_intent(text)
    options = KEYWORD_OPTIONS | (UNSPACED_OPTIONS if any(map(is_cjk, asked)) else {})
    words: JsonObject = {"multi_match": {"query": asked, "fields": list(fields.TEXT_FIELDS), **options}}
    return {"bool": {"must": [words], "filter": list(filters)}} if filters else words


def parse_call(call: SearchCall) -> RerankRequest | PlainRequest:
    """Decide what to do with a call. What can't be read goes on, for OpenSearch to judge.

    Raises BadRequest for an `ext.attune` that is none.
    """
    exact = [why for name, why in EXACT_PARAMETERS.items() if name in call.params]
    if any(form in call.headers.get("accept", "").lower() for form in OTHER_FORMS):
        exact.append(EXACT_PARAMETERS["format"])
    if exact:
        return PlainRequest(call.body, call.params, exact[0], exact=True)
    try:
        body = raw_object(call.body) if call.body.strip() else {}
        if "pit" in body:
            return PlainRequest(call.body, call.params, "a point in time keeps its own order", exact=True)
        options = _options(body)
        return _parse_body(call, body, options)
    except (ValueError, RecursionError):
        return PlainRequest(call.body, call.params, "the body is no JSON object that can be read", exact=True)


def _parse_body(call: SearchCall, came: RawObject, options: Options) -> RerankRequest | PlainRequest:
    source = source_of(came, call.params)
    body = {**came, **({} if source is None else {"_source": Raw(dumps(visible(source)))})}
    params = {name: value for name, value in call.params.items() if name not in SOURCE_PARAMETERS}
    plain = PlainRequest(dumps(body), params)
    sort = as_list(decoded(body.get("sort")))
    if len(sort) == 1 and sort[0] in BY_SCORE:
        del body["sort"]
    for name in params.keys() & BODY_PARAMETERS:
        body[name] = Raw(dumps(_typed(params[name])))
    start, size = (whole(decoded(body.pop(name, Raw(dumps(default))))) for name, default in PAGE)
    own = next((key for key in OWN_ORDER if decoded(body.get(key)) or (key == "sort" and key in params)), "")
    query = _read(body, params)
    if options.query:
        conditions, widens = _given(query, body)
        query = QueryText(options.query, conditions, widens)
    reason = ""
    if not options.rerank:
        reason = "reranking was not asked for"
    elif own:
        reason = f"a search with its own {own} is not reranked"
    elif start is None or size is None:
        reason = "from or size is no whole number of 0 or more"
    elif size == 0:
        reason = "no hits were asked for"
    elif "_none_" in (stored_fields(came, call.params) or ()):
        reason = "hits without an id can't be put in another order"
    elif isinstance(query, Unranked):
        reason = query.reason
    if reason or isinstance(query, Unranked) or start is None or size is None:
        return replace(plain, reason=reason)
    other = params.keys() - HEADER_PARAMETERS - SHARED_PARAMETERS - BODY_PARAMETERS - OUR_PARAMETERS
    post_filter: Any = decoded(body.get("post_filter"))
    return RerankRequest(
        call=call,
        text=query.text,
        conditions=query.conditions + ((post_filter,) if post_filter else ()),
        widens=query.widens and body.keys() <= WIDENING_KEYS and not other,
        body=body,
        params={name: value for name, value in params.items() if name not in BODY_PARAMETERS},
        start=start,
        size=size,
        options=options,
        plain=plain,
    )


PAGE = (("from", 0), ("size", 10))


def _options(body: RawObject) -> Options:
    """Take `ext.attune` out of a body. Raises BadRequest where it is none."""
    ext = decoded(body.get("ext"))
    if not isinstance(ext, dict) or fields.ATTUNE not in ext:
        return Options()
    given = ext.pop(fields.ATTUNE)
    body["ext"] = Raw(dumps(ext))
    if not ext:
        del body["ext"]
    try:
        return msgspec.convert(given, Options)
    except msgspec.ValidationError as error:
        raise BadRequest(f"ext.attune: {error}") from error


def _read(body: RawObject, params: Mapping[str, str]) -> QueryText | Unranked:
    """Find the text in the query, or in the URL's `q`, which takes its place."""
    if "q" in params:
        return read_query({"query_string": {"query": params["q"]}})
    return read_query(decoded(body.get("query")))


def _given(query: QueryText | Unranked, body: RawObject) -> tuple[tuple[JsonObject, ...], bool]:
    """Conditions and `widens` where the text came in `ext.attune`: a query of all may be widened."""
    if isinstance(query, QueryText):
        return query.conditions, query.widens
    return (), decoded(body.get("query")) in (None, {"match_all": {}})


def whole(value: object) -> int | None:
    """A whole number of 0 or more, also when written as a string, as OpenSearch takes it; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _typed(value: str) -> object:
    """A URL parameter's value as a body spells it."""
    return {"true": True, "false": False}.get(
        value, int(value) if value.isascii() and value.isdigit() else value
    )
