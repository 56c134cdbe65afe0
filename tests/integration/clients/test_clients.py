"""OpenSearch's own clients and a shop's search page, unmodified, straight and through the sidecar."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from opensearchpy import (
    A,
    AsyncOpenSearch,
    NotFoundError,
    OpenSearch,
    OpenSearchWarning,
    RequestError,
    RequestsHttpConnection,
    Search,
    Urllib3HttpConnection,
    helpers,
)
from opensearchpy.helpers import BulkIndexError

from tests.integration.clients.comparison import BODY, DOCS, SCRATCH, Grades, by_text, ids, is_better, scratch
from tests.integration.clients.node_scripts import installed, printed
from tests.integration.conftest import QUERIES
from tests.integration.stack import Stack

pytestmark = pytest.mark.parametrize("stack", ["3.5.0"], indirect=True)
"""Of one version, for time's sake; what differs by version is in test_search.py."""

CONNECTIONS = {
    "urllib3": {"connection_class": Urllib3HttpConnection},
    "requests": {"connection_class": RequestsHttpConnection},
    "compressed": {"connection_class": Urllib3HttpConnection, "http_compress": True},
}

Pair = tuple[OpenSearch, OpenSearch]


@pytest.fixture
def pair(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Pair]:
    """A client of OpenSearch and one of the sidecar."""
    options = CONNECTIONS[getattr(request, "param", "urllib3")]
    direct, reranked = (OpenSearch(base, timeout=120, **options) for base in (stack.direct, stack.reranked))
    yield direct, reranked
    direct.close()
    reranked.close()


def same(pair: Pair, use: Callable[[OpenSearch], object]) -> object:
    """Do the same with both clients, and return what came of it, which has to be the same too."""
    straight, through = use(pair[0]), use(pair[1])
    assert through == straight
    return through


def failure(use: Callable[[], object]) -> list[object]:
    with pytest.raises((NotFoundError, RequestError)) as raised:
        use()
    return [type(raised.value), raised.value.status_code, raised.value.error]


def test_indices_and_documents(pair: Pair) -> None:
    def use(client: OpenSearch) -> object:
        before = client.indices.exists(index=SCRATCH)
        of_a_kind = {"query": {"term": {"kind": "k1"}}}
        with scratch(client):
            return [
                client.ping(),
                client.info()["version"],
                before,
                client.indices.exists(index=SCRATCH),
                client.indices.get_mapping(index=SCRATCH),
                client.exists(index=SCRATCH, id="3"),
                client.exists(index=SCRATCH, id="none"),
                client.get(index=SCRATCH, id="3"),
                client.mget(index=SCRATCH, body={"ids": ["1", "none"]}),
                client.update(index=SCRATCH, id="3", body={"doc": {"kind": "new"}}, refresh=True)["result"],
                client.index(index=SCRATCH, id="a/b ü", body={"title": "odd"}, refresh=True)["result"],
                client.get_source(index=SCRATCH, id="a/b ü"),
                client.count(index=SCRATCH, body={"query": {"term": {"kind": "new"}}})["count"],
                client.delete_by_query(index=SCRATCH, body=of_a_kind, refresh=True)["deleted"],
                client.delete(index=SCRATCH, id="0", refresh=True)["result"],
                client.count(index=SCRATCH)["count"],
                client.cat.count(index=SCRATCH, params={"h": "count"}),
            ]

    same(pair, use)


def test_helpers_of_bulk_and_scan(pair: Pair) -> None:
    def use(client: OpenSearch) -> object:
        with scratch(client):
            query = {"query": {"match": {"title": "lamp"}}}
            scanned = [hit["_id"] for hit in helpers.scan(client, query, index=SCRATCH, size=4)]
            ordered = [
                hit["_id"] for hit in helpers.scan(client, query, index=SCRATCH, size=4, preserve_order=True)
            ]
            pages = client.search(index=SCRATCH, body=query, scroll="1m", size=8)
            scrolled = ids(pages)
            while found := ids(pages := client.scroll(scroll_id=pages["_scroll_id"], scroll="1m")):
                scrolled += found
            cleared = client.clear_scroll(scroll_id=pages["_scroll_id"])["succeeded"]
            streamed = [ok for ok, _ in helpers.streaming_bulk(client, DOCS, chunk_size=7)]
            broken = [{"_index": SCRATCH, "_id": "x", "_op_type": "create", "price": "no number"}]
            with pytest.raises(BulkIndexError) as raised:
                helpers.bulk(client, broken)
            kind = raised.value.errors[0]["create"]["error"]["type"]
            copied = helpers.reindex(client, SCRATCH, f"{SCRATCH}-2", query=query)
            client.indices.delete(index=f"{SCRATCH}-2")
            return [sorted(scanned), ordered, scrolled, cleared, streamed, kind, copied]

    scanned, *_ = same(pair, use)  # type: ignore[misc]
    assert len(scanned) == len(DOCS) / 2


def test_searches_with_an_order_of_their_own(pair: Pair) -> None:
    def use(client: OpenSearch) -> object:
        sort = [{"price": "asc"}, {"title.keyword": "asc"}]
        body = by_text("laptop", size=20, sort=sort, _source=["title", "price"])
        if client is pair[0]:
            body["query"] = widened(pair, body["query"])
        pit = client.create_pit(index="products", keep_alive="1m")["pit_id"]
        pages: list[list[str]] = []
        after: dict[str, object] = {}
        while not pages or pages[-1]:
            found = client.search(body={**body, **after, "pit": {"id": pit, "keep_alive": "1m"}})
            pages.append(ids(found))
            after = {"search_after": found["hits"]["hits"][-1]["sort"]} if pages[-1] else {}
        deleted = len(client.delete_pit(body={"pit_id": [pit]})["pits"])
        return [
            client.search(index="products", body=body)["hits"],
            pages,
            deleted,
            client.search(
                index="products", body={"query": {"match_all": {}}, "size": 0, "track_total_hits": True}
            )["hits"],
            client.search(index="products", body={"query": {"term": {"brand.keyword": "HP"}}})["hits"][
                "total"
            ],
        ]

    same(pair, use)


def widened(pair: Pair, query: dict[str, Any]) -> dict[str, Any]:
    """The query for OpenSearch itself that finds all that the sidecar finds for the text."""
    found = pair[1].search(index="products", body={"query": query, "size": 500, "_source": False})
    return {"bool": {"should": [query, {"bool": {"must": [{"ids": {"values": ids(found)}}], "boost": 0}}]}}


@pytest.mark.parametrize("pair", CONNECTIONS, indirect=True)
def test_errors_are_of_the_same_class(pair: Pair) -> None:
    def use(client: OpenSearch) -> object:
        with scratch(client):
            return [
                failure(lambda: client.get(index=SCRATCH, id="none")),
                failure(lambda: client.search(index="nowhere", body=by_text("tv"))),
                failure(lambda: client.search(index="products", body={"query": {"nonsense": {}}})),
                failure(lambda: client.search(index="products", body=by_text("tv", size=-5))),
                failure(lambda: client.search(index="products", body=by_text("tv", nonsense=1))),
                failure(lambda: client.search(index="products", body=by_text("tv", size=20_000))),
                failure(lambda: client.indices.create(index=SCRATCH)),
            ]

    same(pair, use)


def test_a_reranked_search_keeps_facets_highlights_sources_and_pages(pair: Pair) -> None:
    facets = {"brands": {"terms": {"field": "brand.keyword"}}, "prices": {"stats": {"field": "price"}}}
    body = by_text(
        "laptop", size=50, aggs=facets, highlight={"fields": {"title": {}}}, _source=["title", "price"]
    )
    direct = pair[0].search(index="products", body={**body, "query": widened(pair, body["query"])})
    reranked = pair[1].search(index="products", body=body)
    assert reranked["ext"]["attune"]["rerank_status"] == "reranked"
    assert reranked["aggregations"] == direct["aggregations"]
    assert reranked["_shards"] == direct["_shards"]
    assert reranked["timed_out"] is False
    of_direct = {hit["_id"]: hit for hit in direct["hits"]["hits"]}
    shared = [hit for hit in reranked["hits"]["hits"] if hit["_id"] in of_direct]
    assert shared
    for hit in shared:
        assert hit | {"_score": 0} == of_direct[hit["_id"]] | {"_score": 0}
    pages = [
        ids(pair[1].search(index="products", body=body, params={"from": start, "size": 10}))
        for start in range(0, 50, 10)
    ]
    assert [product for page in pages for product in page] == ids(reranked)


def test_an_index_that_keeps_no_source(pair: Pair) -> None:
    def use(client: OpenSearch) -> object:
        client.indices.delete(index=SCRATCH, ignore=404)
        client.indices.create(index=SCRATCH, body={"mappings": {"_source": {"enabled": False}}})
        client.index(index=SCRATCH, id="1", body={"title": "lamp"}, refresh=True)
        query = {"query": {"match": {"title": "lamp"}}}
        lines = [{"index": "products"}, by_text("tv"), {"index": SCRATCH}, {**query, "sort": ["_doc"]}]
        ranked, found = client.msearch(body=[*lines, {"index": SCRATCH}, query])["responses"][:2]
        assert ids(ranked)
        answers = [client.search(index=SCRATCH, body=query), found]
        client.indices.delete(index=SCRATCH)
        return [answer["hits"]["hits"] for answer in answers]

    assert same(pair, use)


def test_warnings_of_opensearch_are_seen(pair: Pair) -> None:
    """OpenSearch gives each one once to an X-Opaque-Id."""
    body = {"query": {"match": {"title": {"query": "laptop", "cutoff_frequency": 0.9}}}}
    for client in pair:
        with pytest.warns(OpenSearchWarning, match="cutoff_frequency"):
            client.search(index="products", body=body, opaque_id=str(uuid4()))
        with pytest.warns(OpenSearchWarning, match="cutoff_frequency"):
            client.msearch(body=[{"index": "products"}, body], opaque_id=str(uuid4()))


def test_the_query_builder(pair: Pair) -> None:
    def use(client: OpenSearch) -> object:
        search = Search(using=client, index="products").filter("term", **{"brand.keyword": "HP"})
        words = {"title": {"query": "scanner", "operator": "and"}}  # so that nothing is added
        search = search.query("match", **words).source(["title"])
        search.aggs.bucket("brands", A("terms", field="brand.keyword"))
        response = search[:5].execute()
        assert response.success()
        assert all(hit.meta.id and hit.title for hit in response)
        return [
            response.aggregations.brands.buckets[0].to_dict(),
            search.count(),
            sorted(hit.meta.id for hit in search.scan()),
            len(response.hits),
        ]

    same(pair, use)


@pytest.mark.parametrize("pair", CONNECTIONS, indirect=True)
def test_order_is_better_in_search_and_msearch(pair: Pair, grades: Grades) -> None:
    orders = []
    for client in pair:
        bodies = [by_text(query, size=10) for query in grades]
        answers = [client.search(index="products", body=body) for body in bodies]
        lines = [line for body in bodies for line in ({"index": "products"}, body)]
        listed = client.msearch(body=lines)["responses"]
        assert [ids(answer) for answer in listed] == [ids(answer) for answer in answers]
        orders.append({query: ids(answer) for query, answer in zip(grades, answers, strict=True)})
    assert is_better(orders[0], orders[1], grades)


def test_the_asynchronous_client(stack: Stack, grades: Grades) -> None:
    async def use(base: str) -> tuple[object, dict[str, list[str]]]:
        async with AsyncOpenSearch(base, timeout=120, http_compress=True) as client:
            await client.indices.delete(index=SCRATCH, ignore=404)
            await client.indices.create(index=SCRATCH, body=BODY)
            done = await helpers.async_bulk(client, DOCS, refresh=True)
            query = {"query": {"match": {"title": "lamp"}}}
            scanned = [hit["_id"] async for hit in helpers.async_scan(client, query, index=SCRATCH, size=4)]
            with pytest.raises(NotFoundError) as missing:
                await client.get(index=SCRATCH, id="none")
            with pytest.raises(RequestError) as refused:
                await client.search(index="products", body={"query": {"nonsense": {}}})
            seen = [
                (await client.info())["version"],
                done,
                sorted(scanned),
                await client.exists(index=SCRATCH, id="3"),
                (await client.count(index=SCRATCH))["count"],
                ids(await client.search(index=SCRATCH, body={**query, "sort": ["price"]})),
                missing.value.status_code,
                refused.value.error,
            ]
            await client.indices.delete(index=SCRATCH)
            bodies = [by_text(query, size=10) for query in grades]
            found = await asyncio.gather(*(client.search(index="products", body=body) for body in bodies))
            return seen, {query: ids(answer) for query, answer in zip(grades, found, strict=True)}

    (straight, direct), (through, reranked) = (
        asyncio.run(use(base)) for base in (stack.direct, stack.reranked)
    )
    assert through == straight
    assert is_better(direct, reranked, grades)


@pytest.fixture(scope="session")
def node_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/integration/clients/node with its packages. Without Node these tests are skipped, saying so."""
    if not shutil.which("npm") or not shutil.which("node"):
        reason = "needs Node and npm"
        if os.environ.get("TESTS_REQUIRE_NODE"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return installed(tmp_path_factory.mktemp("node") / "clients")


def test_opensearch_js(stack: Stack, node_project: Path, grades: Grades) -> None:
    direct, reranked = (
        printed(node_project, "opensearch_js.mjs", base, *QUERIES) for base in (stack.direct, stack.reranked)
    )
    assert reranked["same"] == direct["same"]
    ours, theirs = (
        {bucket["key"]: bucket["doc_count"] for bucket in found["facets"]["brands"]["buckets"]}
        for found in (reranked, direct)
    )
    assert all(count >= theirs.get(brand, 0) for brand, count in ours.items())  # of what vectors add, too
    assert reranked["statuses"] == ["reranked"] * len(QUERIES)
    assert reranked["inList"] == reranked["ranked"]
    assert is_better(direct["ranked"], reranked["ranked"], grades)


def test_a_search_page_of_searchkit_and_instantsearch(
    stack: Stack, node_project: Path, grades: Grades
) -> None:
    direct, reranked = (
        printed(node_project, "search_page.mjs", base, *QUERIES) for base in (stack.direct, stack.reranked)
    )
    assert reranked["routes"] == direct["routes"] == ["/_msearch"]
    assert reranked["opened"]["ids"] == direct["opened"]["ids"]  # nothing was searched for
    assert reranked["opened"]["found"] == direct["opened"]["found"]
    assert reranked["cheapest"]["ids"]  # the shopper chose the order, of all that is found
    for query in QUERIES:
        page = reranked["searched"][query]
        assert page["statuses"] == ["reranked"]
        brands = direct["searched"][query]["brands"]
        assert all(int(count) >= int(brands.get(brand, 0)) for brand, count in page["brands"].items())
        assert page["marked"]
    assert reranked["brand"] in reranked["brandsFound"]["brands"]
    assert set(reranked["ticked"]["hitBrands"]) == {reranked["brand"]}
    assert reranked["ticked"]["statuses"] == ["reranked", "skipped"]  # hits, and counts for other brands
    first = reranked["searched"][QUERIES[-1]]["ids"]
    assert reranked["unticked"]["ids"] == first
    assert reranked["second"]["statuses"] == ["reranked"]
    assert not set(reranked["second"]["ids"]) & set(first)
    pages = (
        {query: page["ids"] for query, page in found["searched"].items()} for found in (direct, reranked)
    )
    assert is_better(*pages, grades)


def test_the_collector_on_a_page_of_searchkit_and_instantsearch(stack: Stack, node_project: Path) -> None:
    queries = QUERIES[:2]
    with stack.another_sidecar(ATTUNE_SHOPPERS_KEY="secret", ATTUNE_SHOPPERS_ORIGINS="*") as base:
        page = printed(node_project, "shopper_page.mjs", base, *queries)
    searches = [sent for sent in page["sent"] if "user_query" in sent]
    clicks = [sent for sent in page["sent"] if "action_name" in sent]
    assert [sent["user_query"] for sent in searches] == list(queries)
    for query, search, click in zip(queries, searches, clicks, strict=True):
        assert search["query_response_hit_ids"] == page["shown"][query]
        assert click["query_id"] == search["query_id"]
        assert click["event_attributes"] == {
            "object": {"object_id": page["shown"][query][1]},
            "position": {"ordinal": 2},
        }
    assert {sent["client_id"] for sent in page["sent"]} == {page["client"]}
    assert sum(answer["stored"] for answer in page["answers"]) == len(page["sent"])
    with OpenSearch(stack.direct, timeout=120) as client:
        client.indices.refresh(index="attune-*")
        assert client.count(index="attune-events-*")["count"] == len(clicks)
        client.indices.delete(index="attune-events-*,attune-queries-*,attune-users")
