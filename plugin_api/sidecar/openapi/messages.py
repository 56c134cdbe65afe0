"""Bodies that only the OpenAPI document needs as types, since the sidecar writes or reads them otherwise.

Searches are taken apart no further than is needed, and answers are built as they go; tests hold the answers
to these types.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from plugin_api.search.query.request import Options
from plugin_api.search.response import Report
from reranker.encoders.token_spans import TokenText
from reranker.explanation import Contribution, QueryWord

Version = Annotated[str, Meta(description="A model's version: 12 hex digits of a hash over its files.")]
Positive = Annotated[int, Meta(ge=0)]


class SearchExt(msgspec.Struct, frozen=True):
    """What is under `ext` of a search; `attune` is taken out before the search goes on."""

    attune: Options | UnsetType = UNSET


class SearchBody(msgspec.Struct, frozen=True):
    """OpenSearch's own search body: whatever else it takes may stand here too."""

    query: Annotated[dict[str, Any], Meta(description="OpenSearch's query DSL.")] | UnsetType = UNSET
    start: Positive | UnsetType = msgspec.field(name="from", default=UNSET)
    size: Positive | UnsetType = UNSET
    ext: SearchExt | UnsetType = UNSET


class TemplateBody(msgspec.Struct, frozen=True):
    """OpenSearch's own body of a search template."""

    id: str | UnsetType = UNSET
    source: Annotated[Any, Meta(description="The template, as an object or a string.")] | UnsetType = UNSET
    params: dict[str, Any] | UnsetType = UNSET


class FoundExt(msgspec.Struct, frozen=True):
    """Attune's report, beside whatever else is under `ext`."""

    attune: Report


class Hits(msgspec.Struct, frozen=True):
    """The page of hits, best first. `_score` is the model's probability where the search was reranked."""

    hits: list[dict[str, Any]]
    total: Any | UnsetType = UNSET
    max_score: float | None = None


class Found(msgspec.Struct, frozen=True):
    """OpenSearch's own answer; `ext.attune` is missing where it came through byte for byte."""

    hits: Hits | UnsetType = UNSET
    took: int | UnsetType = UNSET
    timed_out: bool | UnsetType = UNSET
    ext: FoundExt | UnsetType = UNSET


class FoundLists(msgspec.Struct, frozen=True):
    """OpenSearch's own answer to a list of searches; each reranked one has its own report."""

    responses: list[dict[str, Any]]


class ErrorCause(msgspec.Struct, frozen=True):
    """The kind of an error, and what is wrong, where, and what to do about it."""

    type: str
    reason: str


class ErrorDetail(msgspec.Struct, frozen=True):
    """The error, and the same again as OpenSearch has it for its shards."""

    type: str
    reason: str
    root_cause: list[ErrorCause]


class Error(msgspec.Struct, frozen=True):
    """An error in OpenSearch's own shape."""

    error: ErrorDetail
    status: int


class Health(msgspec.Struct, frozen=True):
    """That the process lives, the default model's version, and those of all that are loaded."""

    status: Literal["alive"]
    model: Version
    models: list[Version]


class Ready(msgspec.Struct, frozen=True):
    """Whether searches can be answered now, and why not."""

    status: Literal["ready", "unready"]
    model: Version
    reason: str | UnsetType = UNSET


class PreviewConfig(msgspec.Struct, frozen=True):
    """What the preview page starts with: settings in force, and where judgements are kept."""

    alias: str
    models: list[Version]
    window: int
    keyword_weight: float
    relevance_weight: float
    click_weight: float
    purchase_weight: float
    judgements: Literal["file", "browser"]
    image_hosts: list[str]


class KeywordQuery(msgspec.Struct, frozen=True):
    """The `query` of a search that looks for a text as `attune search` does."""

    query: dict[str, Any]


class Saved(msgspec.Struct, frozen=True):
    """That the judgement is in the file."""

    saved: Literal[True]


class Grades(msgspec.Struct, frozen=True):
    """Grade by product id, of those that are judged."""

    grades: dict[str, Annotated[int, Meta(ge=0, le=3)]]


class ExplainedEvidence(msgspec.Struct, frozen=True):
    """What the first stage says of a hit; ranks count from 1, 0 is not among the window's best."""

    bm25: float
    best_bm25: float
    keyword_rank: Positive
    vector_rank: Positive
    log_odds: float
    typical_share: float


class ExplainedAttention(msgspec.Struct, frozen=True):
    """From each token of the query (rows) to each of the product's: weights, cosines, what each adds."""

    query: list[str]
    product: list[TokenText]
    weights: list[list[float]]
    cosines: list[list[float]]
    log_odds: list[float | None]


class ExplainedHit(msgspec.Struct, frozen=True):
    """One hit's score taken apart, in log-odds. Each part is the score less the score without it."""

    index: str
    id: str
    query: str
    model: Version
    score: Annotated[float, Meta(ge=0, le=1)]
    log_odds: float
    unknown: Annotated[float, Meta(description="Share of the query that the model doesn't know.")]
    as_ranked: bool
    why_not: Literal["", "no_vectors", "other_model", "other_text"]
    evidence: ExplainedEvidence
    model_log_odds: float
    heads: dict[str, float]
    features: list[Contribution]
    words: list[QueryWord]
    attention: ExplainedAttention
