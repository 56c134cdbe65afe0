"""How commands ask an index by words and read its products, be it of Attune's or a shop's own."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from opensearchpy import OpenSearch

from indexer.attach.documents import ShopProducts
from indexer.attach.shop_index import read_attachment
from indexer.catalogue.field_map import FieldMap
from indexer.store.documents import restore_product
from mappings import fields
from mappings.errors import SettingsError
from mappings.types import JsonObject, Product
from plugin_api.search.query.keyword_query import keyword_query

MakeQuery = Callable[[str], JsonObject]
"""Makes the keyword query for a text."""

PLACEHOLDER = "{{text}}"

_FIELDS_WITH_KEYWORD = (fields.TITLE, fields.BRAND, fields.CATEGORY)
_BOOSTS = {"title": 3, "brand": 2, "category": 2, "description": 1}


@dataclass(frozen=True, slots=True)
class SearchedIndex:
    """The keyword query for a text in an index, and how a document's `_source` is read as a product."""

    make_query: MakeQuery
    read_product: Callable[[str, JsonObject], Product]

    @property
    def has_own_fields(self) -> bool:
        """Whether the query is the one over Attune's own fields."""
        return self.make_query is keyword_query


def open_searched_index(client: OpenSearch, name: str, template: JsonObject | None = None) -> SearchedIndex:
    """Return how an index or alias is asked and read. `template` is one of `read_template`.

    An attached index is asked in the fields that its field map names. Raises SettingsError.
    """
    attachment = read_attachment(client, name)
    make_query: MakeQuery = keyword_query
    read: Callable[[str, JsonObject], Product] = restore_product
    if attachment:
        field_map, products = attachment.field_map, ShopProducts(attachment.field_map)
        make_query = lambda text: _query_mapped(field_map, text)  # noqa: E731
        read = lambda key, source: products.read(key, source) or Product(key)  # noqa: E731
    if template:
        make_query = fill_template(template)
    return SearchedIndex(make_query, read)


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """How many products an alias or index has, and the versions of the models that encoded them."""

    products: int
    models: tuple[str, ...]


def fetch_index_facts(client: OpenSearch, index: str) -> IndexFacts:
    """Return what an alias or index has. Raises as the client does: NotFoundError where there is none."""
    models = {"models": {"terms": {"field": fields.MODEL, "size": 10}}}
    answer = client.search(index=index, body={"size": 0, "track_total_hits": True, "aggs": models})
    buckets = answer.get("aggregations", {}).get("models", {}).get("buckets", [])
    return IndexFacts(answer["hits"]["total"]["value"], tuple(bucket["key"] for bucket in buckets))


def check_index_exists(client: OpenSearch, index: str, advice: str = "") -> None:
    """Raise SettingsError where there is no alias or index of a name, naming those that there are.

    `advice` is that of `describe_missing_index`.
    """
    if not (index and client.indices.exists(index=index)):
        raise SettingsError(describe_missing_index(client, index, advice))


def describe_missing_index(client: OpenSearch, index: str, advice: str = "") -> str:
    """Return the message for an alias or index that does not exist.

    It ends with an advice, which is by default how to create the index.
    """
    answer = client.indices.get_alias()
    aliases = {name for item in answer.values() for name in item["aliases"]}
    hidden = (
        ".",
        "attune-",
        *(f"{alias}-" for alias in aliases),
    )  # earlier versions of an alias's index, too
    bare = {name for name, item in answer.items() if not item["aliases"] and not name.startswith(hidden)}
    known = f"there are: {', '.join(sorted(aliases | bare))}" if aliases | bare else "there is none yet"
    advice = advice or f"Create it with `attune index FILE --alias {index}`"
    return f"there is no alias or index {index}; {known}. {advice}"


def filter_query(query: JsonObject, filters: tuple[JsonObject, ...]) -> JsonObject:
    """Return the query with filters, as it is where there are none."""
    return {"bool": {"must": [query], "filter": list(filters)}} if filters else query


def parse_term(pair: str, has_own_fields: bool = True) -> JsonObject:
    """Return the condition of an option --filter FIELD=VALUE. Raises click.BadParameter.

    Where the index `has_own_fields`, Attune's, texts are compared as a whole.
    """
    name, equals, value = pair.partition("=")
    if not (name and equals and value):
        raise click.BadParameter(f"{pair!r} is not of the form FIELD=VALUE", param_hint="--filter")
    return {"term": {f"{name}.keyword" if has_own_fields and name in _FIELDS_WITH_KEYWORD else name: value}}


def read_template(path: Path) -> JsonObject:
    """Return the query of a file with a search body in JSON, where `{{text}}` stands for the words.

    Its `post_filter` becomes a condition; what else is beside `query` does not matter here. Raises
    SettingsError.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"query template {path} does not exist") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"query template {path} is not JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("query"), dict):
        raise SettingsError(f'query template {path} must be a search body with a "query"')
    if PLACEHOLDER not in json.dumps(body["query"]):
        raise SettingsError(f"query template {path} has no {PLACEHOLDER}, which stands for the words")
    conditions = (body["post_filter"],) if "post_filter" in body else ()
    return filter_query(body["query"], conditions)


def fill_template(template: JsonObject) -> MakeQuery:
    """Return what makes the keyword query of a template for a text."""
    return lambda text: {name: _fill(inner, text) for name, inner in template.items()}


def _fill(value: object, text: str) -> object:
    if isinstance(value, str):
        return value.replace(PLACEHOLDER, text)
    if isinstance(value, dict):
        return {name: _fill(inner, text) for name, inner in value.items()}
    return [_fill(inner, text) for inner in value] if isinstance(value, list) else value


def _query_mapped(field_map: FieldMap, text: str) -> JsonObject:
    paths = [f"{path}^{boost}" for name, boost in _BOOSTS.items() for path in field_map.columns_for(name)]
    return {"multi_match": {"query": text, "fields": paths, "lenient": True, "tie_breaker": 0.3}}
