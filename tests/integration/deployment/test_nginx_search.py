"""nginx in front of a real sidecar and a real OpenSearch: what a shop notices of it."""

import gzip
import json
from collections.abc import Iterator

import pytest
import requests

from tests.integration.deployment.nginx import nginx_container
from tests.integration.stack import Stack, address, search

pytestmark = pytest.mark.parametrize("stack", ["3.5.0"], indirect=True)
LAPTOP = {"query": {"match": {"title": "laptop"}}, "size": 20}
DOCUMENTS = 20_000


@pytest.fixture
def nginx(stack: Stack) -> Iterator[str]:
    with nginx_container(stack.network) as container:
        yield address(container, 8080)


@pytest.fixture
def large(stack: Stack, nginx: str) -> Iterator[str]:
    """An index of 40 MB, written through nginx in two requests: one compressed, one in chunks."""
    documents = [json.dumps({"n": number, "text": "x" * 2000}).encode() for number in range(DOCUMENTS)]
    lines = [b'{"index": {"_id": "%d"}}\n%s\n' % (number, body) for number, body in enumerate(documents)]
    half = DOCUMENTS // 2
    compressed = gzip.compress(b"".join(lines[:half]), 1)
    for body, encoding in ((compressed, {"content-encoding": "gzip"}), (iter(lines[half:]), {})):
        headers = {"content-type": "application/x-ndjson", **encoding}
        response = requests.post(f"{nginx}/large/_bulk?refresh", data=body, headers=headers, timeout=240)
        assert response.json()["errors"] is False
    yield "large"
    requests.delete(f"{stack.direct}/large", timeout=120).raise_for_status()


def ids(answer: requests.Response) -> list[str]:
    return [hit["_id"] for hit in answer.json()["hits"]["hits"]]


def test_searches_are_reranked_and_come_back_where_the_sidecar_is_gone(stack: Stack, nginx: str) -> None:
    through = search(nginx, LAPTOP)
    assert through.headers["x-attune-rerank-status"] == "reranked"
    assert ids(through) == ids(search(stack.reranked, LAPTOP))
    with stack.without_sidecar():
        fallback = search(nginx, LAPTOP)
        assert ids(fallback) == ids(search(stack.direct, LAPTOP))
        assert "x-attune-rerank-status" not in fallback.headers
        assert requests.get(f"{nginx}/_cat/indices", timeout=60).ok
        assert requests.get(f"{nginx}/_attune/health", timeout=60).status_code == 503
    assert search(nginx, LAPTOP).headers["x-attune-rerank-status"] == "reranked"


def test_a_large_bulk_is_written_and_a_large_answer_comes_back(stack: Stack, nginx: str, large: str) -> None:
    count = requests.get(f"{stack.direct}/{large}/_count", timeout=120).json()["count"]
    assert count == DOCUMENTS
    page = {"size": 10_000, "sort": ["n"]}
    through, direct = (search(base, page, large) for base in (nginx, stack.direct))
    assert len(through.content) > 20_000_000
    assert through.json()["hits"] == direct.json()["hits"]


@pytest.mark.parametrize("escaped", ["a%2Fb", "a%2F_search", "%0Aline", "50%25%20off", "%C3%A9;x=y", "a+b"])
def test_ids_are_the_same_as_without_nginx(stack: Stack, nginx: str, escaped: str) -> None:
    path = f"names/_doc/{escaped}"
    try:
        written = requests.put(f"{nginx}/{path}", json={"a": 1}, timeout=120).json()
        straight = requests.get(f"{stack.direct}/{path}", timeout=120).json()
        assert written["_id"] == straight["_id"] == requests.get(f"{nginx}/{path}", timeout=120).json()["_id"]
        assert straight["found"]
        assert requests.delete(f"{nginx}/{path}", timeout=120).json()["result"] == "deleted"
    finally:
        requests.delete(f"{stack.direct}/names", timeout=120)
