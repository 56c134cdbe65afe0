"""Fingerprints tell every change of every shard."""

import json
from typing import Any

import pytest

from plugin_api.opensearch.raw_json import RawObject, raw_object
from plugin_api.search.retrieval.index_fingerprint import (
    NO_FINGERPRINT,
    fingerprint_searches,
    read_fingerprint,
)


def answer(*buckets: tuple[int, list[int]], total: int = 1, **more: Any) -> bytes:
    """An answer with the documents' sequence numbers in each index."""
    aggregation = {
        "buckets": [
            {
                "key": f"shop-{of}",
                "doc_count": len(numbers),
                "numbers": {"max": max(numbers), "sum": sum(numbers)},
            }
            for of, numbers in buckets
        ]
    }
    shards = {"total": total, "failed": 0}
    return json.dumps({"_shards": shards, "aggregations": {"indexes": aggregation}, **more}).encode()


def beside(total: int) -> RawObject:
    return raw_object(json.dumps({"_shards": {"total": total, "failed": 0}, "hits": {"hits": []}}).encode())


def test_an_index_of_one_shard_has_its_fingerprint_at_once() -> None:
    before = read_fingerprint([answer((1, [0, 1, 2]))], beside(1))
    assert (bool(before.digest), before.shards) == (True, 1)
    assert read_fingerprint([answer((1, [0, 1, 2]))], beside(1)) == before
    assert read_fingerprint([answer((1, [0, 1, 3]))], beside(1)) != before


def test_of_an_index_of_several_shards_each_shard_is_asked() -> None:
    learned = read_fingerprint([answer((1, [0, 1, 2, 0, 1]), total=2)], beside(2))
    assert (learned.digest, learned.shards) == (b"", 2)
    assert [search.shard for search in fingerprint_searches(2)] == [0, 1]
    assert [search.shard for search in fingerprint_searches(1)] == [None]
    assert fingerprint_searches(0) == []


def test_changes_of_two_shards_that_cancel_out_are_told() -> None:
    before = read_fingerprint([answer((1, [0, 5])), answer((1, [3, 4]))], beside(2))
    # Count, sum, least and greatest number over both shards could be the same again.
    after = read_fingerprint([answer((1, [0, 7])), answer((1, [3, 2]))], beside(2))
    assert before.digest
    assert after.digest
    assert after != before


def test_several_indexes_of_one_shard_each_need_one_search() -> None:
    both = read_fingerprint([answer((1, [0]), (2, [0, 1]), total=2)], beside(2))
    assert (bool(both.digest), both.shards) == (True, 1)


def test_an_alias_that_moves_to_an_index_of_more_shards_is_asked_anew() -> None:
    moved = read_fingerprint([answer((1, [0])), answer((1, [1]))], beside(3))
    assert (moved.digest, moved.shards) == (b"", 3)


@pytest.mark.parametrize(
    "answers",
    [
        [answer((1, [0]), timed_out=True)],
        [answer((1, [0]), _shards={"total": 1, "failed": 1})],
        [b"{}"],
        [b"nope"],
        [b'{"error": {"type": "security_exception"}, "status": 403}'],
        [],
    ],
)
def test_without_a_sound_answer_there_is_none(answers: list[bytes]) -> None:
    assert read_fingerprint(answers, beside(1)) == NO_FINGERPRINT


def test_an_index_of_very_many_shards_has_none() -> None:
    assert read_fingerprint([answer((1, [0]), total=17)], beside(17)) == NO_FINGERPRINT


def test_who_has_an_identity_is_shown_a_sample_of_documents() -> None:
    (plain,), (sampled,) = fingerprint_searches(1), fingerprint_searches(1, has_identity=True)
    assert "top_hits" not in json.dumps(plain.body)
    assert "top_hits" in json.dumps(sampled.body)
    assert [search.shard for search in fingerprint_searches(2, has_identity=True)] == [0, 1]
