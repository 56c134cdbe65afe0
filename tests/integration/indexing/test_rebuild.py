"""Full rebuilds on real OpenSearch: what becomes of alias, indexes, settings and documents."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.store.alias import PIPELINE_SETTING, AliasIndexes
from indexer.store.catch_up import CatchUp
from indexer.store.jobs_index import open_jobs_index
from indexer.store.lock import hold_lock
from mappings.errors import CatalogueError, IndexingError, JobRunning
from mappings.settings import IndexSettings
from tests.fakes.fake_encoder import OtherEncoder
from tests.integration.indexing.shop import MUGS, RETRY, Shop, mug


def settings_of(shop: Shop, index: str) -> dict[str, object]:
    found: dict[str, object] = shop.client.indices.get_settings(
        index=index, params={"flat_settings": "true"}
    )[index]["settings"]
    return found


def test_the_alias_moves_and_the_old_index_stays_to_go_back_to(shop: Shop) -> None:
    first = shop.rebuild()
    second = shop.rebuild([*MUGS[:15], mug(20)], at=10)
    assert shop.live().name == second.index
    assert (second.kept, second.removed, second.encoded, second.indexed) == ((first.index,), (), 1, 16)
    third = shop.rebuild(MUGS, at=20)
    assert (third.kept, third.removed) == ((second.index,), (first.index,))
    assert shop.made() == [second.index, third.index]
    back = shop.roll_back()
    assert (back.index, back.previous, back.changes_copied) == (second.index, third.index, 0)
    assert set(shop.titles()) == {str(n) for n in range(15)} | {"20"}
    again = shop.roll_back(third.index)
    assert (again.index, again.previous) == (third.index, second.index)
    assert len(shop.titles()) == 20
    with pytest.raises(IndexingError, match="nowhere is not another complete index"):
        shop.roll_back("nowhere")


def test_after_a_rollback_the_index_that_was_in_use_is_kept(shop: Shop) -> None:
    good = shop.rebuild(at=0)
    shop.rebuild(at=1)
    shop.roll_back()
    third = shop.rebuild(at=2)
    assert third.kept == (good.index,)
    assert shop.roll_back().index == good.index


def test_an_unchanged_catalogue_is_not_encoded_again_and_changed_text_alone_is(shop: Shop) -> None:
    shop.rebuild()
    before = shop.documents()
    second = shop.rebuild(at=5)
    assert (second.indexed, second.encoded) == (20, 0)
    vectors = {key: source["attune"]["vector"] for key, (_, source) in shop.documents().items()}
    assert vectors == {key: source["attune"]["vector"] for key, (_, source) in before.items()}
    third = shop.rebuild([mug(0, title="Cup 0"), mug(1, price=3), *MUGS[2:]], at=6)
    assert (third.indexed, third.encoded) == (20, 1)
    assert shop.rebuild(at=7, encoder=OtherEncoder()).encoded == 20


def test_settings_are_for_loading_during_and_for_searches_after(shop: Shop) -> None:
    during = []

    def look(_indexed: int, _share: float) -> None:
        during.append(settings_of(shop, shop.made()[-1]))

    settings = IndexSettings(batch=4, replicas=1)
    report = shop.rebuild(on_progress=look, settings=settings, replica_seconds=1)  # one node has no room
    assert {(of["index.refresh_interval"], of["index.number_of_replicas"]) for of in during} == {("-1", "0")}
    after = settings_of(shop, report.index)
    assert "index.refresh_interval" not in after
    assert after["index.number_of_replicas"] == "1"


def test_the_default_search_pipeline_goes_with_the_alias(shop: Shop) -> None:
    first = shop.rebuild()
    shop.client.transport.perform_request(
        "PUT", "/_search/pipeline/attune-test", body={"request_processors": [], "response_processors": []}
    )
    shop.client.indices.put_settings(index=first.index, body={PIPELINE_SETTING: "attune-test"})
    second = shop.rebuild(at=1)
    assert settings_of(shop, second.index)[PIPELINE_SETTING] == "attune-test"
    shop.roll_back()
    assert settings_of(shop, first.index)[PIPELINE_SETTING] == "attune-test"


def test_a_catalogue_that_shrank_too_much_leaves_the_alias(shop: Shop) -> None:
    first = shop.rebuild()
    with pytest.raises(IndexingError, match="9 products where searches have 20 now"):
        shop.rebuild(MUGS[:9], at=1)
    assert shop.made() == [first.index]
    assert shop.live().name == first.index
    assert shop.rebuild(MUGS[:9], at=1, settings=IndexSettings(batch=4, min_share=0.4)).indexed == 9


def test_documents_that_vanish_while_it_runs_fail_the_sanity_checks(shop: Shop) -> None:
    first = shop.rebuild()

    def lose(_indexed: int, share: float) -> None:
        if share == 1.0:
            shop.client.delete(index=shop.made()[-1], id="7")

    with pytest.raises(IndexingError, match="19 products of the catalogue instead of 20"):
        shop.rebuild(at=1, on_progress=lose)
    assert shop.made() == [first.index]
    assert len(shop.documents()) == 20


def test_a_run_that_stops_is_gone_on_with_and_no_unfinished_index_is_left(shop: Shop) -> None:
    shop.rebuild()
    first = OtherEncoder()

    def stop(indexed: int, _share: float) -> None:
        if indexed >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.rebuild(at=1, on_progress=stop, encoder=first)
    encoder = OtherEncoder()
    report = shop.rebuild(at=1, encoder=encoder)
    assert report.resumed
    assert (report.indexed, report.encoded) == (20, sum(encoder.batches))
    assert 0 < report.encoded <= 12
    assert shop.made() == [*report.kept, report.index]
    with pytest.raises(KeyboardInterrupt):
        shop.rebuild(at=2, on_progress=stop)
    last = shop.rebuild(at=3)  # another catalogue: what was begun for it is removed
    assert not last.resumed
    assert shop.made() == [*last.kept, last.index]


def test_a_catalogue_without_a_product_leaves_no_index(shop: Shop) -> None:
    shop.rebuild()
    with pytest.raises(CatalogueError, match="no usable product"):
        shop.rebuild([{"id": "1", "title": ""}], at=1)
    assert len(shop.made()) == 1


def test_changes_during_a_rebuild_reach_the_new_index(shop: Shop) -> None:
    """They come in the middle: whole, in part, deleted, and a product that the catalogue never had."""
    shop.rebuild()
    shop.change([{"id": "only changed", "title": "Cup"}], at=500)
    came = False

    def change(indexed: int, _share: float) -> None:
        nonlocal came
        if not came and indexed >= 8:
            came = True
            events = [
                mug(1, title="Cup 1", _op="upsert"),
                {"id": "18", "_op": "update", "price": 77},
                {"id": "2", "_op": "delete"},
                {"id": "19", "_op": "delete"},
                mug("new", _op="upsert"),
                mug("short", _op="upsert"),
                {"id": "short", "_op": "delete"},
            ]
            assert shop.change(events).rejected == 0

    report = shop.rebuild(at=100, on_progress=change)
    expected = dict(sorted({str(n): f"Mug {n}" for n in range(20) if n not in (2, 19)}.items()))
    expected = dict(sorted({**expected, "1": "Cup 1", "new": "Mug new", "only changed": "Cup"}.items()))
    assert shop.titles() == expected
    assert shop.prices()["18"] == 77
    assert shop.live().name == report.index
    assert report.changes_copied == 6
    found = shop.verify(at=100)
    assert found.equal
    assert (found.newer, found.deleted, found.same) == (2, 2, 16)


def test_a_catalogue_older_than_changes_keeps_them(shop: Shop) -> None:
    shop.rebuild()
    shop.change([mug(1, title="Cup 1"), {"id": "2", "_op": "delete"}, mug("new")], at=1000)
    shop.rebuild(at=10)
    titles = shop.titles()
    assert (titles["1"], titles["new"], "2" in titles) == ("Cup 1", "Mug new", False)
    shop.rebuild(at=2000)
    titles = shop.titles()
    assert (titles["1"], "new" in titles, titles["2"]) == ("Mug 1", False, "Mug 2")


def test_an_index_that_is_mostly_changes_can_be_rebuilt(shop: Shop) -> None:
    shop.rebuild(MUGS[:4])
    shop.change([mug(number, price=5) for number in range(20)])
    assert len(shop.documents()) == 20
    shop.rebuild(MUGS[:4], at=1)
    assert set(shop.prices().values()) == {5}
    assert len(shop.documents()) == 20
    assert shop.reencode(OtherEncoder()).indexed == 20


def test_a_product_deleted_and_brought_again_in_one_file_is_in_the_new_index(shop: Shop) -> None:
    shop.rebuild()
    shop.change([{"id": "3", "_op": "delete"}, mug(3, title="Cup 3", _op="upsert")])
    shop.rebuild(at=1)
    assert shop.titles()["3"] == "Cup 3"


def test_versions_that_each_product_counts_for_itself(shop: Shop) -> None:
    catalogue = [mug(1, _version=900), mug(2, _version=5), mug(3, _version=7)]
    shop.rebuild(catalogue)
    events = [mug(2, _version=6, price=66), {"id": "3", "_op": "delete", "_version": 8}]
    assert shop.change(events).rejected == 0
    shop.rebuild(catalogue)
    assert shop.prices() == {"1": 10, "2": 66}


def test_a_run_that_was_killed_after_it_brought_changes_goes_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.rebuild()
    shop.change([{"id": "0", "_op": "delete"}, {"id": "5", "_op": "delete"}, mug(1, price=3)], at=1000)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(AliasIndexes, "point_at", stop)
        with pytest.raises(KeyboardInterrupt):
            shop.rebuild(at=1)
    report = shop.rebuild(at=1)
    assert report.resumed
    assert (len(shop.documents()), shop.prices()["1"]) == (18, 3)


@pytest.mark.parametrize("killed", [False, True])
def test_a_change_of_the_same_version_after_its_product_was_brought(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """A file's changes have one version: the second of a product must not look like the first."""
    shop.rebuild()
    shop.change([mug(1, price=1), mug(2, price=1), {"id": "3", "_op": "delete"}])
    real = CatchUp.copy_changes
    copied = []

    def copy_changes(self: CatchUp) -> int:
        copied.append(real(self))
        if len(copied) == 1:
            shop.change([{"id": "1", "_op": "update", "price": 2}, {"id": "2", "_op": "delete"},
                         mug(3, price=3, _op="upsert")])  # fmt: skip
            if killed:
                raise KeyboardInterrupt
        return copied[-1]

    monkeypatch.setattr(CatchUp, "copy_changes", copy_changes)
    if killed:
        with pytest.raises(KeyboardInterrupt):
            shop.rebuild(at=1)
    assert shop.rebuild(at=1).resumed == killed
    prices = shop.prices()
    assert (prices["1"], "2" in prices, prices["3"]) == (2, False, 3)
    assert len(prices) == 19


def test_a_rollback_brings_changes_along(shop: Shop) -> None:
    shop.rebuild()
    shop.rebuild([mug(n, title=f"Cup {n}") for n in range(20)], at=100)
    shop.change([mug(1, title="Vase 1"), {"id": "2", "_op": "delete"}, mug("new"),
                 {"id": "3", "_op": "update", "price": 33}])  # fmt: skip
    report = shop.roll_back()
    titles = shop.titles()
    assert report.changes_copied == 4
    assert (titles["0"], titles["1"], titles["new"], "2" in titles) == ("Mug 0", "Vase 1", "Mug new", False)
    assert shop.prices()["3"] == 33
    shop.change([mug(4, title="Vase 4"), {"id": "1", "_op": "delete"}], at=2000)
    shop.roll_back(report.previous)
    titles = shop.titles()
    assert (titles["0"], titles["4"], "1" in titles, "2" in titles) == ("Cup 0", "Vase 4", False, False)


def test_another_model_encodes_the_index_again_with_the_changes_meanwhile(shop: Shop) -> None:
    shop.rebuild()
    shop.change([mug(3, title="Cup 3"), mug("new"), {"id": "4", "_op": "delete"}])
    came = False

    def change(indexed: int, _share: float) -> None:
        nonlocal came
        if not came:
            came = True
            shop.change([mug(5, title="Cup 5"), {"id": "6", "_op": "delete"}, mug("newer"),
                         mug("new", title="Cup new")], at=1001)  # fmt: skip

    report = shop.reencode(OtherEncoder(), change)
    documents = shop.documents()
    assert {source["attune"]["model"] for _, source in documents.values()} == {OtherEncoder.version}
    titles = shop.titles()
    assert (titles["3"], titles["5"], titles["new"], titles["newer"]) == (
        "Cup 3",
        "Cup 5",
        "Cup new",
        "Mug newer",
    )
    assert titles.keys() & {"4", "6"} == set()
    assert len(titles) == 20
    assert report.model == OtherEncoder.version
    assert shop.live().metadata["source"] == "catalogue.jsonl"


def test_changes_between_a_killed_and_the_next_run_of_another_model(shop: Shop) -> None:
    shop.rebuild()

    def stop(indexed: int, _share: float) -> None:
        if indexed >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.reencode(OtherEncoder(), stop)
    copied = list(shop.documents(shop.made()[-1]))
    shop.change([{"id": copied[0], "_op": "delete"}, mug(copied[1], title="Cup"),
                 {"id": copied[2], "_op": "update", "price": 3}])  # fmt: skip
    report = shop.reencode(OtherEncoder())
    assert report.resumed
    titles = shop.titles()
    assert (copied[0] in titles, titles[copied[1]], shop.prices()[copied[2]]) == (False, "Cup", 3)
    assert len(titles) == 19


def test_two_rebuilds_exclude_each_other_and_a_killed_ones_lock_is_taken_over(
    shop: Shop, tmp_path: Path
) -> None:
    shop.rebuild()
    url = shop.client.transport.get_connection().host
    script = tmp_path / "holds.py"
    script.write_text(
        "import sys, time\n"
        "from opensearchpy import OpenSearch\n"
        "from indexer.store.jobs_index import open_jobs_index\nfrom indexer.store.lock import hold_lock\n"
        "from indexer.store.retry import RetryPolicy\n"
        "with hold_lock(open_jobs_index(OpenSearch(sys.argv[1]), RetryPolicy(5)), sys.argv[2], 'rebuild'):\n"
        "    print('held', flush=True)\n    time.sleep(600)\n"
    )
    command = [sys.executable, str(script), url, shop.alias]
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env={"PYTHONPATH": root}
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(JobRunning, match=f"process {other.pid} on"):
            shop.rebuild(at=1)
        other.kill()
        other.wait()
    assert shop.rebuild(at=1).indexed == 20
    jobs = open_jobs_index(shop.client, RETRY)
    with hold_lock(jobs, shop.alias, "rebuild"), pytest.raises(JobRunning):
        shop.roll_back()


def test_it_is_the_same_whatever_the_size_of_batches(shop: Shop) -> None:
    order = random.Random(7).sample(MUGS, len(MUGS))
    shop.rebuild(order, settings=IndexSettings(batch=3))
    first = shop.documents()
    shop.rebuild(order, settings=IndexSettings(batch=7), encoder=OtherEncoder())
    shop.rebuild(order, settings=IndexSettings(batch=7))
    assert shop.documents() == first
