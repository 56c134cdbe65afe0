"""What the OpenAPI document says of searches, and of the routes for other programs' clients."""

from plugin_api.sidecar.model_api.messages import (
    CohereError,
    EmbeddingsRequest,
    EmbeddingsResponse,
    OpenAIError,
    RerankRequest,
    RerankResponse,
    RerankTextsRequest,
    TextError,
    TextRank,
)
from plugin_api.sidecar.openapi.messages import Found, FoundLists, SearchBody, TemplateBody
from plugin_api.sidecar.openapi.operation import (
    JSON,
    LINES,
    MODEL,
    NO_KEY,
    SEARCH,
    Operation,
    Parameter,
    Reply,
    Shape,
    own_error,
    query_parameter,
)

INDEX: Parameter = {
    "name": "index",
    "in": "path",
    "required": True,
    "description": "An index, an alias, a pattern, or several with commas between them.",
    "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_,*.-]*$", "maxLength": 255},
}

REPORT_HEADERS = {
    "x-attune-rerank-status": "What became of reranking, as in `ext.attune.rerank_status`.",
    "x-attune-rerank-reason": "Why it was not reranked.",
}

RETRY = {"Retry-After": "Seconds to wait."}


def _model_errors(shape: type, invalid: str) -> dict[str, Reply]:
    """Errors of the model routes in the shape of their clients; `invalid` is the status of a wrong field."""
    errors = {
        "400": Reply("The body is no JSON, or one of its fields is not as it must be.", shape),
        "401": Reply(NO_KEY, shape, headers={"WWW-Authenticate": "Bearer"}),
        "404": Reply("Another model version was asked for than the one that is served.", shape),
        "413": Reply("The body is larger than sidecar.max_body_bytes.", shape),
        "415": Reply("The body is of another type than application/json.", shape),
        "429": Reply("All places at the model are taken.", shape, headers=RETRY),
        "500": Reply("The model failed; the log says more.", shape),
    }
    if invalid == "422":
        errors["400"] = Reply("The body is no JSON.", shape)
        errors["422"] = Reply("One of the fields is not as it must be.", shape)
        del errors["404"]
    return errors


def _search(name: str, method: str, path: str, summary: str, body: Shape, found: Shape) -> Operation:
    index = (INDEX,) if path.startswith("/{index}") else ()
    lines = "_msearch" in path
    asked: tuple[Parameter, ...] = ()
    if method == "get":
        asked = (
            query_parameter("q", "string", "The text, in the language of `query_string`."),
            query_parameter("from", "integer", "How many hits to leave out.", minimum=0, maximum=10_000),
            query_parameter("size", "integer", "How many hits to return.", minimum=0, maximum=10_000),
        )
    return Operation(
        name,
        method,
        path,
        SEARCH,
        summary,
        {
            "200": Reply(
                "The hits, reranked where that was possible in time.", found, headers=REPORT_HEADERS
            ),
            "400": own_error("`ext.attune` or the body is malformed."),
            "503": own_error("OpenSearch can't be reached."),
            "default": Reply("OpenSearch's own answer, as it came.", {}, (JSON,)),
        },
        body,
        (LINES,) if lines else (JSON,),
        (*index, *asked),
        keyed=False,
        optional=path.endswith("/_search"),
    )


def _searches() -> tuple[Operation, ...]:
    lines: Shape = {
        "type": "string",
        "description": "A header and a search by turns, one JSON object a line; the last line ends as well.",
        "examples": ['{"index": "products"}\n{"query": {"match": {"title": "wireless mouse"}}}\n'],
    }
    search, several = "Search, reranked", "Several searches, each reranked"
    kinds = (
        ("Search", "_search", search, SearchBody, Found),
        ("SearchTemplate", "_search/template", f"{search}, from a template", TemplateBody, Found),
        ("SearchList", "_msearch", several, lines, FoundLists),
        ("SearchTemplateList", "_msearch/template", f"{several}, from templates", lines, FoundLists),
    )
    return tuple(
        _search(f"{method}{of}{name}", method, f"{prefix}/{kind}", summary, None if url else body, found)
        for name, kind, summary, body, found in kinds
        for of, prefix in (("Index", "/{index}"), ("", ""))
        for method, url in (("post", False), ("get", True))
        if not url or kind == "_search"
    )


MODEL_OPERATIONS: tuple[Operation, ...] = (
    *(
        Operation(
            f"rerankV{version}",
            "post",
            f"/v{version}/rerank",
            MODEL,
            f"Order documents by how probably they answer a query (Cohere v{version}, Jina)",
            {"200": Reply("The documents, most relevant first.", RerankResponse)}
            | _model_errors(CohereError, "400"),
            RerankRequest,
        )
        for version in (1, 2)
    ),
    Operation(
        "rerankTexts",
        "post",
        "/rerank",
        MODEL,
        "Order texts by how probably they answer a query (text-embeddings-inference)",
        {"200": Reply("The texts, most relevant first.", list[TextRank])} | _model_errors(TextError, "422"),
        RerankTextsRequest,
    ),
    Operation(
        "createEmbedding",
        "post",
        "/v1/embeddings",
        MODEL,
        "Embed queries and products in one space (OpenAI)",
        {"200": Reply("A vector for each text.", EmbeddingsResponse)} | _model_errors(OpenAIError, "400"),
        EmbeddingsRequest,
    ),
)

SEARCH_OPERATIONS = _searches()
