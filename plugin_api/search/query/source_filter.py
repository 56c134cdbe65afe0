"""Leave Attune's own fields out of the `_source` that a search requests."""

from collections.abc import Mapping
from typing import Any

from mappings import fields
from plugin_api.opensearch.raw_json import RawObject, decoded

HIDDEN_FIELDS = (fields.ATTUNE, f"{fields.ATTUNE}.*")
"""Left out of every `_source`. With the pattern OpenSearch does not rebuild the vectors: half the time."""

SOURCE_PARAMETERS = frozenset({"_source", "_source_includes", "_source_excludes"})


def visible_source(body: RawObject, params: Mapping[str, str], stored: list[object] | None) -> Any:
    """Return the `_source` in force with Attune's fields excluded; None where the search requests none.

    As in OpenSearch, URL parameters replace the body's `_source`. `stored` are the requested stored fields:
    they and script fields come without `_source` unless it is requested.
    """
    if not params.keys() & SOURCE_PARAMETERS:
        without = bool(decoded(body.get("script_fields"))) if stored is None else "_source" not in stored
        return _exclude_hidden(decoded(body.get("_source"), None if without else True))
    given = params.get("_source", "true")
    if given == "false":
        return False
    includes = params.get("_source_includes", "" if given in ("true", "") else given)
    excludes = params.get("_source_excludes", "")
    parts = (("includes", includes), ("excludes", excludes))
    return _exclude_hidden({key: names.split(",") for key, names in parts if names})


def stored_fields(body: RawObject, params: Mapping[str, str]) -> list[object] | None:
    """Return the names of the requested stored fields; None where the search does not mention them."""
    if params.get("stored_fields"):
        return list(params["stored_fields"].split(","))
    return _names(decoded(body["stored_fields"])) if "stored_fields" in body else None


def _exclude_hidden(source: object) -> object:
    if source is True:
        return {"excludes": list(HIDDEN_FIELDS)}
    if isinstance(source, str | list):
        return {"includes": _names(source), "excludes": list(HIDDEN_FIELDS)}
    if isinstance(source, dict):
        excludes = source.get("excludes", source.get("exclude"))
        rest = {key: value for key, value in source.items() if key != "exclude"}
        return {**rest, "excludes": [*_names(excludes), *HIDDEN_FIELDS]}
    return source


def _names(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
