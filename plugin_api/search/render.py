"""Render answers in OpenSearch's own shape, with the report on reranking under `ext.attune`."""

from collections.abc import Collection
from dataclasses import fields as list_fields
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Raw

from mappings import fields
from plugin_api.opensearch.client import Headers
from plugin_api.opensearch.raw_json import RawObject, dumps, raw_object, raw_objects
from plugin_api.search.answer import JSON_TYPE, Answer
from plugin_api.search.query.types import RerankRequest
from plugin_api.search.ranking import RankedPage
from plugin_api.search.report import RerankReport
from plugin_api.search.retrieval.candidates import ADDED_FIELDS
from plugin_api.search.retrieval.page import HEAD_BOOST

_OPTIONAL = frozenset({
    "reason_code", "reason", "text", "cached", "rescued", "without_vectors", "behaviour", "understood",
    "corrected", "original", "experiment",
    "picture", "labels", "notice",
})  # fmt: skip
"""Parts of a report that are shown only where they say something."""

BODY_HEADERS = frozenset({"content-length", "content-type", "content-encoding"})
"""Headers that describe the body: they don't hold for one that is written anew."""


def render_page(page: RankedPage, report: RerankReport, request: RerankRequest, took_ms: int) -> Answer:
    """Return a page of ranked hits, each as it came but for its scores, and the report on it."""
    ranked, complete = page.ranked, page.complete_hits
    own_fields = _own_fields(request)
    shown = [(complete[hit.key], hit.score) for hit in ranked.page(request) if hit.key in complete]
    around: dict[str, Any] = dict(raw_object(page.shell["hits"]))
    around["max_score"] = ranked.hits[0].score if ranked.hits else None
    around["hits"] = [_render_hit(hit, score, own_fields) for hit, score in shown]
    body = {**page.shell, "took": Raw(dumps(took_ms)), "hits": Raw(dumps(around))}
    return Answer(200, dumps(add_report(body, report)), json_headers(page.headers, report))


def _own_fields(request: RerankRequest) -> Collection[str]:
    """Return the doc values that only Attune requested with the page's hits."""
    if request.fixed:
        return set(ADDED_FIELDS) - request.docvalue_names
    return {fields.KEY} - request.docvalue_names if "stored_fields" in request.body else ()


def add_report(body: RawObject, report: RerankReport) -> RawObject:
    """Return the body with `ext.attune` beside whatever else is under `ext`."""
    ext = raw_object(body["ext"]) if "ext" in body else {}
    parts = {part.name: getattr(report, part.name) for part in list_fields(report)}
    shown = {name: value for name, value in parts.items() if value or name not in _OPTIONAL}
    return {**body, "ext": Raw(dumps({**ext, fields.ATTUNE: shown}))}


def add_status(answer: Answer) -> Answer:
    """Return the answer with the `status` that OpenSearch writes into answers to templates."""
    try:
        body = raw_object(answer.body) if isinstance(answer.body, bytes) else None
    except ValueError:  # not an answer of OpenSearch
        body = None
    return answer if body is None else replace(answer, body=dumps({**body, "status": Raw(b"200")}))


def json_headers(headers: Headers, report: RerankReport) -> Headers:
    """Return the headers of OpenSearch's answer for a body that is written anew, and the report's."""
    others = tuple((name, value) for name, value in headers if name not in BODY_HEADERS)
    return (("content-type", JSON_TYPE), *others, *report.headers)


def _render_hit(hit: RawObject, score: float, own_fields: Collection[str]) -> dict[str, Any]:
    """Return the hit as it came, without the doc values that only Attune requested."""
    rendered: dict[str, Any] = {**hit, "_score": score}
    if "sort" in hit:  # by score first, then what breaks ties
        rendered["sort"] = [score, *msgspec.json.decode(hit["sort"], type=list[Raw])[1:]]
    if "inner_hits" in hit:
        rendered["inner_hits"] = {
            name: _render_inner(inner, score) for name, inner in raw_object(hit["inner_hits"]).items()
        }
    if own_fields and "fields" in hit:
        values = {k: v for k, v in raw_object(hit["fields"]).items() if k not in own_fields}
        rendered["fields"] = values
        if not values:
            del rendered["fields"]
    return rendered


def _render_inner(inner: Raw, score: float) -> RawObject:
    """Return inner hits with the head of the group scored as the hit itself."""
    answer = raw_object(inner)
    around = raw_object(answer["hits"])
    best = around.get("max_score", Raw(b"null"))
    if bytes(best) == b"null" or float(bytes(best)) < HEAD_BOOST:
        return answer
    raised = Raw(dumps(score))
    hits = [
        {**hit, "_score": raised} if float(bytes(hit.get("_score", b"0")) or 0) >= HEAD_BOOST else hit
        for hit in raw_objects(around["hits"])
    ]
    return {**answer, "hits": Raw(dumps({**around, "max_score": raised, "hits": hits}))}
