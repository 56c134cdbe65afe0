"""A search as the caller sent it, and what it is read as."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from enum import Enum
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import RawObject, as_list, decoded, dumps, raw_object
from plugin_api.search.caller_key import make_caller_key
from plugin_api.search.query.query_text import QueryText
from plugin_api.search.query.text import MAX_TEXT
from plugin_api.search.reasons import Cause
from plugin_api.shoppers.pseudonyms import has_opted_out
from reranker.behaviour.personal_search import MAX_STRENGTH
from reranker.behaviour.popularity import MAX_POPULARITY
from reranker.text.query_type import is_identifier, names_one_model
from reranker.understanding.demands import Demand, Understanding
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.kinds import choose_query_kind

_TIME = re.compile(r"(\d{1,18})(nanos|micros|ms|s|m|h|d)")
_SECONDS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_MIN_WEIGHT = 1e-6
"""The least sum of the heads' weights: smaller ones are lost in rounding."""

_FIRST_PAGE = 10
"""Hits of a page: with fewer, the setting `search.recall = "fill"` adds products."""

QUERY_PARAMETERS = frozenset({
    "q", "df", "default_operator", "analyzer", "analyze_wildcard", "lenient",
})  # fmt: skip
"""URL parameters that make up a query, which a query in the body replaces."""

_BODY_HEADERS = frozenset({"content-type", "content-length", "accept"})
"""Headers that are about a call's own body and answer."""

_AROUND_HITS = frozenset({"aggs", "aggregations", "suggest", "profile", "stats"})
"""Body keys that request more than hits and their total."""

_FAR_DOWN = 1000
"""Place from which on OpenSearch is asked whether it would answer a page: beyond 10,000 it refuses one."""

_RANKING_OPTIONS = (
    "window", "keyword_weight", "relevance_weight", "click_weight", "purchase_weight", "popularity",
)  # fmt: skip
"""Options that have the name of the setting which they replace."""

MAX_IMAGE = 40_000_000
"""Characters of a picture in base64: the settings bound its bytes and pixels further."""

_MAX_USER = 256
_Share = Annotated[float, Meta(ge=0, le=1)]
_Weight = Annotated[float, Meta(ge=0, le=100)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`ext.attune` of a search: what replaces the settings for this search."""

    query: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    rerank: bool = True
    verbatim: bool = False
    window: Annotated[int, Meta(ge=1, le=1000)] | None = None
    model: str | None = None
    vector_weight: _Share | None = None
    keyword_weight: _Weight | None = None
    relevance_weight: _Weight | None = None
    click_weight: _Weight | None = None
    purchase_weight: _Weight | None = None
    image: Annotated[str, Meta(max_length=MAX_IMAGE)] = ""
    user: Annotated[str, Meta(max_length=_MAX_USER)] = ""
    popularity: Annotated[float, Meta(ge=0, le=MAX_POPULARITY)] | None = None
    user_strength: Annotated[float, Meta(ge=0, le=MAX_STRENGTH)] | None = None
    client: dict[str, Any] | UnsetType = UNSET

    @property
    def sets_ranking(self) -> bool:
        """Whether the search says itself how it is to be ranked."""
        names = (*_RANKING_OPTIONS, "vector_weight", "model")
        return any(getattr(self, name) is not None for name in names)

    def with_shopper(self, user: str, replaces: bool = False) -> "Options":
        """Return the options with a shopper where they name none, or in place of the one that they name."""
        if self.user == user or (self.user and not replaces):
            return self
        return msgspec.structs.replace(self, user=user[:_MAX_USER])

    def over(self, settings: SearchSettings) -> SearchSettings:
        """Return the settings with these options in place of theirs. Raises BadRequest for weights of 0."""
        if self == Options():
            return settings
        given = {name: value for name in _RANKING_OPTIONS if (value := getattr(self, name)) is not None}
        if self.user_strength is not None:
            given["user_strength"] = self.user_strength
        suffixes = ("", "_head", "_model", "_sentence")
        if self.vector_weight is not None:
            given |= {f"vector_weight{suffix}": self.vector_weight for suffix in suffixes}
        changed = replace(settings, **given)
        if sum(changed.head_weights) < _MIN_WEIGHT:
            raise BadRequest(
                f"one of ext.attune's relevance, click and purchase weights must be {_MIN_WEIGHT} or more"
            )
        return changed


@dataclass(frozen=True)
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
    action: str = "_search"

    @classmethod
    def of(
        cls,
        index: str,
        body: bytes = b"",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "SearchCall":
        """Return the search of an index, or of several with commas between, that is named as people do."""
        return cls(quote(index, safe=",*"), body, params or {}, headers or {})

    @property
    def path(self) -> str:
        """Where the search goes in OpenSearch."""
        return f"/{self.index}/{self.action}" if self.index else f"/{self.action}"

    @cached_property
    def caller_key(self) -> str:
        """The key of the index as this caller sees it."""
        return make_caller_key(self.index, self.headers)

    @property
    def headers_without_body(self) -> dict[str, str]:
        """The headers for a request of Attune's own that has no body and is answered in JSON."""
        return {name: value for name, value in self.headers.items() if name not in _BODY_HEADERS}


class AddWhen(Enum):
    """When products that only the vectors find join a search's result set."""

    ALWAYS = "always"
    FEW_FOUND = "few_found"
    NOTHING_FOUND = "nothing_found"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class TextSearch:
    """A text that is searched for, in an index as one caller sees it.

    It, and not the conditions of a search, decides which products the vectors add. `params` are the URL
    parameters of Attune's own searches; `pit` is the caller's point in time. Products that are added must
    meet `required`, such as a tenant, before the nearest are chosen. `fixed` is true where none may be added,
    because the search has something that can't be asked of them. `understanding` is what the text demands,
    where the index has a vocabulary for an `interpreter`; `text` is then without prices and exclusions.
    `made_with` is the version of the model that the index records, empty where it isn't known.
    """

    call: SearchCall
    params: Mapping[str, str]
    text: str
    query: QueryText
    options: Options
    settings: SearchSettings
    required: tuple[JsonObject, ...] = ()
    pit: str = ""
    fixed: bool = False
    understanding: Understanding | None = None
    interpreter: QueryInterpreter | None = None
    made_with: str = ""

    @property
    def is_personal(self) -> bool:
        """Whether a search names its shopper, who has not opted out."""
        return bool(self.options.user) and not has_opted_out(self.call.headers)

    @property
    def add_when(self) -> AddWhen:
        """When products that only the vectors find join the result set.

        A text with a model number is as precise as one that asks for all words.
        """
        if self.fixed or self.options.verbatim:
            return AddWhen.NEVER
        if self.query.optional:
            return AddWhen.ALWAYS
        if not self.query.clauses or self.settings.recall == "off" or is_identifier(self.text):
            return AddWhen.NEVER
        if self.query.precise or names_one_model(self.text):
            return AddWhen.NOTHING_FOUND if self.settings.rescue else AddWhen.NEVER
        return AddWhen.FEW_FOUND if self.settings.recall == "fill" else AddWhen.ALWAYS

    @property
    def demands(self) -> Sequence[Demand]:
        """What the text demands of products."""
        return self.understanding.demands if self.understanding else ()

    @property
    def is_checked(self) -> bool:
        """Whether the text demands what the catalogue's facts can be checked for."""
        return self.understanding is not None and self.understanding.is_checked

    @property
    def kind(self) -> str:
        """The kind of the query, as the setting `search.keep_order` names it."""
        return choose_query_kind(self.understanding.text if self.understanding else self.text, self.demands)

    @property
    def min_hits(self) -> int:
        """How many hits of the text alone are enough for no product to be added."""
        return _FIRST_PAGE if self.add_when is AddWhen.FEW_FOUND else 1


@dataclass(frozen=True, slots=True)
class FallbackRequest:
    """The search that is sent on where it is not reranked, and why.

    Attune's fields are left out of its `_source`. Where it is `verbatim`, it is sent byte for byte. Where it
    has a `search`, its result set grows by what the vectors add to the text.
    """

    body: bytes
    params: Mapping[str, str]
    cause: Cause
    verbatim: bool = False
    search: TextSearch | None = None

    def with_query(self, query: JsonObject) -> "FallbackRequest":
        """Return the request with another query, in the body."""
        body = dumps({**raw_object(self.body or b"{}"), "query": Raw(dumps(query))})
        params = {name: value for name, value in self.params.items() if name not in QUERY_PARAMETERS}
        return replace(self, body=body, params=params, verbatim=False)


@dataclass(frozen=True, slots=True)
class RerankRequest(TextSearch):
    """A search to rerank. `body` is the caller's without from, size, sort and `ext.attune`.

    A `fixed` one is sent whole, for its own hits to be reordered. `fallback` is sent where reranking fails.
    """

    body: RawObject = field(default_factory=dict)
    start: int = 0
    size: int = 10
    fallback: FallbackRequest = field(kw_only=True)

    @property
    def end(self) -> int:
        """How many hits there are down to the end of the page."""
        return self.start + self.size

    @property
    def keeps_order(self) -> bool:
        """Whether OpenSearch's order is kept, because the query is of a kind for which that is set."""
        kinds = self.settings.kept_kinds
        return bool(kinds) and not self.options.sets_ranking and self.kind in kinds

    def as_unranked(self, cause: Cause) -> FallbackRequest:
        """Return the search in OpenSearch's order, with the same result set."""
        names = [each.name for each in dataclass_fields(TextSearch)]
        search = TextSearch(**{name: getattr(self, name) for name in names})
        return replace(self.fallback, cause=cause, search=search)

    @property
    def timeout_seconds(self) -> float:
        """The caller's `timeout`; infinity where there is none, or none that can be read."""
        try:
            match = _TIME.fullmatch(str(decoded(self.body.get("timeout"), "")))
        except ValueError:  # not Unicode, or a number beyond all floats: OpenSearch judges it
            return math.inf
        return int(match[1]) * _SECONDS[match[2]] if match else math.inf

    @property
    def hides_ids(self) -> bool:
        """Whether the caller's hits come without `_id`: then only `attune.key` tells which hit is which."""
        return "_none_" in as_list(decoded(self.body.get("stored_fields")))

    @property
    def wants_hits_alone(self) -> bool:
        """Whether nothing is requested but hits, none of them far down, and their total."""
        return self.end <= _FAR_DOWN and not self.body.keys() & _AROUND_HITS

    @property
    def collapse_field(self) -> str:
        """The field by which hits are collapsed; empty where they are not."""
        collapse = decoded(self.body.get("collapse"))
        name = collapse.get("field") if isinstance(collapse, dict) else None
        return name if isinstance(name, str) else ""

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
