import pytest
from opensearchpy import OpenSearch

from indexer.alias import check_alias, index_name, point_alias
from mappings.errors import IndexingError, SettingsError
from tests.indexer.stand_in import shelf


def create(client: OpenSearch, index: str, alias: str) -> None:
    client.indices.create(index=index, body={"mappings": {"_meta": {"attune": {"alias": alias}}}})


def test_names_sort_by_time() -> None:
    assert index_name("shop", 1738338300123) == "shop-20250131154500123"
    assert index_name("shop", 1738338300123) < index_name("shop", 1738338300124)


@pytest.mark.parametrize("alias", ["", "Shop", "_shop", "-shop", "a b", "a*", "a,b", "a/b", ".", "x" * 201])
def test_impossible_names(alias: str) -> None:
    client, _ = shelf()
    with pytest.raises(SettingsError, match="no name for OpenSearch"):
        check_alias(client, alias)


def test_a_name_that_an_index_has() -> None:
    client, connection = shelf()
    client.indices.create(index="shop", body={})
    with pytest.raises(IndexingError, match="shop is an index"):
        check_alias(client, "shop")
    connection.aliases["store"] = {"shop"}
    check_alias(client, "store")
    check_alias(client, "new.shop-2")


def test_the_first_time_there_is_nothing_to_remove() -> None:
    client, connection = shelf()
    create(client, "shop-1", "shop")
    assert point_alias(client, "shop", "shop-1") == []
    assert connection.aliases["shop"] == {"shop-1"}


def test_the_old_index_goes_when_the_alias_moves() -> None:
    client, connection = shelf()
    create(client, "shop-1", "shop")
    point_alias(client, "shop", "shop-1")
    create(client, "shop-2", "shop")
    assert point_alias(client, "shop", "shop-2") == ["shop-1"]
    assert connection.aliases["shop"] == {"shop-2"}
    assert connection.indexes.keys() == {"shop-2"}


@pytest.mark.parametrize(
    "meta", [{}, {"_meta": {"attune": {"alias": "other"}}}, {"_meta": {"attune": "mine"}}]
)
def test_an_index_that_attune_did_not_make_for_the_alias_stays(meta: dict[str, object]) -> None:
    client, connection = shelf()
    client.indices.create(index="theirs", body={"mappings": meta})
    connection.aliases["shop"] = {"theirs"}
    create(client, "shop-2", "shop")
    assert point_alias(client, "shop", "shop-2") == []
    assert connection.aliases["shop"] == {"shop-2"}
    assert connection.indexes.keys() == {"theirs", "shop-2"}


def test_an_index_that_another_alias_uses_stays() -> None:
    client, connection = shelf()
    create(client, "shop-1", "shop")
    connection.aliases.update({"shop": {"shop-1"}, "pinned": {"shop-1"}})
    create(client, "shop-2", "shop")
    assert point_alias(client, "shop", "shop-2") == []
    assert connection.aliases == {"shop": {"shop-2"}, "pinned": {"shop-1"}}


def test_the_default_search_pipeline_goes_with_the_alias() -> None:
    client, connection = shelf()
    create(client, "shop-1", "shop")
    point_alias(client, "shop", "shop-1")
    assert not connection.settings
    connection.pipelines["shop-1"] = "attune"
    create(client, "shop-2", "shop")
    point_alias(client, "shop", "shop-2")
    assert connection.settings == [{"index.search.default_pipeline": "attune"}]
