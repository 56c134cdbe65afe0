"""The `_source` that a search asks for, and the same with Attune's own fields left out."""

from collections.abc import Mapping

from mappings import fields
from plugin_api.opensearch.raw_json import RawObject, as_list, decoded

HIDDEN = (fields.ATTUNE, f"{fields.ATTUNE}.*")
"""Kept out of every `_source`. The pattern spares OpenSearch rebuilding the vectors: half the time."""

SOURCE_PARAMETERS = frozenset({"_source", "_source_includes", "_source_excludes"})


def source_of(body: RawObject, params: Mapping[str, str]) -> object:
    """The `_source` in force: URL parameters, where there are any, replace the body's, as in OpenSearch.

    None where there is none: stored and script fields come without it unless it is asked for.
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
    """Names of the stored fields that are asked for; None where the search says nothing of them."""
    if params.get("stored_fields"):
        return list(params["stored_fields"].split(","))
    return as_list(decoded(body["stored_fields"])) if "stored_fields" in body else None


def visible(source: object) -> object:
    """`source` with Attune's fields excluded."""
    if source is True:
        return {"excludes": list(HIDDEN)}
    if isinstance(source, str | list):
        return {"includes": as_list(source), "excludes": list(HIDDEN)}
    if isinstance(source, dict):
        excludes = as_list(source.get("excludes", source.get("exclude")))
        rest = {key: value for key, value in source.items() if key != "exclude"}
        return {**rest, "excludes": [*excludes, *HIDDEN]}
    return source
