"""Aliases of a shop's fields with title and price, so that searches find them under one name everywhere."""

from indexer.catalogue.field_map import FieldMap
from mappings.fields import ATTUNE, DEMANDED_PRICE, DEMANDED_TITLE
from mappings.types import JsonObject

_TEXTS = frozenset({"text", "match_only_text", "search_as_you_type"})
_NUMBERS = frozenset({
    "byte", "double", "float", "half_float", "integer", "long", "scaled_float", "short", "unsigned_long",
})  # fmt: skip


def list_aliases(mappings: JsonObject, field_map: FieldMap) -> JsonObject:
    """Return the mappings of the aliases under `attune`, of the fields that can have one.

    OpenSearch refuses an alias of a field in nested documents. A price in another unit than the shop's has
    none either.
    """
    prices = field_map.price if field_map.price_scale == 1 else ()
    chosen = {
        DEMANDED_TITLE: _choose(field_map.title, mappings, _TEXTS),
        DEMANDED_PRICE: _choose(prices, mappings, _NUMBERS),
    }
    return {
        name.removeprefix(f"{ATTUNE}."): {"type": "alias", "path": path}
        for name, path in chosen.items()
        if path
    }


def _choose(paths: tuple[str, ...], mappings: JsonObject, types: frozenset[str]) -> str:
    """Return the first path to a field of one of the types, empty where there is none."""
    return next((path for path in paths if _find_type(mappings, path) in types), "")


def _find_type(field: JsonObject, path: str) -> str:
    """Return the type of a field; empty where it is not mapped, or lies in nested documents."""
    for step in path.split("."):
        if field.get("type", "object") not in ("object", "nested"):  # a field with several mappings
            field = {"properties": field.get("fields", {})}
        elif field.get("type") == "nested":
            return ""
        field = field.get("properties", {}).get(step, {})
        if not field:
            return ""
    return str(field.get("type", ""))
