"""Attach to an index that can't have vectors: a copy takes its place, and no write of the shop's is lost."""

import random
import threading

import pytest
from opensearchpy.exceptions import AuthorizationException

from indexer.attach import switching
from indexer.attach.job import FollowJob, follow_index, return_to_originals
from mappings.errors import IndexingError
from mappings.types import JsonObject
from tests.integration.attach.conftest import AttachedShop


@pytest.fixture
def plain_shop(empty_shop: AttachedShop) -> AttachedShop:
    """A shop whose index has no `index.knn`, behind an alias of its name."""
    index = f"{empty_shop.name}-v1"
    empty_shop.create(index, knn=False, refresh_interval="7s")
    empty_shop.client.indices.put_alias(index=index, name=empty_shop.name)
    for number in range(20):
        empty_shop.put(number)
    return empty_shop


@pytest.fixture
def bare_shop(empty_shop: AttachedShop) -> AttachedShop:
    """The same, but its index has the name itself."""
    empty_shop.create(empty_shop.name, knn=False, refresh_interval="7s")
    filtered = {"filter": {"term": {"stock": 1}}}
    empty_shop.client.indices.put_alias(index=empty_shop.name, name=f"{empty_shop.name}-stock", body=filtered)
    for number in range(20):
        empty_shop.put(number)
    return empty_shop


def index_of(shop: AttachedShop) -> tuple[str, JsonObject]:
    (index,) = shop.client.indices.get(index=shop.name).items()
    return index


def test_the_alias_moves_to_a_copy_with_the_shops_settings(plain_shop: AttachedShop) -> None:
    before = plain_shop.documents()
    report = plain_shop.attach()
    name, body = index_of(plain_shop)
    assert name != f"{plain_shop.name}-v1"
    assert report.kept == (f"{plain_shop.name}-v1",)
    assert report.refusing_seconds > 0
    assert plain_shop.shop_fields() == before
    plain_shop.check_in_step()
    settings, mappings = body["settings"]["index"], body["mappings"]
    assert (settings["refresh_interval"], settings["number_of_shards"]) == ("7s", "2")
    assert "default_pipeline" not in settings
    assert (mappings["dynamic"], mappings["_meta"]["owner"]) == ("strict", "the shop")
    plain_shop.put(20)
    assert plain_shop.follow().encoded == 1


def test_the_name_of_the_index_moves_and_a_clone_is_kept(bare_shop: AttachedShop) -> None:
    before = bare_shop.documents()
    report = bare_shop.attach()
    (kept,) = report.kept
    assert bare_shop.shop_fields() == before
    bare_shop.check_in_step()
    name, body = index_of(bare_shop)
    assert body["aliases"][f"{bare_shop.name}-stock"] == {"filter": {"term": {"stock": 1}}}
    client = bare_shop.client
    assert client.count(index=kept)["count"] == 20
    settings = client.indices.get_settings(index=kept)[kept]["settings"]["index"]
    assert settings["number_of_replicas"] == "0"  # as the shop's: more may have no room, and hold writes up
    client.indices.delete(index=f"{name},{kept}")


def test_versions_and_routing_are_copied(plain_shop: AttachedShop) -> None:
    client = plain_shop.client
    versioned = {"version": 7_000, "version_type": "external", "routing": "north"}
    client.index(index=plain_shop.name, id="20", body={"name": "Mug 20"}, params=versioned)
    plain_shop.attach()
    found = client.get(index=plain_shop.name, id="20", params={"routing": "north"})
    assert (found["_version"] >= 7_000, found["_routing"]) == (True, "north")


def test_where_the_switch_fails_the_shop_goes_on_as_before(
    plain_shop: AttachedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise IndexingError("the cluster failed")

    with monkeypatch.context() as patch:
        patch.setattr(switching, "_move_names", fail)
        with pytest.raises(IndexingError, match="the cluster failed"):
            plain_shop.attach()
    assert index_of(plain_shop)[0] == f"{plain_shop.name}-v1"
    plain_shop.put(3, "Cup 3")
    plain_shop.client.delete(index=plain_shop.name, id="4")
    plain_shop.encoder.batches.clear()
    plain_shop.attach()
    assert sum(plain_shop.encoder.batches) == 1
    assert len(plain_shop.documents()) == 19
    plain_shop.check_in_step()


@pytest.mark.parametrize("kind", ["plain_shop", "bare_shop"])
def test_a_random_writer_loses_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    """The shop writes all the time, and repeats what is refused; the last write of each product counts."""
    shop: AttachedShop = request.getfixturevalue(kind)
    expected = {str(number): f"Mug {number}" for number in range(20)}
    stop, writing = threading.Event(), threading.Event()

    def repeat(write: object, **arguments: object) -> None:
        while True:
            try:
                write(index=shop.name, **arguments)  # type: ignore[operator]
            except AuthorizationException:  # cluster_block_exception
                stop.wait(0.01)
            else:
                return

    def work() -> None:
        chance = random.Random(7)
        turn = 0
        while not stop.is_set():
            turn += 1
            key = str(chance.randrange(60))
            if chance.random() < 0.3:
                repeat(shop.client.delete, id=key, params={"ignore": 404})
                expected.pop(key, None)
            else:
                name = f"Mug {key} of turn {turn}"
                repeat(shop.client.index, id=key, body={"name": name})
                expected[key] = name
            writing.set()

    writer = threading.Thread(target=work)
    writer.start()
    try:
        assert writing.wait(60)
        report = shop.attach()
        follow_index(shop.session, FollowJob(once=True), stop)
    finally:
        stop.set()
        writer.join()
    shop.follow()
    assert {key: source["name"] for key, source in shop.documents().items()} == expected
    shop.check_in_step()
    shop.client.indices.delete(index=",".join({index_of(shop)[0], *report.kept}))


@pytest.mark.parametrize("kind", ["plain_shop", "bare_shop"])
def test_the_shops_index_takes_its_place_again_with_what_came_since(
    kind: str, request: pytest.FixtureRequest
) -> None:
    shop: AttachedShop = request.getfixturevalue(kind)
    (kept,) = shop.attach().kept
    shop.put(3, "Cup 3")
    shop.put(20)
    shop.client.delete(index=shop.name, id="4")
    expected = shop.shop_fields()
    (switch,) = return_to_originals(shop.session)
    assert switch.index == kept
    assert index_of(shop)[0] == kept
    assert shop.documents() == expected
    assert "copy_to" not in str(index_of(shop)[1]["mappings"])
    shop.put(21)
    assert len(shop.documents()) == 21
    shop.client.indices.delete(index=f"{switch.index},{switch.kept}")


def test_of_several_indexes_those_that_need_it_are_copied_and_return(empty_shop: AttachedShop) -> None:
    client, name = empty_shop.client, empty_shop.name
    for suffix in ("old", "older", "young"):
        empty_shop.create(f"{name}-{suffix}", knn=suffix == "young")
        empty_shop.put(f"mug-{suffix}", index=f"{name}-{suffix}")
        client.indices.put_alias(index=f"{name}-{suffix}", name=name)
    report = empty_shop.attach()
    assert report.kept == (f"{name}-old", f"{name}-older")
    assert (report.documents, report.encoded) == (3, 3)
    empty_shop.check_in_step()
    copies = set(client.indices.get_alias(name=name)) - {f"{name}-young"}
    switches = return_to_originals(empty_shop.session)
    assert [switch.index for switch in switches] == [f"{name}-old", f"{name}-older"]
    assert set(client.indices.get_alias(name=name)) == {f"{name}-{age}" for age in ("old", "older", "young")}
    assert len(empty_shop.documents()) == 3
    client.indices.delete(index=",".join(copies))


def test_what_is_not_a_copy_has_nothing_to_return_to(own_shop: AttachedShop) -> None:
    own_shop.attach()
    with pytest.raises(IndexingError, match="is a copy of one of the shop's: `attune detach"):
        return_to_originals(own_shop.session)
