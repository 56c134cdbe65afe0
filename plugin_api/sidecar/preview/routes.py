"""The search preview page at `/_attune/`: its files, and the routes that only it needs.

Searches go where any client's do: `/{index}/_search` of this very sidecar. The page's own files are public,
since whoever has no key yet must be able to type one in; the routes are not.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from flask import Blueprint, Response, request
from msgspec import Meta

from mappings.domains import load_domain
from mappings.errors import BadRequest
from mappings.settings import PreviewSettings, Settings
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.json_depth import check_values
from plugin_api.opensearch.raw_json import dumps
from plugin_api.search.answer import Answer, error_answer
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.text import MAX_TEXT
from plugin_api.search.search import Searcher
from plugin_api.sidecar.concurrency_limiter import AtCapacity, ConcurrencyLimiter
from plugin_api.sidecar.passthrough import make_wsgi_response, read_wsgi_headers
from plugin_api.sidecar.preview.explain import ExplainModel, explain_hit
from plugin_api.sidecar.preview.explain_sources import ExplainRequest, Refusal
from plugin_api.sidecar.preview.judgements import JudgementsFile

PAGE = "index.html"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Types of the page's files."""

PUBLIC = ("/_attune", "/_attune/", "/_attune/assets/")
"""Served without an API key: the page and, in the last of these folders, its files. Nothing of the shop's."""

OWN_HEADERS = ("content-length", "content-type", "content-encoding", "x-api-key", "accept-encoding")
"""Request headers that are not for OpenSearch."""

Message = TypeVar("Message", bound=msgspec.Struct)

MAX_SHOWN = 1000
"""Products whose grades are asked for at a time."""

EXPLAIN_WAITING, EXPLAIN_SECONDS = 8, 5.0
"""Explanations that may wait for their turn, and for how long: each takes about 0.1 s of a core."""


class JudgementRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One judgement; a `grade` of null takes it back."""

    query: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    product_id: Annotated[str, Meta(min_length=1, max_length=512)]
    grade: Annotated[int, Meta(ge=0, le=3)] | None


class GradesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which grades are wanted: only of products that the caller names, and so has seen."""

    query: Annotated[str, Meta(max_length=MAX_TEXT)]
    product_ids: Annotated[list[str], Meta(max_length=MAX_SHOWN)]


def preview_blueprint(
    settings: Settings, client: OpenSearchClient, models: Sequence[ExplainModel], searcher: Searcher
) -> Blueprint:
    """Return the page's routes. `models` are those that searches may name, the default one first."""
    routes = Blueprint("preview", __name__)
    by_version = {model.version: model for model in models}
    judgements = JudgementsFile(Path(settings.preview.judgements)) if settings.preview.judgements else None
    folder = resources.files("plugin_api.sidecar.preview").joinpath("static")
    files = {file.name: file.read_bytes() for file in folder.iterdir() if Path(file.name).suffix in TYPES}
    cores = min(settings.sidecar.threads, os.cpu_count() or 1)
    limiter = ConcurrencyLimiter(cores, EXPLAIN_WAITING, EXPLAIN_SECONDS)
    policy = content_policy(settings.preview)
    domain = load_domain(settings.domain.name)

    @routes.get("/_attune", strict_slashes=True)
    def _slash() -> Response:
        # Relative, for a reverse proxy may have put a prefix before it.
        return Response(status=308, headers={"Location": "_attune/"})

    @routes.get("/_attune/", strict_slashes=True)
    def _page() -> Response:
        return _file(PAGE, files[PAGE], policy)

    @routes.get("/_attune/assets/<name>")
    def _asset(name: str) -> Response:
        if name not in files:
            return _refused(404, "not_found_exception", f"the page has no file {name}")
        return _file(name, files[name], policy)

    @routes.get("/_attune/preview")
    def _config() -> Response:
        search = settings.search
        return _json({
            "alias": search.alias,
            "models": list(by_version),
            "window": search.window,
            "keyword_weight": search.keyword_weight,
            "relevance_weight": search.relevance_weight,
            "click_weight": search.click_weight,
            "purchase_weight": search.purchase_weight,
            "judgements": "file" if judgements else "browser",
            "pictures": settings.pictures.search,
            "speech": settings.speech.search,
            "image_hosts": settings.preview.images,
            "domain": {
                "title": domain.page.title,
                "placeholder": domain.page.placeholder,
                "notice": domain.page.notice,
                "evidence": domain.page.evidence,
                "clients": {client.name: client.values for client in domain.demo.clients},
            },
            "experiment": settings.experiment.name,
            "shoppers": settings.preview.sample_shoppers if settings.shoppers.key else (),
        })  # fmt: skip

    @routes.get("/_attune/query")
    def _query() -> Response:
        return _json(
            {"query": keyword_query(request.args.get("text", "")[:MAX_TEXT], (), domain.minimum_match)}
        )

    @routes.post("/_attune/explain")
    def _explain() -> Response:
        wanted = _decoded(ExplainRequest, settings.sidecar.max_body_bytes)
        version = wanted.options.model or models[0].version
        if version not in by_version:
            raise BadRequest(f"model {version} is not loaded; there are: {', '.join(by_version)}")
        seconds = settings.opensearch.timeout_seconds
        try:
            with limiter.slot():
                call, image = wanted.as_call(_callers(request.environ)), wanted.options.image
                read = searcher.read_text(call)
                picture = searcher.encode_picture(call, image, version) if image else None
                explanation = explain_hit(
                    wanted,
                    read,
                    client,
                    _callers(request.environ),
                    by_version[version],
                    settings.search,
                    seconds,
                    picture,
                )
        except AtCapacity:
            return _refused(429, "rejected_execution_exception", "too many explanations at once: try again")
        except TimeoutError as error:
            return _refused(504, "timeout_exception", str(error))
        except Refusal as refusal:
            # So that the page knows whose credentials are missing: OpenSearch's, not the sidecar's key.
            headers = (*refusal.reply.headers, ("x-attune-from-opensearch", "true"))
            return make_wsgi_response(Answer(refusal.reply.status, refusal.reply.body, headers))
        return _json(explanation)

    @routes.post("/_attune/judgements")
    def _judge() -> Response:
        judged = _decoded(JudgementRequest, settings.sidecar.max_body_bytes)
        _require_file(judgements).save(judged.query, judged.product_id, judged.grade)
        return _json({"saved": True})

    @routes.post("/_attune/grades")
    def _grades() -> Response:
        wanted = _decoded(GradesRequest, settings.sidecar.max_body_bytes)
        return _json({"grades": _require_file(judgements).grades(wanted.query, wanted.product_ids)})

    return routes


def content_policy(settings: PreviewSettings) -> str:
    """The page's Content-Security-Policy: nothing but its own files, and images of hosts that are named."""
    images = " ".join(("'self'", "data:", *settings.images))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"img-src {images}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _decoded(kind: type[Message], limit: int) -> Message:
    """The request's body. Raises BadRequest.

    Only as application/json: what other sites' pages can send unasked is not that.
    """
    if request.mimetype != "application/json":
        raise BadRequest("the body must be JSON, and Content-Type application/json")
    request.max_content_length = limit
    check_values(request.get_data())
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body can't be read: {error}") from error


def _require_file(judgements: JudgementsFile | None) -> JudgementsFile:
    if judgements is None:
        raise BadRequest("judgements are kept in the browser: set preview.judgements to save them in a file")
    return judgements


def _callers(environ: Mapping[str, object]) -> dict[str, str]:
    """The caller's headers for OpenSearch, credentials among them."""
    headers = read_wsgi_headers(dict(environ))
    return {name: value for name, value in headers.items() if name not in OWN_HEADERS}


def _file(name: str, data: bytes, policy: str) -> Response:
    """One of the page's files, to be asked for again only where it has changed."""
    response = Response(data, content_type=TYPES[Path(name).suffix])
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-cache"
    response.set_etag(hashlib.sha256(data).hexdigest()[:16])
    response.make_conditional(request)
    return response


def _json(body: JsonObject) -> Response:
    response = make_wsgi_response(Answer(200, dumps(body)))
    response.headers["Cache-Control"] = "no-store"
    return response


def _refused(status: int, kind: str, reason: str) -> Response:
    return make_wsgi_response(error_answer(status, kind, reason))
