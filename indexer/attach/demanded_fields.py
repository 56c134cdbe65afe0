"""Give a shop's title and price one name everywhere: what a query demands is compared with them.

A field gets an alias under `attune`. A price in nested documents can't have one; its numbers are copied to a
field under `attune` by `copy_to`, as the shop writes them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from indexer.catalogue.field_map import FieldMap
from mappings.errors import IndexingError
from mappings.fields import ATTUNE, DEMANDED_PRICE, DEMANDED_TITLE
from mappings.types import JsonObject

_TEXTS = frozenset({"text", "match_only_text", "search_as_you_type"})
_NUMBERS = frozenset({
    "byte", "double", "float", "half_float", "integer", "long", "scaled_float", "short", "unsigned_long",
})  # fmt: skip

_PRICE = DEMANDED_PRICE.removeprefix(f"{ATTUNE}.")
_TITLE = DEMANDED_TITLE.removeprefix(f"{ATTUNE}.")


@dataclass(frozen=True, slots=True)
class DemandedFields:
    """Mappings that make title and price comparable.

    `own` are fields under `attune`. `shops` are properties of the shop's that have to be changed for a price
    to be copied, or to be copied no more.
    """

    own: JsonObject = field(default_factory=dict)
    shops: JsonObject = field(default_factory=dict)


def map_demanded_fields(mappings: JsonObject, field_map: FieldMap) -> DemandedFields:
    """Return the mappings that title and price of an index need.

    A price in another unit than the shop's gets none. What an earlier field map had copied is copied no more.
    Raises IndexingError where it has left an alias that would have to become a copy.
    """
    own: JsonObject = {}
    if title := next(_list_fields(field_map.title, mappings, _TEXTS), None):
        own[_TITLE] = {"type": "alias", "path": title.path}
    prices = list(_list_fields(field_map.price if field_map.price_scale == 1 else (), mappings, _NUMBERS))
    plain = next((price.path for price in prices if not price.is_nested), "")
    copied = next((price.path for price in prices if price.is_nested), "") if not plain else ""
    present = mappings.get("properties", {}).get(ATTUNE, {}).get("properties", {}).get(_PRICE, {})
    if present and present["type"] != "alias":  # a field can't become an alias
        plain, copied = "", plain or copied
    if copied and present.get("type") == "alias":
        raise IndexingError(
            f"{DEMANDED_PRICE} is an alias of {present['path']}, and can't become a copy of {copied}: leave "
            "price out of the field map, or reindex into a new index without `attune` fields"
        )
    if plain:
        own[_PRICE] = {"type": "alias", "path": plain}
    elif copied:
        own[_PRICE] = {"type": "double", "ignore_malformed": True}
    before = list_copied(mappings)
    if before == [copied]:
        return DemandedFields(own)
    shops = end_copying(mappings)
    after = {**mappings, "properties": {**mappings.get("properties", {}), **shops}}
    return DemandedFields(own, shops | (_change(after, copied.split("."), _add_copy) if copied else {}))


def list_copied(mappings: JsonObject, before: str = "") -> list[str]:
    """Return the paths of the shop's fields whose numbers are copied to the field under `attune`."""
    paths = []
    for name, body in mappings.get("properties", {}).items():
        paths += [f"{before}{name}"] if DEMANDED_PRICE in _list_targets(body) else []
        paths += list_copied(body, f"{before}{name}.")
    return paths


def end_copying(mappings: JsonObject) -> JsonObject:
    """Return the properties of an index's mapping that end the copying; empty where nothing is copied."""
    copied = list_copied(mappings)
    return _change(mappings, copied[0].split("."), _remove_copy) if copied else {}


def _change(
    field: JsonObject, steps: Sequence[str], change: Callable[[JsonObject], JsonObject]
) -> JsonObject:
    """Return the property of an object field that the steps lead to, with what it ends at changed."""
    name, *below = steps
    inner = field["properties"][name]
    if not below:
        return {name: change(inner)}
    return {name: {**inner, "properties": {**inner["properties"], **_change(inner, below, change)}}}


def _add_copy(body: JsonObject) -> JsonObject:
    return {**body, "copy_to": [*_list_targets(body), DEMANDED_PRICE]}


def _remove_copy(body: JsonObject) -> JsonObject:
    return {**body, "copy_to": [target for target in _list_targets(body) if target != DEMANDED_PRICE]}


def _list_targets(body: JsonObject) -> list[str]:
    targets = body.get("copy_to", [])
    return [targets] if isinstance(targets, str) else list(targets)


@dataclass(frozen=True, slots=True)
class _MappedField:
    path: str
    is_nested: bool


def _list_fields(paths: Iterable[str], mappings: JsonObject, types: frozenset[str]) -> Iterator[_MappedField]:
    """Yield those of the paths that lead to a field of one of the types."""
    for path in paths:
        body, is_nested = mappings, False
        for step in path.split("."):
            if body.get("type", "object") not in ("object", "nested"):  # a field with several mappings
                body = {"properties": body.get("fields", {})}
            is_nested = is_nested or body.get("type") == "nested"
            body = body.get("properties", {}).get(step, {})
        if body.get("type") in types:
            yield _MappedField(path, is_nested)
