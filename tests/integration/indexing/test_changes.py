"""Changes on real OpenSearch: order, versions, tombstones, vectors that stay, and what differs in the end."""

import time

import pytest

from indexer.store.jobs_index import open_jobs_index
from indexer.store.lock import hold_lock
from mappings.errors import JobRunning, SettingsError
from tests.fakes.fake_encoder import OtherEncoder
from tests.integration.indexing.shop import MUGS, RETRY, Shop, everything, mug


def test_upserts_partial_updates_and_deletes(shop: Shop) -> None:
    shop.rebuild()
    report = shop.change([
        mug(1, title="Cup 1", _op="upsert"),
        mug("new", _op="create"),
        {"id": "2", "_op": "update", "title": "Cup 2"},
        {"id": "3", "_op": "UPDATE", "price": 3.5, "color": ""},
        {"id": "4", "_op": "delete"},
        {"id": "unknown", "_op": "delete"},
        {"id": "gone", "_op": "update", "price": 1},
        {"id": "5", "_op": "explode"},
        {"id": "6", "_op": "upsert", "title": ""},
    ])  # fmt: skip
    assert (report.upserted, report.updated, report.deleted, report.rejected) == (2, 2, 2, 3)
    assert report.encoded == 4  # the third has lost its color, which the encoder read
    documents = shop.documents()
    assert (documents["1"][1]["title"], documents["2"][1]["title"]) == ("Cup 1", "Cup 2")
    assert documents["2"][1]["price"] == 10
    assert documents["3"][1]["price"] == 3.5
    assert "attributes" not in documents["3"][1]
    assert "4" not in documents
    rejects = {of["line"]: of["reason"] for of in shop.rejects()}
    assert rejects.keys() == {7, 8, 9}
    assert "no product gone in the index" in rejects[7]


def test_changes_of_one_product_apply_in_their_order(shop: Shop) -> None:
    shop.rebuild()
    shop.change([
        {"id": "1", "_op": "update", "price": 1},
        {"id": "2", "_op": "delete"},
        {"id": "1", "_op": "update", "price": 2},
        mug(2, price=20, _op="upsert"),
        {"id": "2", "_op": "update", "price": 21},
        mug("new", price=5, _op="upsert"),
        {"id": "new", "_op": "delete"},
        {"id": "1", "_op": "update", "price": 3},
    ])  # fmt: skip
    prices = shop.prices()
    assert (prices["1"], prices["2"], "new" in prices) == (3, 21, False)


def test_changes_that_come_late_change_nothing(shop: Shop) -> None:
    shop.rebuild()
    newest = [{"id": "1", "_op": "update", "price": 2, "_version": 1_800_000_000_000}]
    assert shop.change(newest).updated == 1
    late = [
        mug(1, price=99, _op="upsert", _version=1_799_000_000_000),
        {"id": "1", "_op": "delete", "_version": "2026-01-01T00:00:00Z"},
        mug(3, price=99, _op="upsert", _version=1_600_000_000_000),
    ]
    assert shop.change(late).stale == 3
    assert (shop.prices()["1"], shop.prices()["3"]) == (2, 10)
    again = shop.change(newest)
    assert (again.unchanged, again.updated) == (1, 0)


def test_what_was_deleted_stays_deleted_after_opensearch_forgot_its_version(shop: Shop) -> None:
    shop.rebuild()
    shop.client.indices.put_settings(index=shop.alias, body={"index.gc_deletes": "0s"})
    assert shop.change([{"id": "1", "_op": "delete"}, {"id": "never", "_op": "delete"}], at=5000).deleted == 2
    time.sleep(0.5)
    shop.client.indices.refresh(index=shop.alias)
    late = shop.change([mug(1), mug("never"), mug("other")], at=4000)
    assert (late.stale, late.upserted) == (2, 1)
    assert shop.prices().keys() & {"1", "never", "other"} == {"other"}
    shop.rebuild(at=100)
    assert shop.change([mug(1), mug("never")], at=4000).stale == 2
    assert shop.change([mug(1)], at=6000).upserted == 1
    assert "1" in shop.titles()


def test_a_price_is_no_text(shop: Shop) -> None:
    """Prices and stock change without the encoder, and every byte of the vectors stays."""
    shop.rebuild()
    before = shop.documents()
    shop.encoder.batches.clear()
    events = [{"id": str(n), "_op": "update", "price": n, "available": n % 2 == 0} for n in range(20)]
    events += [mug(n, price=100 + n, _op="upsert") for n in range(10)]
    report = shop.change(events)
    assert (report.encoded, shop.encoder.batches) == (0, [])
    for key, (version, source) in shop.documents().items():
        own, old = source["attune"], before[key][1]["attune"]
        assert own == {**old, "version": version, "changed": True}
        assert source["price"] == int(key) + (100 if int(key) < 10 else 0)


def test_what_opensearch_refuses_is_rejected_and_the_rest_goes_on(shop: Shop) -> None:
    refuse = {"convert": {"if": "ctx.brand == 'Refused'", "field": "brand", "type": "integer"}}
    shop.client.ingest.put_pipeline(id=shop.alias, body={"processors": [refuse]})
    template = {"index_patterns": [f"{shop.alias}-*"], "settings": {"index.default_pipeline": shop.alias}}
    shop.client.indices.put_template(name=shop.alias, body=template)
    report = shop.rebuild([*MUGS[:10], mug("wrong", brand="Refused"), *MUGS[10:]])
    assert (report.indexed, report.rejected) == (20, 1)
    (reject,) = shop.rejects("rejects.jsonl")
    assert (reject["line"], reject["kind"]) == (11, "document")
    assert reject["reason"] == 'OpenSearch refused the document: For input string: "Refused"'
    changed = shop.change([mug(1, price=1), mug(3, brand="Refused"), mug(2, price=2)])
    assert (changed.upserted, changed.rejected) == (2, 1)
    assert [of["line"] for of in shop.rejects()] == [2]
    assert len(shop.documents()) == 20
    shop.client.indices.delete_template(name=shop.alias)


def test_a_block_stops_the_job_and_rejects_nothing(shop: Shop) -> None:
    shop.rebuild()
    shop.client.indices.put_settings(index=shop.alias, body={"index.blocks.write": True})
    with pytest.raises(Exception, match="not blocked for writing"):
        shop.change([mug(1, price=1)])
    assert shop.rejects() == []
    shop.client.indices.put_settings(index=shop.alias, body={"index.blocks.write": None})
    assert shop.change([mug(1, price=1)]).upserted == 1


def test_counts_and_times_do_not_mix(shop: Shop) -> None:
    shop.rebuild()
    with pytest.raises(SettingsError, match="version 7 is a count"):
        shop.change([mug(1, _version=7)])
    shop.rebuild([mug(n, _version=n + 1) for n in range(20)])
    assert shop.change([mug(1, _version=30)]).upserted == 1
    with pytest.raises(SettingsError, match="is a time"):
        shop.change([mug(1)])


def test_two_jobs_of_changes_exclude_each_other(shop: Shop) -> None:
    shop.rebuild()
    with hold_lock(open_jobs_index(shop.client, RETRY), shop.alias, "changes"), pytest.raises(JobRunning):
        shop.change([mug(1)])
    assert shop.change([mug(1, price=1)]).upserted == 1


def test_what_differs_is_told_each_by_its_kind(shop: Shop) -> None:
    shop.rebuild()
    assert shop.verify().equal
    index = shop.live().name
    shop.client.delete(index=index, id="1")
    shop.client.index(index=index, id="foreign", body={"title": "Foreign"})
    shop.client.update(index=index, id="2", body={"doc": {"price": 11}})
    shop.client.update(index=index, id="3", body={"doc": {"attune": {"hash": "of another text"}}})
    shop.client.update(index=index, id="4", body={"doc": {"attune": {"vector": [127, -127, 127, -127]}}})
    shop.client.indices.refresh(index=index)
    found = shop.verify()
    told = sorted((of.kind, of.id) for of in found.examples)
    assert told == [
        ("extra", "foreign"), ("fields", "2"), ("missing", "1"), ("vectors", "3"), ("vectors", "4"),
    ]  # fmt: skip
    assert (found.missing, found.extra, found.fields, found.vectors) == (1, 1, 1, 2)
    assert (found.same, found.to_encode, found.equal) == (16, 2, False)
    shop.encoder = OtherEncoder()
    assert shop.verify().vectors >= 18


def test_a_dry_run_of_changes_writes_nothing(shop: Shop) -> None:
    shop.rebuild()
    before = everything(shop.client)
    report = shop.change([mug(1, title="Cup"), {"id": "2", "_op": "delete"}, mug("new"),
                          {"id": "3", "_op": "update", "price": 1}, {"id": "x", "_op": "update", "price": 1}],
                         dry=True)  # fmt: skip
    assert (report.upserted, report.updated, report.deleted, report.rejected) == (2, 1, 1, 1)
    assert report.encoded == 2
    assert everything(shop.client) == before


def test_a_file_that_is_applied_twice_changes_nothing_the_second_time(shop: Shop) -> None:
    shop.rebuild()
    events = [mug(1, price=1), {"id": "2", "_op": "delete"}, {"id": "3", "_op": "update", "price": 3}]
    shop.change(events)
    before = shop.documents()
    again = shop.change(events)
    assert (again.encoded, again.unchanged, again.deleted) == (0, 2, 1)
    assert shop.documents() == before
