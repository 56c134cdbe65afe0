"""Search by picture: `POST /_attune/search/image`, as a form with a file or as JSON with base64.

It is a `_search` of the index with `ext.attune.image`, whose picture may be larger than a search is.
"""

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, request
from msgspec import Meta, Struct

from mappings.settings import Settings
from plugin_api.search.answer import Answer, error_answer
from plugin_api.search.query.clauses import MATCH_ALL
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.text import MAX_TEXT
from plugin_api.search.query.types import MAX_IMAGE, RerankRequest, SearchCall
from plugin_api.search.reasons import RerankStatus
from plugin_api.search.report import REASON_HEADER, STATUS_HEADER
from plugin_api.search.search import Searcher
from plugin_api.sidecar.passthrough import make_wsgi_response
from plugin_api.sidecar.uploads import make_search_body, read_search_headers, read_upload

_PATH = "/_attune/search/image"

_IN_ITS_PLACE = "image"
"""What stands for the picture while the rest of the search is read."""


class ImageRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A picture to search for, alone or with words, in an index or alias.

    `image` is base64, or a `data:` address. `search` is the body of a `_search`: filters, page, facets and
    whatever else; its `query` holds conditions, or the shop's own query for the words.
    """

    image: Annotated[str, Meta(min_length=1, max_length=MAX_IMAGE)]
    index: Annotated[str, Meta(max_length=1000)] = ""
    text: Annotated[str, Meta(max_length=MAX_TEXT)] = ""
    search: dict[str, Any] = {}


def pictures_blueprint(settings: Settings, searcher: Searcher) -> Blueprint:
    """Return the route."""
    routes = Blueprint("pictures", __name__)

    @routes.post(_PATH)
    def _search() -> Response:
        request.max_content_length = settings.sidecar.max_body_bytes
        wanted = read_upload(request, ImageRequest, "image")
        index = wanted.index or settings.search.alias
        call = SearchCall.of(index, make_body(wanted), headers=read_search_headers(request))
        parsed = searcher.parse(call)
        if isinstance(parsed, RerankRequest):
            options = msgspec.structs.replace(parsed.options, image=wanted.image)
            parsed = replace(parsed, options=options)
        answer = searcher.answer_request(call, parsed)
        status = dict(answer.headers).get(STATUS_HEADER, "")
        if answer.status == 200 and status != RerankStatus.RERANKED and not wanted.text:
            # Without words OpenSearch's own hits are any products at all.
            reason = dict(answer.headers).get(REASON_HEADER, "the picture could not be searched for")
            return make_wsgi_response(error_answer(503, "picture_search_exception", reason))
        return make_wsgi_response(Answer(answer.status, answer.body, answer.headers))

    return routes


def make_body(wanted: ImageRequest) -> bytes:
    """Return the body of the `_search` that a request stands for, with a place for its picture.

    Raises BadRequest where the search has an `ext` that is not an object.
    """
    text = " ".join(wanted.text.split())
    query = wanted.search.get("query") or (keyword_query(text) if text else MATCH_ALL)
    options = {"image": _IN_ITS_PLACE, **({"query": text} if text else {})}
    return make_search_body(wanted.search, query, options)
