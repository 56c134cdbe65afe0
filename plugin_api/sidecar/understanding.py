"""What a text demands of an index's products, for other programs: `POST /_attune/understand`."""

from typing import Annotated

import msgspec
from flask import Blueprint, Response, request
from msgspec import Meta, Struct

from mappings.errors import BadRequest
from plugin_api.opensearch.raw_json import dumps
from plugin_api.search.answer import Answer, error_answer
from plugin_api.search.query.text import MAX_TEXT
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.sidecar.passthrough import make_wsgi_response, read_wsgi_headers


class UnderstandRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A text, and the index or alias whose products it asks for."""

    text: Annotated[str, Meta(max_length=MAX_TEXT)]
    index: Annotated[str, Meta(min_length=1, max_length=1000)]


def understanding_blueprint(searcher: Searcher) -> Blueprint:
    """Return the route."""
    routes = Blueprint("understanding", __name__)

    @routes.post("/_attune/understand")
    def _understand() -> Response:
        try:
            wanted = msgspec.json.decode(request.get_data(cache=False), type=UnderstandRequest)
        except (msgspec.MsgspecError, ValueError) as error:
            raise BadRequest(f"the request can't be read: {error}") from error
        call = SearchCall.of(wanted.index, headers=read_wsgi_headers(request.environ))
        understanding = searcher.text_reader.understand(call, wanted.text)
        if understanding is None:
            advice = "rebuild it with `attune index`, or attach it with `attune attach`"
            reason = f"{wanted.index} has no vocabulary to understand by: {advice}"
            return make_wsgi_response(error_answer(404, "resource_not_found_exception", reason))
        return make_wsgi_response(Answer(200, dumps(understanding)))

    return routes
