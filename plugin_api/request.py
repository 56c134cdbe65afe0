"""Reading a caller's `_search`: what is reranked, what goes to OpenSearch as it came, and why."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from mappings import fields
from mappings.types import JsonObject
from plugin_api.query_text import Unranked, read_query
from reranker.intent import without_intent
from reranker.words import is_cjk

HIDDEN = (fields.ATTUNE, f"{fields.ATTUNE}.*")
"""Kept out of every `_source`. The pattern spares OpenSearch rebuilding the vectors: half the time."""

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

SOURCE_PARAMETERS = frozenset({"_source", "_source_includes", "_source_excludes"})

OWN_ORDER = (
    "sort",
    "search_after",
    "pit",
    "slice",
    "min_score",
    "collapse",
    "rescore",
    "stored_fields",
    "search_pipeline",
)
"""Body keys with which the caller orders, cuts or shapes hits in a way that reranking would undo."""


@dataclass(frozen=True, slots=True)
class SearchCall:
    """One `_search` as it came. `headers` are the ones that go on to OpenSearch: the caller's credentials."""

    index: str
    body: bytes = b""
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """The caller's own search, with nothing changed but Attune's fields kept out of `_source`."""

    body: bytes
    params: Mapping[str, str]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A search to rerank: `body` is the caller's less from and size, `plain` is for when all else fails."""

    text: str
    conditions: tuple[JsonObject, ...]
    body: JsonObject
    header: JsonObject
    params: Mapping[str, str]
    start: int
    size: int
    plain: PlainRequest

    @property
    def asked(self) -> frozenset[str]:
        """Attune's own fields that the caller asked for by name, and so gets to see."""
        wanted = [*_list(self.body.get("docvalue_fields")), *_list(self.body.get("fields"))]
        names = (item.get("field") if isinstance(item, dict) else item for item in wanted)
        return frozenset(
            name for name in names if isinstance(name, str) and name.startswith(f"{fields.ATTUNE}.")
        )


KEYWORD_OPTIONS: JsonObject = {"type": "cross_fields", "tie_breaker": 0.3, "minimum_should_match": "2<75%"}
"""Words may be spread over the fields; up to two must all be found, of more three quarters.

On the electronics judgements, whole catalogue, nDCG@10 is 0.78 (0.75 with any one word, best_fields 0.71).
"""


UNSPACED_OPTIONS: JsonObject = {"minimum_should_match": "2<50%"}
"""Of Chinese and Japanese half is enough: every second pair of characters spans two words."""


def keyword_query(text: str, filters: tuple[JsonObject, ...] = ()) -> JsonObject:
    """Build the keyword query over an Attune index that `attune search`, demo and benches ask.

    Intent words ("buy", 购买) are left out.
    """
    asked = without_intent(text)
    options = KEYWORD_OPTIONS | (UNSPACED_OPTIONS if any(map(is_cjk, asked)) else {})
    words: JsonObject = {"multi_match": {"query": asked, "fields": list(fields.TEXT_FIELDS), **options}}
    return {"bool": {"must": [words], "filter": list(filters)}} if filters else words


def parse_call(call: SearchCall) -> RerankRequest | PlainRequest:
    """Decide what to do with a call. Never fails: what can't be read goes on, for OpenSearch to judge."""
    try:
        body = json.loads(call.body) if call.body.strip() else {}
        if not isinstance(body, dict):
            return PlainRequest(call.body, call.params, "the body is not a JSON object")
        return _parse_body(call, body)
    except (ValueError, RecursionError):
        return PlainRequest(call.body, call.params, "the body is not JSON that can be read")


def _parse_body(call: SearchCall, came: JsonObject) -> RerankRequest | PlainRequest:
    body = {**came, "_source": _visible(_source(came, call.params))}
    params = {name: value for name, value in call.params.items() if name not in SOURCE_PARAMETERS}
    # A body where there was none would hide parameters such as `q` and `source` from OpenSearch.
    if call.body.strip() or call.params.keys() <= SOURCE_PARAMETERS:
        plain = PlainRequest(_dumps(body), params)
    else:
        excludes = ",".join(filter(None, (call.params.get("_source_excludes"), *HIDDEN)))
        plain = PlainRequest(b"", {**call.params, "_source_excludes": excludes})
    body |= {name: _typed(value) for name, value in params.items() if name in BODY_PARAMETERS}
    start, size = _whole(body.pop("from", 0)), _whole(body.pop("size", 10))
    other = params.keys() - HEADER_PARAMETERS - SHARED_PARAMETERS - BODY_PARAMETERS - {"pretty"}
    own = [key for key in OWN_ORDER if body.get(key)]
    query = read_query(body.get("query"))
    reason = ""
    if other:
        reason = f"a search with the parameter {min(other)} is not reranked"
    elif own:
        reason = f"a search with its own {own[0]} is not reranked"
    elif start is None or size is None:
        reason = "from or size is no whole number of 0 or more"
    elif size == 0:
        reason = "no hits were asked for"
    elif isinstance(query, Unranked):
        reason = query.reason
    if reason or isinstance(query, Unranked) or start is None or size is None:
        return PlainRequest(plain.body, plain.params, reason)
    return RerankRequest(
        text=query.text,
        conditions=query.conditions + ((body["post_filter"],) if body.get("post_filter") else ()),
        body=body,
        header={"index": call.index} | {key: params[key] for key in params.keys() & HEADER_PARAMETERS},
        params={key: params[key] for key in params.keys() & SHARED_PARAMETERS},
        start=start,
        size=size,
        plain=plain,
    )


def _source(body: JsonObject, params: Mapping[str, str]) -> object:
    """The `_source` in force: URL parameters, where there are any, replace the body's, as in OpenSearch."""
    if not params.keys() & SOURCE_PARAMETERS:
        return body.get("_source", True)
    given = params.get("_source", "true")
    if given == "false":
        return False
    includes = params.get("_source_includes", "" if given in ("true", "") else given)
    excludes = params.get("_source_excludes", "")
    return {key: names.split(",") for key, names in (("includes", includes), ("excludes", excludes)) if names}


def _visible(source: object) -> object:
    """`source` with Attune's fields excluded."""
    if source is True:
        return {"excludes": list(HIDDEN)}
    if isinstance(source, str | list):
        return {"includes": _list(source), "excludes": list(HIDDEN)}
    if isinstance(source, dict):
        excludes = _list(source.get("excludes", source.get("exclude")))
        rest = {key: value for key, value in source.items() if key != "exclude"}
        return {**rest, "excludes": [*excludes, *HIDDEN]}
    return source


def _whole(value: object) -> int | None:
    """A whole number of 0 or more, also when written as a string, as OpenSearch takes it; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _typed(value: str) -> object:
    """A URL parameter's value as a body spells it."""
    return {"true": True, "false": False}.get(
        value, int(value) if value.isascii() and value.isdigit() else value
    )


def _list(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _dumps(body: JsonObject) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
