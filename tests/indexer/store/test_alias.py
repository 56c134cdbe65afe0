import pytest
from opensearchpy import OpenSearch

from indexer.store.alias import AliasIndexes, make_index_name
from indexer.store.retry import RetryPolicy
from mappings.errors import IndexingError, SettingsError
from tests.fakes.memory_opensearch import MemoryOpenSearch, open_memory


def aliases_of(client: OpenSearch, alias: str = "shop") -> AliasIndexes:
    return AliasIndexes(client, alias, RetryPolicy(0))


def create(client: OpenSearch, index: str, alias: str, state: str = "complete") -> None:
    note = {"alias": alias, "state": state, "model": "m", "version": 7}
    client.indices.create(index=index, body={"mappings": {"_meta": {"attune": note}}})


def assert_indexes(connection: MemoryOpenSearch, *names: str) -> None:
    assert connection.indexes.keys() == set(names)


def test_names_sort_by_time() -> None:
    assert make_index_name("shop", 1738338300123) == "shop-20250131154500123"
    assert make_index_name("shop", 1738338300123) < make_index_name("shop", 1738338300124)


@pytest.mark.parametrize("alias", ["", "Shop", "_shop", "-shop", "a b", "a*", "a,b", "a/b", ".", "x" * 201])
def test_impossible_names(alias: str) -> None:
    client, _ = open_memory()
    with pytest.raises(SettingsError, match="does not allow the alias"):
        aliases_of(client, alias).validate()


def test_a_name_that_an_index_has() -> None:
    client, connection = open_memory()
    client.indices.create(index="shop", body={})
    with pytest.raises(IndexingError, match="shop is an index"):
        aliases_of(client).validate()
    connection.aliases["store"] = {"shop"}
    aliases_of(client, "store").validate()
    aliases_of(client, "new.shop-2").validate()


def test_the_alias_moves_and_the_old_index_stays() -> None:
    client, connection = open_memory()
    create(client, "shop-1", "shop")
    aliases = aliases_of(client)
    assert aliases.find_live() is None
    aliases.point_at("shop-1")
    create(client, "shop-2", "shop")
    aliases.point_at("shop-2")
    assert connection.aliases["shop"] == {"shop-2"}
    live = aliases.find_live()
    assert live is not None
    assert (live.name, live.model, live.version, live.complete) == ("shop-2", "m", 7, True)
    assert_indexes(connection, "shop-1", "shop-2")
    assert aliases.delete_old(1) == ()


def test_the_newest_are_kept_and_the_rest_is_dropped() -> None:
    client, connection = open_memory()
    for number in range(5):
        create(client, f"shop-{number}", "shop")
    create(client, "shop-building", "shop", "building")
    create(client, "shop-other-1", "shop-other")
    client.indices.create(index="shop-theirs", body={"mappings": {"_meta": {"attune": "mine"}}})
    aliases = aliases_of(client)
    aliases.point_at("shop-3")
    connection.aliases["pinned"] = {"shop-0"}
    assert aliases.delete_old(1) == ("shop-1", "shop-2")
    assert_indexes(connection, "shop-0", "shop-3", "shop-4", "shop-building", "shop-other-1", "shop-theirs")
    assert aliases.delete_old(0) == ("shop-4",)


def test_an_index_that_attune_did_not_make_only_loses_the_alias() -> None:
    client, connection = open_memory()
    client.indices.create(index="theirs", body={})
    connection.aliases["shop"] = {"theirs"}
    create(client, "shop-2", "shop")
    aliases = aliases_of(client)
    assert aliases.find_live() is None
    aliases.point_at("shop-2")
    assert connection.aliases["shop"] == {"shop-2"}
    assert aliases.delete_old(0) == ()
    assert_indexes(connection, "theirs", "shop-2")


def test_an_alias_of_two_indexes_is_for_people_to_resolve() -> None:
    client, connection = open_memory()
    create(client, "shop-1", "shop")
    create(client, "shop-2", "shop")
    connection.aliases["shop"] = {"shop-1", "shop-2"}
    with pytest.raises(IndexingError, match=r"points at 2 indexes \(shop-1, shop-2\)"):
        aliases_of(client).find_live()


def test_a_lost_answer_is_asked_again() -> None:
    client, connection = open_memory()
    create(client, "shop-1", "shop")
    connection.lose_answer = True
    AliasIndexes(client, "shop", RetryPolicy(60, first_pause=0.001)).point_at("shop-1")
    assert connection.aliases["shop"] == {"shop-1"}


def test_the_default_search_pipeline_goes_with_the_alias() -> None:
    client, connection = open_memory()
    create(client, "shop-1", "shop")
    aliases = aliases_of(client)
    aliases.point_at("shop-1")
    assert not connection.settings
    client.indices.put_settings(index="shop-1", body={"index.search.default_pipeline": "attune"})
    create(client, "shop-2", "shop")
    aliases.point_at("shop-2")
    assert connection.settings[1:] == [{"index.search.default_pipeline": "attune"}]
    assert connection.indexes["shop-2"].body["flat"] == {"index.search.default_pipeline": "attune"}


def test_metadata_is_changed_and_the_rest_of_it_stays() -> None:
    client, _ = open_memory()
    create(client, "shop-1", "shop", "building")
    aliases = aliases_of(client)
    (index,) = aliases.list_indexes()
    assert not index.complete
    aliases.update_metadata(index, state="complete")
    (again,) = aliases.list_indexes()
    assert again.complete
    assert again.metadata["model"] == "m"


def test_a_live_index_that_a_killed_job_left_unmarked_is_complete() -> None:
    client, _ = open_memory()
    create(client, "shop-1", "shop", "building")
    aliases = aliases_of(client)
    aliases.point_at("shop-1")
    live = aliases.find_live()
    assert live is not None
    assert live.complete
    assert aliases.list_indexes()[0].complete
