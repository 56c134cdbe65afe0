"""A search as the caller sent it, and what it is read as."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

import msgspec
from msgspec import Meta

from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import RawObject, as_list, decoded
from plugin_api.search.query.text import MAX_TEXT
from plugin_api.search.reasons import Cause

_TIME = re.compile(r"(\d{1,18})(nanos|micros|ms|s|m|h|d)")
_SECONDS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

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
