"""The indexer against real OpenSearch: its template, its documents, its alias."""

from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from indexer.catalogue.guessing import guess_field_map
from indexer.rebuild.job import RebuildReport, rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from indexer.store.alias import AliasIndexes
from indexer.store.session import IndexSession, OneEncoder
from mappings.errors import CatalogueError, IndexingError
from mappings.settings import IndexSettings
from tests.fakes.fake_encoder import FakeEncoder
from tests.integration.indexing.shop import RETRY

ROWS = [
    "1,Brother TN-2110 toner,Black,,Prints 2600 pages",
    "2,Headset with 3.5mm jack for phones,dark red,19.99,",
    "3,Ladies' shoes,Black,49.5,Café style",
    "4,无线蓝牙耳机,黑色,99,",
    "5,,Black,9,",
    "1,Brother again,Black,,",
]


def rebuild(client: OpenSearch, folder: Path, rows: list[str], wide: int = 0) -> RebuildReport:
    path = folder / "shop.csv"
    extra = "".join(f",attr_t_{number}" for number in range(wide))
    path.write_text(f"id,title,color,price,description{extra}\n" + "\n".join(rows) + "\n")
    catalogue = open_catalogue(path)
    source = CatalogueSource(catalogue, guess_field_map(catalogue))
    session = IndexSession(client, "shop", OneEncoder(FakeEncoder()), IndexSettings(min_share=0), RETRY)
    return rebuild_index(session, source, folder / "rejects.jsonl")


@pytest.fixture(scope="module")
def shop(client: OpenSearch, tmp_path_factory: pytest.TempPathFactory) -> OpenSearch:
    report = rebuild(client, tmp_path_factory.mktemp("shop"), ROWS)
    assert (report.indexed, report.rejected, report.duplicates) == (4, 1, 1)
    assert report.bytes > 0
    return client


def ids(client: OpenSearch, query: dict[str, Any]) -> list[str]:
    found = client.search(index="shop", body={"query": query})
    return sorted(hit["_id"] for hit in found["hits"]["hits"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TN-2110", ["1"]),
        ("tn2110", ["1"]),
        ("tn 2110", ["1"]),
        ("3.5mm", ["2"]),
        ("3.5 mm phone", ["2"]),
        ("lady shoe", ["3"]),
        ("ladies’", ["3"]),
        ("蓝牙", ["4"]),
        ("無線藍牙耳機", ["4"]),
        ("ＴＮ２１１０", ["1"]),
    ],
)
def test_titles_are_found_as_shoppers_spell_them(shop: OpenSearch, text: str, found: list[str]) -> None:
    assert ids(shop, {"match": {"title": {"query": text, "operator": "and"}}}) == found


def test_attributes_filter_and_facets_count(shop: OpenSearch) -> None:
    assert ids(shop, {"term": {"attributes.color": "Black"}}) == ["1", "3"]
    assert ids(shop, {"term": {"attributes.color": "dark red"}}) == ["2"]
    assert ids(shop, {"range": {"price": {"gte": 20}}}) == ["3", "4"]
    body = {"size": 0, "aggs": {"facets": {"terms": {"field": "facets"}}}}
    buckets = shop.search(index="shop", body=body)["aggregations"]["facets"]["buckets"]
    assert {bucket["key"]: bucket["doc_count"] for bucket in buckets} == {
        "color=Black": 2,
        "color=dark red": 1,
        "color=黑色": 1,
    }


def test_vectors_are_searched_and_tokens_come_back_as_doc_values(shop: OpenSearch) -> None:
    wanted = shop.get(index="shop", id="3")["_source"]["attune"]
    body = {
        "size": 1,
        "query": {"knn": {"attune.vector": {"vector": wanted["vector"], "k": 1}}},
        "_source": False,
        "docvalue_fields": ["attune.tokens", "attune.model"],
    }
    (hit,) = shop.search(index="shop", body=body)["hits"]["hits"]
    assert hit["_id"] == "3"
    unpadded = wanted["tokens"].rstrip("=")  # as OpenSearch returns binary doc values
    assert hit["fields"] == {"attune.tokens": [unpadded], "attune.model": [FakeEncoder.version]}


def test_thousands_of_sparse_attributes_and_the_alias_moving(shop: OpenSearch, tmp_path: Path) -> None:
    (before,) = shop.indices.get_alias(name="shop")
    wide = 6000
    rows = [
        f"{n},Mug {n},,," + "," * (n + 1) + f"value {n}" + "," * (wide - n - 1) for n in range(0, wide, 100)
    ]
    report = rebuild(shop, tmp_path, rows, wide)
    assert report.indexed == 60
    assert report.kept == (before,)
    assert list(shop.indices.get_alias(name="shop")) == [report.index]
    assert ids(shop, {"term": {"attributes.500": "value 500"}}) == ["500"]
    settings = shop.indices.get_settings(index=report.index)[report.index]["settings"]["index"]
    assert "refresh_interval" not in settings


def test_a_failing_run_leaves_the_alias_and_no_index(shop: OpenSearch, tmp_path: Path) -> None:
    before = set(shop.indices.get(index="shop*"))
    with pytest.raises(CatalogueError, match="no usable product"):
        rebuild(shop, tmp_path, [",,,,"])
    assert set(shop.indices.get(index="shop*")) == before


def test_an_index_name_is_no_alias(shop: OpenSearch) -> None:
    (index,) = shop.indices.get_alias(name="shop")
    with pytest.raises(IndexingError, match="is an index"):
        AliasIndexes(shop, index, RETRY).validate()
    AliasIndexes(shop, "shop", RETRY).validate()
