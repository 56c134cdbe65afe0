"""What the model routes take and give: Cohere's and Jina's rerank, text-embeddings-inference's, OpenAI's
embeddings.

Requests are validated as they are decoded, and the OpenAPI document is made of the same types. Fields that
are not named here are ignored, as the services themselves send and take more from version to version.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1)]
Value = str | int | float | bool | None

FieldText = Meta(extra_json_schema={"properties": {
    name: {"type": ["string", "number", "boolean", "null"]}
    for name in ("text", "title", "brand", "category", "description")
}})  # fmt: skip
"""Tells of the fields that are read, and forbids no others."""

DOCUMENT_TYPES = ("document", "search_document", "passage")
"""What callers name a text that is no query: Voyage, Cohere and NVIDIA."""


class RerankRequest(msgspec.Struct, frozen=True):
    """A query and the documents to order by it: Cohere's v1 and v2, and Jina's."""

    query: Text
    documents: Annotated[
        list[str | Annotated[dict[str, Value], FieldText]],
        Meta(
            min_length=1,
            description="Texts, or objects with `text` or the product's `title`, `brand`, `category` and "
            "`description`. Read up to 2,000 characters each.",
        ),
    ]
    model: Annotated[
        str | None,
        Meta(description="Any name; one that begins with `attune-` must be of the model that is served."),
    ] = None
    top_n: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="How many results come back; all by default.")
    ] = None
    rank_fields: Annotated[
        Annotated[list[str], Meta(min_length=1)] | None,
        Meta(description="Which fields of objects are read, instead of those above."),
    ] = None
    return_documents: bool | None = None


class RerankResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One document's place in the request and its probability of answering the query."""

    index: Annotated[int, Meta(ge=0)]
    relevance_score: Annotated[float, Meta(ge=0, le=1)]
    document: dict[str, Value] | None = None


class ApiVersion(msgspec.Struct, frozen=True):
    """The version of Cohere's API that was called."""

    version: str


class RerankMeta(msgspec.Struct, frozen=True, omit_defaults=True):
    """Cohere's `meta`, with what the caller should know of these scores."""

    api_version: ApiVersion
    warnings: list[str] | None = None


class RerankResponse(msgspec.Struct, frozen=True):
    """The documents, most relevant first."""

    id: str
    model: str
    results: list[RerankResult]
    meta: RerankMeta


class RerankTextsRequest(msgspec.Struct, frozen=True):
    """A query and the texts to order by it: text-embeddings-inference's."""

    query: Text
    texts: Annotated[list[str], Meta(min_length=1, description="Read up to 2,000 characters each.")]
    raw_scores: Annotated[bool, Meta(description="Log-odds instead of probabilities.")] = False
    return_text: bool = False
    truncate: Annotated[
        bool | None, Meta(description="Taken, and of no effect: long texts are always cut, not refused.")
    ] = None
    truncation_direction: Annotated[
        Literal["Right", "right"], Meta(description="Texts are cut at their end.")
    ] = "Right"


class TextRank(msgspec.Struct, frozen=True, omit_defaults=True):
    """One text's place in the request and its score."""

    index: Annotated[int, Meta(ge=0)]
    score: float
    text: str | None = None


class EmbeddingsRequest(msgspec.Struct, frozen=True):
    """Texts to embed: OpenAI's, with an `input_type` as Cohere and others have."""

    input: Annotated[
        Text | Annotated[list[Text], Meta(min_length=1)], Meta(description="Text; no arrays of tokens.")
    ]
    model: Annotated[
        str | None,
        Meta(description="Any name; one that begins with `attune-` must be of the model that is served."),
    ] = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int | None, Meta(description="The model's own, or left out.")] = None
    input_type: Annotated[
        Literal["query", "search_query", "document", "search_document", "passage"] | None,
        Meta(
            description="What the text is: a query (the default), read by the BERT tower up to 32 tokens, or "
            "a product, read by the GPT-2 tower up to 96. Both towers share one space."
        ),
    ] = None


class Embedding(msgspec.Struct, frozen=True, tag_field="object", tag="embedding"):
    """One text's vector, of length 1: numbers, or the base64 of little-endian float32."""

    index: Annotated[int, Meta(ge=0)]
    embedding: list[float] | str


class Usage(msgspec.Struct, frozen=True):
    """How many tokens the texts have."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """The vectors, in the order of the texts."""

    data: list[Embedding]
    model: str
    usage: Usage


class CohereError(msgspec.Struct, frozen=True):
    """An error as Cohere's clients read it."""

    message: str


class TextError(msgspec.Struct, frozen=True):
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
