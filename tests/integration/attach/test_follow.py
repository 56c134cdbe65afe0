"""Follow a shop's own writers on real OpenSearch."""

import random
import threading

import pytest

from indexer.attach.verify import verify_vectors
from mappings.errors import IndexingError
from tests.integration.attach.conftest import AttachedShop
from tests.integration.stack import SNAPSHOTS


def test_only_changed_texts_are_encoded(own_shop: AttachedShop) -> None:
    own_shop.attach()
    own_shop.encoder.batches.clear()
    own_shop.update(1, name="Cup 1")  # leaves a vector of the old text
    own_shop.update(2, stock=0)
    own_shop.put(3)  # drops the vector
    own_shop.put(20)
    own_shop.client.delete(index=own_shop.name, id="4")
    report = own_shop.follow()
    assert (report.documents, report.encoded, report.unchanged) == (4, 3, 1)
    assert sum(own_shop.encoder.batches) == 3
    own_shop.check_in_step()
    assert own_shop.follow().documents == 0


def test_verify_tells_what_has_no_vectors_or_outdated_ones(own_shop: AttachedShop) -> None:
    own_shop.attach()
    assert verify_vectors(own_shop.session).equal
    own_shop.update(1, name="Cup 1")
    own_shop.update(2, stock=0)
    own_shop.put(3)
    own_shop.client.index(index=own_shop.name, id="20", body={"stock": 3})
    check = verify_vectors(own_shop.session)
    counts = (check.documents, check.same, check.missing, check.outdated, check.without_text)
    assert counts == (21, 18, 1, 1, 1)
    assert (check.equal, set(check.examples)) == (False, {"1", "3"})
    own_shop.follow()
    assert verify_vectors(own_shop.session).equal


def test_an_index_made_anew_under_the_same_name_is_looked_at_from_the_start(own_shop: AttachedShop) -> None:
    own_shop.attach()
    client = own_shop.client
    client.indices.delete(index=own_shop.name)
    own_shop.create(f"{own_shop.name}-2")
    for number in range(5):
        own_shop.put(number, f"Cup {number}", index=f"{own_shop.name}-2")
    client.indices.put_alias(index=f"{own_shop.name}-2", name=own_shop.name)
    assert own_shop.attach().encoded == 5
    own_shop.check_in_step()


def test_a_split_and_a_shrunk_index_are_recognised(own_shop: AttachedShop) -> None:
    own_shop.attach()
    client, name = own_shop.client, own_shop.name
    client.indices.put_alias(index=name, name=f"{name}-live")
    shop = AttachedShop(client, f"{name}-live", own_shop.encoder)
    shop.follow()
    for kind, shards in (("split", 4), ("shrink", 1)):
        old = next(iter(client.indices.get_alias(name=shop.name)))
        shop.update(7, name=f"Cup before {kind}")
        client.indices.put_settings(index=old, body={"index.blocks.write": True})
        body = {"settings": {"index.number_of_shards": shards, "index.blocks.write": None}}
        getattr(client.indices, kind)(index=old, target=f"{name}-{kind}", body=body)
        moves = [{"remove": {"index": old, "alias": shop.name}}]
        moves += [{"add": {"index": f"{name}-{kind}", "alias": shop.name}}]
        client.indices.update_aliases(body={"actions": moves})
        shop.put(30 + shards, "New mug")
        report = shop.follow()
        assert report.encoded == 2, kind
        shop.check_in_step()


def test_after_another_primary_only_what_changed_is_looked_at(own_shop: AttachedShop) -> None:
    own_shop.attach()
    client, name = own_shop.client, own_shop.name
    client.indices.close(index=name)
    client.indices.open(index=name)
    own_shop.update(1, name="Cup 1")
    own_shop.update(2, stock=0)
    assert client.get(index=name, id="1")["_primary_term"] > 1
    report = own_shop.follow()
    assert (report.documents, report.encoded) == (2, 1)
    own_shop.check_in_step()
    assert own_shop.follow().documents == 0


@pytest.mark.parametrize("before", ["deleted", "closed"])
def test_a_restored_snapshot_is_looked_at_from_the_start(own_shop: AttachedShop, before: str) -> None:
    """Its numbers go back, and those that come next mean other writes than the job remembers."""
    own_shop.attach()
    client, name = own_shop.client, own_shop.name
    body = {"type": "fs", "settings": {"location": f"{SNAPSHOTS}/{name}"}}
    client.snapshot.create_repository(repository=name, body=body)
    wait = {"wait_for_completion": "true"}
    own_shop.put(1, "Cup of the snapshot")
    client.snapshot.create(repository=name, snapshot="one", body={"indices": name}, params=wait)
    for number in range(20):
        own_shop.update(number, name=f"Later mug {number}")
    assert own_shop.follow().encoded == 20
    client.indices.delete(index=name) if before == "deleted" else client.indices.close(index=name)
    restore = {"indices": name, "include_global_state": False}
    client.snapshot.restore(repository=name, snapshot="one", body=restore, params=wait)
    for number in range(2, 12):
        own_shop.update(number, stock=7)
    own_shop.update(12, name="Cup after restoring")
    report = own_shop.follow()
    assert (report.documents, report.encoded) == (20, 2)
    own_shop.check_in_step()
    assert own_shop.documents()["1"]["name"] == "Cup of the snapshot"
    assert own_shop.follow().documents == 0
    client.snapshot.delete_repository(repository=name)


def test_a_moved_alias_is_followed_to_an_index_that_was_never_attached(empty_shop: AttachedShop) -> None:
    client, name = empty_shop.client, empty_shop.name
    empty_shop.create(f"{name}-1")
    client.indices.put_alias(index=f"{name}-1", name=name)
    empty_shop.put(1)
    empty_shop.attach()
    with empty_shop.following() as changed:
        empty_shop.create(f"{name}-2")
        empty_shop.put(2, index=f"{name}-2")
        moves = [{"remove": {"index": f"{name}-1", "alias": name}}]
        moves += [{"add": {"index": f"{name}-2", "alias": name}}]
        client.indices.update_aliases(body={"actions": moves})
        assert changed.wait(60)
    empty_shop.check_in_step()


def test_random_writers_lose_nothing_and_every_document_is_in_step(own_shop: AttachedShop) -> None:
    """The shop writes at random while it is attached and followed; the last write of each product counts."""
    expected: dict[str, str] = {str(number): f"Mug {number}" for number in range(20)}
    writing = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for turn in range(150):
            number = chance.randrange(10) * 2 + seed  # each writer has products of its own
            name = f"Mug {number} of turn {turn}"
            kind = chance.choice(["put", "update", "delete"])
            if kind == "delete":
                own_shop.client.delete(index=own_shop.name, id=str(number), params={"ignore": 404})
                expected.pop(str(number), None)
            elif kind == "put" or str(number) not in expected:
                own_shop.put(number, name)
                expected[str(number)] = name
            else:
                params = {"retry_on_conflict": "5"}
                own_shop.client.update(
                    index=own_shop.name, id=str(number), body={"doc": {"name": name}}, params=params
                )
                expected[str(number)] = name
            writing.set()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    for writer in writers:
        writer.start()
    assert writing.wait(60)
    own_shop.attach()
    with own_shop.following():
        for writer in writers:
            writer.join()
    own_shop.follow()
    assert {key: source["name"] for key, source in own_shop.documents().items()} == expected
    own_shop.check_in_step()


def test_following_goes_on_when_the_alias_is_away_for_a_moment(own_shop: AttachedShop) -> None:
    own_shop.attach()
    client, name = own_shop.client, own_shop.name
    client.indices.put_alias(index=name, name=f"{name}-live")
    shop = AttachedShop(client, f"{name}-live", own_shop.encoder)
    with shop.following() as changed:
        client.indices.delete_alias(index=name, name=f"{name}-live")
        own_shop.put(5, "Cup 5")
        client.indices.put_alias(index=name, name=f"{name}-live")
        assert changed.wait(60)
    own_shop.check_in_step()


def test_following_waits_for_an_alias_that_is_away_at_its_start(own_shop: AttachedShop) -> None:
    own_shop.attach()
    own_shop.put(5, "Cup 5")
    shop = AttachedShop(own_shop.client, f"{own_shop.name}-live", own_shop.encoder)
    with pytest.raises(IndexingError, match="there is no index or alias"):
        shop.follow()
    with shop.following() as changed:
        own_shop.client.indices.put_alias(index=own_shop.name, name=shop.name)
        assert changed.wait(60)
    own_shop.check_in_step()
