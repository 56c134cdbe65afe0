"""What the OpenAPI document says of the routes under `/_attune`."""

from plugin_api.search.query.text import MAX_TEXT
from plugin_api.sidecar.openapi.messages import (
    ExplainedHit,
    Grades,
    Health,
    KeywordQuery,
    PreviewConfig,
    Ready,
    Saved,
)
from plugin_api.sidecar.openapi.operation import (
    CLUSTER,
    HTML,
    OWN,
    PREVIEW,
    TEXT,
    Operation,
    Reply,
    own_errors,
    query_parameter,
)
from plugin_api.sidecar.pipeline.routes import RewriteCall, Rewritten, ScoreCall, Scores
from plugin_api.sidecar.preview.explain import ExplainRequest
from plugin_api.sidecar.preview.routes import GradesRequest, JudgementRequest

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Not imported with `metrics`: prometheus-client must not be imported before workers are."""

OWN_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "health",
        "get",
        "/_attune/health",
        OWN,
        "Whether the process lives",
        {"200": Reply("It does.", Health)},
        keyed=False,
    ),
    Operation(
        "ready",
        "get",
        "/_attune/ready",
        OWN,
        "Whether searches can be answered",
        {"200": Reply("They can.", Ready), "503": Reply("They can't, and why.", Ready)},
        keyed=False,
    ),
    Operation(
        "metrics",
        "get",
        "/_attune/metrics",
        OWN,
        "Metrics for Prometheus",
        {"200": Reply("Metrics of all workers.", TEXT, (METRICS_TYPE,))} | own_errors(401),
    ),
    Operation(
        "openapi",
        "get",
        "/_attune/openapi.json",
        OWN,
        "This document",
        {"200": Reply("The document, OpenAPI 3.1.", {"type": "object"})} | own_errors(401),
    ),
    Operation(
        "page",
        "get",
        "/_attune/",
        PREVIEW,
        "The search preview page",
        {
            "200": Reply("The page.", TEXT, (HTML,)),
            "304": Reply("The page is the one that the caller has."),
        },
        keyed=False,
    ),
    Operation(
        "pageWithoutSlash",
        "get",
        "/_attune",
        PREVIEW,
        "Where the search preview page is",
        {"308": Reply("It is at `_attune/`.", TEXT, (HTML,), {"Location": "`_attune/`, relative."})},
        keyed=False,
    ),
    Operation(
        "pageFile",
        "get",
        "/_attune/assets/{name}",
        PREVIEW,
        "One of the page's files",
        {
            "200": Reply("The file.", TEXT, ("text/css", "text/javascript", "image/svg+xml", "text/html")),
            "304": Reply("The file is the one that the caller has."),
        }
        | own_errors(404),
        parameters=(
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
        ),
        keyed=False,
    ),
    Operation(
        "previewConfig",
        "get",
        "/_attune/preview",
        PREVIEW,
        "What the page starts with",
        {"200": Reply("Settings in force.", PreviewConfig)} | own_errors(401),
    ),
    Operation(
        "keywordQuery",
        "get",
        "/_attune/query",
        PREVIEW,
        "The query that looks for a text as `attune search` does",
        {"200": Reply("The query.", KeywordQuery)} | own_errors(401),
        parameters=(query_parameter("text", "string", f"The text, read up to {MAX_TEXT} characters."),),
    ),
    Operation(
        "explain",
        "post",
        "/_attune/explain",
        PREVIEW,
        "Why a hit scores as it does",
        {
            "200": Reply("The score taken apart.", ExplainedHit),
            **own_errors(400, 401, 413, 429, 500, 503, 504),
            "default": Reply(
                "OpenSearch's own error, as it came.",
                {},
                headers={"x-attune-from-opensearch": "`true`: not an error of the sidecar's."},
            ),
        },
        ExplainRequest,
    ),
    Operation(
        "judge",
        "post",
        "/_attune/judgements",
        PREVIEW,
        "Save a judgement, or take it back",
        {"200": Reply("It is saved.", Saved)} | own_errors(400, 401, 413, 500),
        JudgementRequest,
    ),
    Operation(
        "grades",
        "post",
        "/_attune/grades",
        PREVIEW,
        "Grades of products that the caller has seen",
        {"200": Reply("The grades.", Grades)} | own_errors(400, 401, 413, 500),
        GradesRequest,
    ),
    Operation(
        "rewrite",
        "post",
        "/_attune/cluster/rewrite",
        CLUSTER,
        "The search to run, so that its hits can be reranked",
        {"200": Reply("The search.", Rewritten)} | own_errors(400, 401, 413, 422, 429, 500),
        RewriteCall,
    ),
    Operation(
        "score",
        "post",
        "/_attune/cluster/score",
        CLUSTER,
        "A score for each hit",
        {"200": Reply("The scores.", Scores)} | own_errors(400, 401, 413, 422, 429, 500),
        ScoreCall,
    ),
)
