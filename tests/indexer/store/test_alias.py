import pytest
from opensearchpy import OpenSearch

from indexer.store.alias import Aliases, index_name
from indexer.store.retry import Patience
from mappings.errors import IndexingError, SettingsError
from tests.fakes.shelf import Shelf, shelf


def aliases_of(client: OpenSearch, alias: str = "shop") -> Aliases:
    return Aliases(client, alias, Patience(0))


def create(client: OpenSearch, index: str, alias: str, state: str = "complete") -> None:
    note = {"alias": alias, "state": state, "model": "m", "version": 7}
    client.indices.create(index=index, body={"mappings": {"_meta": {"attune": note}}})


def of(connection: Shelf, *names: str) -> None:
    assert connection.indexes.keys() == set(names)


def test_names_sort_by_time() -> None:
    assert index_name("shop", 1738338300123) == "shop-20250131154500123"
    assert index_name("shop", 1738338300123) < index_name("shop", 1738338300124)


@pytest.mark.parametrize("alias", ["", "Shop", "_shop", "-shop", "a b", "a*", "a,b", "a/b", ".", "x" * 201])
def test_impossible_names(alias: str) -> None:
    client, _ = shelf()
    with pytest.raises(SettingsError, match="no name for OpenSearch"):
        aliases_of(client, alias).check()


def test_a_name_that_an_index_has() -> None:
    client, connection = shelf()
    client.indices.create(index="shop", body={})
    with pytest.raises(IndexingError, match="shop is an index"):
        aliases_of(client).check()
    connection.aliases["store"] = {"shop"}
    aliases_of(client, "store").check()
    aliases_of(client, "new.shop-2").check()


def test_the_alias_moves_and_the_old_index_stays() -> None:
    client, connection = shelf()
    create(client, "shop-1", "shop")
    aliases = aliases_of(client)
    assert aliases.live() is None
    aliases.point("shop-1")
    create(client, "shop-2", "shop")
    aliases.point("shop-2")
    assert connection.aliases["shop"] == {"shop-2"}
    live = aliases.live()
    assert live is not None
    assert (live.name, live.model, live.version, live.complete) == ("shop-2", "m", 7, True)
    of(connection, "shop-1", "shop-2")
    assert aliases.drop_old(1) == ()


def test_the_newest_are_kept_and_the_rest_is_dropped() -> None:
    client, connection = shelf()
    for number in range(5):
        create(client, f"shop-{number}", "shop")
    create(client, "shop-building", "shop", "building")
    create(client, "shop-other-1", "shop-other")
    client.indices.create(index="shop-theirs", body={"mappings": {"_meta": {"attune": "mine"}}})
    aliases = aliases_of(client)
    aliases.point("shop-3")
    connection.aliases["pinned"] = {"shop-0"}
    assert aliases.drop_old(1) == ("shop-1", "shop-2")
    of(connection, "shop-0", "shop-3", "shop-4", "shop-building", "shop-other-1", "shop-theirs")
    assert aliases.drop_old(0) == ("shop-4",)


def test_an_index_that_attune_did_not_make_only_loses_the_alias() -> None:
    client, connection = shelf()
    client.indices.create(index="theirs", body={})
    connection.aliases["shop"] = {"theirs"}
    create(client, "shop-2", "shop")
    aliases = aliases_of(client)
    assert aliases.live() is None
    aliases.point("shop-2")
    assert connection.aliases["shop"] == {"shop-2"}
    assert aliases.drop_old(0) == ()
    of(connection, "theirs", "shop-2")


def test_an_alias_of_two_indexes_is_for_people_to_settle() -> None:
    client, connection = shelf()
    create(client, "shop-1", "shop")
    create(client, "shop-2", "shop")
    connection.aliases["shop"] = {"shop-1", "shop-2"}
    with pytest.raises(IndexingError, match=r"points at 2 indexes \(shop-1, shop-2\)"):
        aliases_of(client).live()


def test_a_lost_answer_is_asked_again() -> None:
    client, connection = shelf()
    create(client, "shop-1", "shop")
    connection.lose_answer = True
    Aliases(client, "shop", Patience(5)).point("shop-1")
    assert connection.aliases["shop"] == {"shop-1"}


def test_the_default_search_pipeline_goes_with_the_alias() -> None:
    client, connection = shelf()
    create(client, "shop-1", "shop")
    aliases = aliases_of(client)
    aliases.point("shop-1")
    assert not connection.settings
    client.indices.put_settings(index="shop-1", body={"index.search.default_pipeline": "attune"})
    create(client, "shop-2", "shop")
    aliases.point("shop-2")
    assert connection.settings[1:] == [{"index.search.default_pipeline": "attune"}]
    assert connection.indexes["shop-2"].body["flat"] == {"index.search.default_pipeline": "attune"}


def test_a_note_is_changed_and_the_rest_of_it_stays() -> None:
    client, _ = shelf()
    create(client, "shop-1", "shop", "building")
    aliases = aliases_of(client)
    (index,) = aliases.made()
    assert not index.complete
    aliases.note(index, state="complete")
    (again,) = aliases.made()
    assert again.complete
    assert again.note["model"] == "m"
