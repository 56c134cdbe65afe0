"""The requests and responses of the model routes, in the shapes that existing clients send and read.

- Documents: Cohere's rerank v1 and v2, Jina's, Voyage's, vLLM's and Infinity's.
- Texts: text-embeddings-inference's rerank.
- Embeddings: OpenAI's.

Requests are checked while they are decoded. Fields that are not named here are ignored, since the services
themselves send and take more from version to version. openapi.yaml describes every field; a test compares
its types with these.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

_Text = Annotated[str, Meta(min_length=1)]
_Index = Annotated[int, Meta(ge=0)]
_Top = Annotated[int, Meta(ge=1)]

DOCUMENT_TYPES = ("document", "search_document", "passage")
"""Names of the input type of a product, and not of a query: Voyage's, Cohere's and NVIDIA's."""


class QueryObject(msgspec.Struct, frozen=True):
    """A query as an object, as Jina's clients may send it."""

    text: _Text


class DocumentsRequest(msgspec.Struct, frozen=True):
    """A query and the documents to order by it."""

    query: _Text | QueryObject
    documents: Annotated[list[str | dict[str, Any]], Meta(min_length=1)]
    model: str | None = None
    top_n: _Top | None = None
    top_k: _Top | UnsetType | None = UNSET
    truncation: bool | UnsetType | None = UNSET
    rank_fields: Annotated[list[str], Meta(min_length=1, max_length=100)] | None = None
    return_documents: bool | None = None

    @property
    def query_text(self) -> str:
        """The query's text, however it was sent."""
        return self.query if isinstance(self.query, str) else self.query.text

    @property
    def limit(self) -> int | None:
        """How many results to return; None returns all."""
        return self.top_n or self.top_k or None

    @property
    def is_voyage(self) -> bool:
        """Whether Voyage's client sent it, which names two fields otherwise than all others."""
        return self.top_k is not UNSET or self.truncation is not UNSET


class DocumentScore(msgspec.Struct, frozen=True, omit_defaults=True):
    """One document's place in the request and its probability of answering the query."""

    index: _Index
    relevance_score: Annotated[float, Meta(ge=0, le=1)]
    document: dict[str, Any] | str | None = None


class ApiVersion(msgspec.Struct, frozen=True):
    """The version of Cohere's API that was called."""

    version: str


class BilledUnits(msgspec.Struct, frozen=True):
    """What Cohere would bill. Attune bills nothing."""

    search_units: int = 0


class DocumentsMeta(msgspec.Struct, frozen=True):
    """Cohere's `meta`, with warnings about these scores."""

    api_version: ApiVersion
    billed_units: BilledUnits = BilledUnits()
    warnings: list[str] | UnsetType = UNSET


class TokenUsage(msgspec.Struct, frozen=True):
    """How many tokens of the texts the model reads."""

    prompt_tokens: int
    total_tokens: int


class DocumentsResponse(msgspec.Struct, frozen=True):
    """The documents, most relevant first: Cohere's and Jina's response in one."""

    id: str
    model: str
    results: list[DocumentScore]
    meta: DocumentsMeta
    usage: TokenUsage


class VoyageResponse(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """The documents, most relevant first: Voyage's response."""

    data: list[DocumentScore]
    model: str
    usage: TokenUsage


class TextsRequest(msgspec.Struct, frozen=True):
    """A query and the texts to order by it."""

    query: _Text
    texts: Annotated[list[str], Meta(min_length=1)]
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None
    truncation_direction: Literal["Right", "right"] = "Right"


class TextScore(msgspec.Struct, frozen=True, omit_defaults=True):
    """One text's place in the request and its score."""

    index: _Index
    score: float
    text: str | None = None


class EmbeddingsRequest(msgspec.Struct, frozen=True):
    """Texts to embed: OpenAI's request, with an `input_type` as Cohere and others have."""

    input: _Text | Annotated[list[_Text], Meta(min_length=1)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    input_type: Literal["query", "search_query", "document", "search_document", "passage"] | None = None


class Embedding(msgspec.Struct, frozen=True, tag_field="object", tag="embedding"):
    """One text's vector, of length 1: numbers, or the base64 of little-endian float32."""

    index: _Index
    embedding: list[float] | str


class EmbeddingsResponse(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """The vectors, in the order of the texts."""

    data: list[Embedding]
    model: str
    usage: TokenUsage


class DocumentsError(msgspec.Struct, frozen=True):
    """An error as clients of Cohere (`message`), Jina and Voyage (`detail`) read it."""

    message: str
    detail: str


class TextsError(msgspec.Struct, frozen=True):
    """An error as text-embeddings-inference has it."""

    error: str
    error_type: str


class OpenAIErrorDetail(msgspec.Struct, frozen=True):
    """What is wrong, and with which parameter."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(msgspec.Struct, frozen=True):
    """An error as OpenAI's clients read it."""

    error: OpenAIErrorDetail
