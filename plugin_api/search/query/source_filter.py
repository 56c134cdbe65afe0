"""Leave Attune's own fields out of the `_source` that a search requests."""

from collections.abc import Mapping

from mappings import fields
from plugin_api.opensearch.raw_json import RawObject, as_list, decoded

HIDDEN_FIELDS = (fields.ATTUNE, f"{fields.ATTUNE}.*")
"""Left out of every `_source`. With the pattern OpenSearch does not rebuild the vectors: half the time."""

SOURCE_PARAMETERS = frozenset({"_source", "_source_includes", "_source_excludes"})


def source_of(body: RawObject, params: Mapping[str, str]) -> object:
    """Return the `_source` in force. As in OpenSearch, URL parameters replace the body's.

    None where there is none: stored and script fields come without `_source` unless it is requested.
    """
    if not params.keys() & SOURCE_PARAMETERS:
        stored = stored_fields(body, params)
        other = bool(decoded(body.get("script_fields"))) if stored is None else "_source" not in stored
        return decoded(body.get("_source"), None if other else True)
    given = params.get("_source", "true")
    if given == "false":
        return False
    includes = params.get("_source_includes", "" if given in ("true", "") else given)
    excludes = params.get("_source_excludes", "")
    return {key: names.split(",") for key, names in (("includes", includes), ("excludes", excludes)) if names}


def stored_fields(body: RawObject, params: Mapping[str, str]) -> list[object] | None:
    """Return the names of the requested stored fields; None where the search does not mention them."""
    if params.get("stored_fields"):
        return list(params["stored_fields"].split(","))
    return as_list(decoded(body["stored_fields"])) if "stored_fields" in body else None


def hide_own_fields(source: object) -> object:
    """Return `source` with Attune's fields excluded."""
    if source is True:
        return {"excludes": list(HIDDEN_FIELDS)}
    if isinstance(source, str | list):
        return {"includes": as_list(source), "excludes": list(HIDDEN_FIELDS)}
    if isinstance(source, dict):
        excludes = as_list(source.get("excludes", source.get("exclude")))
        rest = {key: value for key, value in source.items() if key != "exclude"}
        return {**rest, "excludes": [*excludes, *HIDDEN_FIELDS]}
    return source
