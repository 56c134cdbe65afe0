"""Where the records of a JSON document are: in a list, in an object keyed by id, or wrapped one by one."""

from collections.abc import Mapping
from typing import Any

_LISTS = frozenset((
    "products", "items", "data", "results", "records", "rows", "entries", "hits", "docs", "documents",
    "offers", "catalog", "catalogue", "response", "result", "feed", "channel", "item", "product", "nodes",
    "edges", "value", "values", "articles", "article", "listings", "listing", "inventory", "payload",
    "body", "content", "list", "export", "elements", "objects", "entities", "node", "embedded",
    "itemlistelement", "graph", "rss", "shop", "produkte", "artikel", "produits", "articulos", "productos",
    "shopitem", "collection",
))  # fmt: skip
"""Names under which a document holds its records, without case and punctuation."""

_OWN = frozenset(
    ("id", "sku", "title", "name", "handle", "product_id", "asin", "code", "_id", "identifier", "uuid")
)
"""Names of columns: an object that has one before a list is a record itself."""

_RECORD_NAMES = frozenset((
    "title", "name", "sku", "price", "handle", "product_name", "productname", "product_title", "item_name",
    "description", "brand", "code", "titel", "bezeichnung", "nom", "nombre", "nome", "naam", "nazwa",
))  # fmt: skip
"""Columns of which each record of an object keyed by id has one at least."""

_WRAPPERS = frozenset(
    ("node", "product", "item", "offer", "_source", "record", "document", "fields", "entity")
)
_ANSWER = frozenset(("data", "msg", "message", "code", "statusCode", "status", "success", "error", "errors"))
"""What stands beside the `data` of an answer of an API."""

MAX_CONTAINER_LEVELS = 4
"""How deep in a document its records are looked for."""


def is_container(name: object) -> bool:
    """Whether records of a document may be under this name."""
    return isinstance(name, str) and "".join(filter(str.isalnum, name)).lower() in _LISTS


def find_records(value: object, level: int = 0) -> list[Any] | None:
    """Return the list of records that a document holds, None where the object is a record itself."""
    if not isinstance(value, dict) or level >= MAX_CONTAINER_LEVELS:
        return None
    if is_keyed(value):
        return [add_key(key, inner) for key, inner in value.items()]
    for key, inner in value.items():
        if key in _OWN and key != "name":
            return None
        if not is_container(key):
            continue
        if isinstance(inner, list) and any(isinstance(element, dict) for element in inner):
            return inner
        if (records := find_records(inner, level + 1)) is not None:
            return records
    if not _OWN.isdisjoint(value):
        return None
    lists = [inner for inner in value.values() if isinstance(inner, list) and inner]
    likely = [inner for inner in lists if all(map(is_certain_record, inner[:100]))]
    return likely[0] if len(likely) == 1 else None


def is_keyed(value: Mapping[str, Any]) -> bool:
    """Whether each value of an object is a record, under its id, with columns like those of the first."""
    values = list(value.values())[:100]
    if not values or any(map(is_container, value)) or not all(map(_looks_like_record, values)):
        return False
    return all(isinstance(inner, dict) for inner in value.values()) and all(
        are_alike(values[0], inner) for inner in values[1:]
    )


def are_alike(first: object, second: object) -> bool:
    """Whether two values are records with at least half of the columns of the smaller one in common."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return False
    if not (_looks_like_record(first) and _looks_like_record(second)):
        return False
    return 2 * len(first.keys() & second.keys()) >= min(len(first), len(second))


def is_certain_record(value: object) -> bool:
    """Whether a value has two columns at least that name a product or its price."""
    return isinstance(value, dict) and len(_RECORD_NAMES & set(map(str.lower, value))) > 1


def _looks_like_record(value: object) -> bool:
    return isinstance(value, dict) and len(value) > 1 and not _RECORD_NAMES.isdisjoint(map(str.lower, value))


def add_key(key: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of an object keyed by id, with its key as `id` unless it has one."""
    return record if "id" in record else {"id": key, **record}


def unwrap(record: object) -> object:
    """Return the record that an object is only the envelope of.

    GraphQL has {node: {…}}, OpenSearch {_id, _source: {…}}, JSON:API {id, type, attributes: {…}}, and answers
    of other APIs {msg, data: {…}}.
    """
    if not isinstance(record, dict) or "title" in record or "name" in record:
        return record
    if len(record) == 1:
        key, inner = next(iter(record.items()))
        return inner if key in _WRAPPERS and isinstance(inner, dict) and len(inner) > 1 else record
    if isinstance(source := record.get("_source"), dict):
        return source if "id" in source else {"id": record.get("_id"), **source}
    if record.get("@type") == "ListItem" and isinstance(record.get("item"), dict):
        return record["item"]
    if isinstance(data := record.get("data"), dict) and len(data) > 1 and _ANSWER.issuperset(record):
        return data
    attributes = record.get("attributes")
    if (
        "id" in record
        and "type" in record
        and isinstance(attributes, dict)
        and _looks_like_record(attributes)
        and _RECORD_NAMES.isdisjoint(record)
    ):
        return {"id": record["id"], **attributes}
    return record
