"""Searches by a file: a form that has it, or JSON that has it in base64, and the `_search` that is sent."""

import base64
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from flask import Request
from msgspec import Struct

from mappings import fields
from mappings.errors import BadRequest
from mappings.types import JsonObject
from plugin_api.opensearch.json_depth import check_values
from plugin_api.opensearch.raw_json import dumps
from plugin_api.sidecar.passthrough import read_wsgi_headers

_OWN_HEADERS = frozenset({"content-length", "content-type", "content-encoding", "x-api-key", "accept"})
"""Headers that are about this request, and not for OpenSearch."""

_Upload = TypeVar("_Upload", bound=Struct)


def read_upload(call: Request, kind: type[_Upload], file: str) -> _Upload:
    """Return what a form or JSON requests. `file` names the field of `kind` that is base64, in forms a file.

    Raises BadRequest.
    """
    if call.mimetype == "multipart/form-data":
        sent = call.files.get(file)
        if sent is None:
            raise BadRequest(f"the form has no file named {file}")
        values: JsonObject = {name: call.form[name] for name in kind.__struct_fields__ if name in call.form}
        values["search"] = _parse(values.get("search", "{}").encode("utf-8", "surrogatepass"))
        values[file] = base64.b64encode(sent.read()).decode("ascii")
        return _convert(values, kind)
    if call.mimetype != "application/json":
        raise BadRequest(f"send multipart/form-data with a file named {file}, or application/json")
    data = call.get_data(cache=False)
    check_values(data)
    return _convert(_parse(data), kind)


def read_search_headers(call: Request) -> dict[str, str]:
    """Return the headers of a request that go on to OpenSearch with its search."""
    headers = read_wsgi_headers(call.environ)
    return {name: value for name, value in headers.items() if name not in _OWN_HEADERS}


def make_search_body(search: Mapping[str, Any], query: object, options: Mapping[str, object]) -> bytes:
    """Return the body of a `_search` with a query, and with these options in its `ext.attune`.

    Raises BadRequest where `ext` or `ext.attune` is not an object.
    """
    ext = search.get("ext", {})
    own = ext.get(fields.ATTUNE, {}) if isinstance(ext, dict) else None
    if not isinstance(own, dict):
        raise BadRequest("ext and ext.attune of the search must be objects")
    return dumps({**search, "query": query, "ext": {**ext, fields.ATTUNE: {**own, **options}}})


def _parse(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the request can't be read: {error}") from error


def _convert(values: object, kind: type[_Upload]) -> _Upload:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the request can't be read: {error}") from error
