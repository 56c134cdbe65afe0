"""How commands ask an index: by Attune's own query, by a field map, or by the shop's query."""

from pathlib import Path
from typing import Any

import pytest

from mappings.errors import SettingsError
from mappings.types import JsonObject
from plugin_api.commands.searched_index import (
    check_index_exists,
    fill_template,
    open_searched_index,
    read_template,
)
from tests.fakes.memory_opensearch import open_memory


def make_index(**metadata: Any) -> Any:
    client, _ = open_memory()
    body = {"mappings": {"_meta": {"attune": metadata} if metadata else {}}}
    client.indices.create(index="shop", body=body)
    return client


def test_an_attached_index_is_asked_and_read_by_its_field_map() -> None:
    fields = {"id": "_id", "title": "name.de", "brand": "maker.name", "price": "offers.price"}
    record = {"model": "m", "dimension": 4, "vectors": "byte", "fields": fields}
    searched = open_searched_index(make_index(attached=record), "shop")
    assert not searched.has_own_fields
    query = searched.make_query("mug")["multi_match"]
    assert (query["query"], query["fields"]) == ("mug", ["name.de^3", "maker.name^2"])
    source = {"name": {"de": "Becher"}, "maker": {"name": "Potter"}, "offers": [{"price": 7}]}
    product = searched.read_product("1", source)
    assert (product.id, product.title, product.brand, product.price) == ("1", "Becher", "Potter", 7)
    assert searched.read_product("2", {}).title == ""


def test_an_index_of_attunes_is_asked_and_read_as_ever() -> None:
    searched = open_searched_index(make_index(alias="shop"), "shop")
    assert searched.has_own_fields
    assert searched.read_product("1", {"title": "Mug"}).title == "Mug"


def test_a_missing_index_is_told_with_those_that_exist() -> None:
    client = make_index()
    for name in ("toys-1", "toys-2", "attune-users", ".system"):
        client.indices.create(index=name, body={})
    client.indices.update_aliases(body={"actions": [{"add": {"index": "toys-2", "alias": "toys"}}]})
    check_index_exists(client, "shop")
    check_index_exists(client, "toys")
    message = r"no alias or index nowhere; there are: shop, toys\. Create it with"
    with pytest.raises(SettingsError, match=message):
        check_index_exists(client, "nowhere")


def test_a_template_is_filled_wherever_the_words_stand(tmp_path: Path) -> None:
    file = tmp_path / "query.json"
    file.write_text(
        '{"query": {"bool": {"should": [{"match": {"name": "{{text}}"}}, {"term": {"sku": "{{text}}"}}]}},'
        ' "post_filter": {"term": {"live": true}}, "size": 3}'
    )
    make_query = fill_template(read_template(file))
    wanted: JsonObject = {
        "bool": {"should": [{"match": {"name": '6" mug'}}, {"term": {"sku": '6" mug'}}]},
    }
    assert make_query('6" mug') == {"bool": {"must": [wanted], "filter": [{"term": {"live": True}}]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ('{"size": 1}', 'must be a search body with a "query"'),
        ('{"query": {"match_all": {}}}', "has no {{text}}"),
    ],
)
def test_a_wrong_template_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "query.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_template(file)
    with pytest.raises(SettingsError, match="does not exist"):
        read_template(tmp_path / "nowhere.json")
