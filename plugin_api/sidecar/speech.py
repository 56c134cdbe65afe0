"""Search by speech: `POST /_attune/search/audio`, as a form with a file or as JSON with base64.

The recording becomes the text of a `_search`; the answer says what was understood, as `ext.attune.heard`.
"""

from typing import Annotated, Any

from flask import Blueprint, Response, request
from msgspec import Meta, Struct

from mappings import fields
from mappings.errors import BadAudio, BadRequest
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import dumps, raw_object
from plugin_api.search.answer import Answer, error_answer
from plugin_api.search.query.base64_data import decode_base64
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.sidecar.concurrency_limiter import AtCapacity, ConcurrencyLimiter
from plugin_api.sidecar.passthrough import make_wsgi_response
from plugin_api.sidecar.uploads import make_search_body, read_search_headers, read_upload
from reranker.speech.audio import read_audio
from reranker.speech.transcriber import Transcriber, Transcript
from reranker.understanding.spoken_hints import SpokenNames, list_spoken_hints, list_spoken_names

_PATH = "/_attune/search/audio"

_MAX_AUDIO = 40_000_000
"""Characters of a recording in base64: the settings bound its bytes and seconds further."""

_RUNNING, _WAITING, _SECONDS = 1, 8, 10.0
"""Recordings that are transcribed at a time, that may wait, and for how long: each takes about 1 s."""


class AudioRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A spoken query to an index or alias. `audio` is base64, `search` the body of a `_search`.

    Where `search` has no `query`, the text is searched for as `attune search` does. Else its query stands,
    and the text decides the order.
    """

    audio: Annotated[str, Meta(min_length=1, max_length=_MAX_AUDIO)]
    index: Annotated[str, Meta(max_length=1000)] = ""
    search: dict[str, Any] = {}


def speech_blueprint(settings: Settings, searcher: Searcher, transcriber: Transcriber | None) -> Blueprint:
    """Return the route. `transcriber` is None where searches by speech are off."""
    routes = Blueprint("speech", __name__)
    limiter = ConcurrencyLimiter(_RUNNING, _WAITING, _SECONDS)

    @routes.post(_PATH)
    def _search() -> Response:
        request.max_content_length = settings.sidecar.max_body_bytes
        wanted = read_upload(request, AudioRequest, "audio")
        if transcriber is None:
            raise BadRequest(
                "searches by speech are off: set speech.search = true, which needs "
                "pip install 'attune[speech]'"
            )
        headers = read_search_headers(request)
        index = wanted.index or settings.search.alias
        interpreter = searcher.text_reader.find_interpreter(SearchCall.of(index, headers=headers))
        hints = list_spoken_hints(interpreter.vocabulary) if interpreter else ""
        names = list_spoken_names(interpreter.vocabulary) if interpreter else SpokenNames()
        try:
            samples = read_audio(decode_base64(wanted.audio, "audio"), settings.speech)
            with limiter.slot():
                heard = transcriber.transcribe(samples, hints, names)
        except BadAudio as error:
            raise BadRequest(f"audio: {error}") from error
        except AtCapacity:
            reason = "too many recordings at once: try again"
            return make_wsgi_response(error_answer(429, "rejected_execution_exception", reason))
        if not heard.text:
            return make_wsgi_response(
                error_answer(422, "not_understood_exception", "nothing was understood: speak again")
            )
        answer = searcher.answer(SearchCall.of(index, make_spoken_body(wanted, heard.text), headers=headers))
        return make_wsgi_response(_add_transcript(answer, heard))

    return routes


def make_spoken_body(wanted: AudioRequest, text: str) -> bytes:
    """Return the body of the `_search` for a text. Raises BadRequest where `ext` is not an object."""
    return make_search_body(wanted.search, wanted.search.get("query") or keyword_query(text), {"query": text})


def _add_transcript(answer: Answer, heard: Transcript) -> Answer:
    """Return the answer with what was understood beside the report."""
    if answer.status != 200 or not isinstance(answer.body, bytes):
        return answer
    body: JsonObject = dict(raw_object(answer.body))
    ext = dict(raw_object(body["ext"])) if "ext" in body else {}
    own = dict(raw_object(ext[fields.ATTUNE])) if fields.ATTUNE in ext else {}
    said: JsonObject = {
        "heard": heard.text,
        "heard_probability": heard.probability,
        "language": heard.language,
    }
    if heard.uncorrected:
        said["heard_uncorrected"] = heard.uncorrected
    body["ext"] = {**ext, fields.ATTUNE: {**own, **said}}
    return Answer(answer.status, dumps(body), answer.headers)
