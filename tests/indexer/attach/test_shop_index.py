"""What an index needs to be attached, and what attaching says where it is missing."""

from dataclasses import replace
from typing import Any

import pytest

from indexer.attach.attachment import Attachment
from indexer.attach.shop_index import ShopIndex, check_attachable, check_knn, make_meta
from indexer.catalogue.field_map import FieldMap
from indexer.store.retry import RetryPolicy
from mappings.errors import IndexingError
from tests.fakes.memory_connection import ClientRequest, open_client

NO_RETRY = RetryPolicy(0)


def cluster_with(*plugins: str, status: int = 200) -> Any:
    def answer(request: ClientRequest) -> tuple[int, Any]:
        if request.target.startswith("/_cat/plugins"):
            return status, [{"component": plugin} for plugin in plugins] if status == 200 else {}
        return 200, {"version": {"number": "3.9.0"}}

    return open_client(answer)


def shop_index(**mappings: Any) -> ShopIndex:
    settings = {"uuid": "u", "number_of_shards": "1"}
    return ShopIndex("shop", settings, mappings, {})


def test_a_cluster_without_k_nn_is_told_what_is_missing() -> None:
    with pytest.raises(
        IndexingError, match=r"\(OpenSearch 3\.9\.0\) has no k-NN plugin.*opensearch-knn 3\.9\.0"
    ):
        check_knn(cluster_with("analysis-icu"), NO_RETRY)
    check_knn(cluster_with("analysis-icu", "opensearch-knn"), NO_RETRY)


def test_who_may_not_list_plugins_gets_no_error_for_that() -> None:
    check_knn(cluster_with(status=403), NO_RETRY)


def test_the_settings_say_whether_vectors_can_be_added() -> None:
    assert not shop_index().allows_vectors
    assert ShopIndex("shop", {"knn": "true"}, {}, {}).allows_vectors


def test_an_index_that_keeps_whole_documents_can_be_attached() -> None:
    check_attachable(shop_index(properties={"name": {"type": "text"}}))
    with pytest.raises(IndexingError, match="keeps no _source"):
        check_attachable(shop_index(_source={"enabled": False}))


def test_what_was_learnt_of_an_index_stays_as_long_as_its_products_are_read_alike() -> None:
    attachment = Attachment("0123456789ab", 4, "byte", FieldMap("_id", title=("name",)))
    learnt = {"attached": attachment.as_json(), "vocabulary": "words", "tuning": {"window": 50}}
    index = shop_index(_meta={"owner": "the shop", "attune": learnt})
    newer = replace(attachment, model="ba9876543210")
    assert make_meta(index, newer)["attune"] == learnt | {"attached": newer.as_json()}
    assert make_meta(index, newer, "more words")["attune"]["vocabulary"] == "more words"
    other = replace(attachment, field_map=FieldMap("_id", title=("title",)))
    assert make_meta(index, other) == {"owner": "the shop", "attune": {"attached": other.as_json()}}
    assert make_meta(index, None) == {"owner": "the shop"}
