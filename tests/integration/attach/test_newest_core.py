"""The newest OpenSearch core, for which there is no k-NN plugin: what works, and what attaching says."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from mappings.errors import IndexingError, NodeError
from mappings.settings import OpenSearchSettings, Settings
from plugin_api import create_app
from plugin_api.cli import attune
from plugin_api.commands.node.install import Artifact, install_opensearch
from plugin_api.commands.node.java import find_java
from plugin_api.commands.node.lifecycle import launch_node, lock_home, terminate_node
from plugin_api.opensearch.http_client import HttpClient
from reranker import load_model

NEWEST = Artifact(
    "org.opensearch.distribution.integ-test-zip",
    "opensearch",
    "3.8.0",
    "zip",
    "196c3cf4602c394f2e40e6174ccbf2a924eae37246f08fa6bbb6b75f9fd5ff1f",
)
KEPT = Path("/var/tmp/attune-test-downloads")
"""Where the download stays for the next run."""

MUG = {"query": {"match": {"title": "mug"}}, "sort": ["_doc"]}


def quiet(_name: str, _total: int) -> Any:
    return nullcontext(lambda _amount: None)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a node without plugins."""
    KEPT.mkdir(mode=0o755, exist_ok=True)
    try:
        installation = install_opensearch(KEPT, quiet, distribution=NEWEST, plugins=())
    except NodeError as error:
        pytest.skip(f"OpenSearch {NEWEST.version} can't be had: {error}")
    home = KEPT / f"home-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    with lock_home(home):
        node = launch_node(installation, home, port, "512m", find_java(os.environ), quiet)
    yield node.url
    terminate_node(home)
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenSearch]:
    with OpenSearch(url, timeout=60) as client:
        assert client.info()["version"]["number"] == NEWEST.version
        documents = {str(number): {"title": f"Mug {number}"} for number in range(12)}
        for key, source in documents.items():
            client.index(index="shop", id=key, body=source)
        client.indices.refresh(index="shop")
        yield client


@pytest.fixture(scope="module")
def web(url: str) -> Any:
    settings = Settings(opensearch=OpenSearchSettings(url=url))
    return create_app(settings, HttpClient(settings.opensearch), load_model()).test_client()


@pytest.mark.parametrize("options", [[], ["--dry-run"]], ids=["attach", "dry-run"])
def test_attaching_says_that_the_plugin_is_missing(client: OpenSearch, url: str, options: list[str]) -> None:
    before = client.indices.get(index="shop")
    with pytest.raises(
        IndexingError, match=r"OpenSearch 3\.8\.0.* has no k-NN plugin.*install opensearch-knn"
    ):
        CliRunner().invoke(
            attune, ["attach", "shop", *options], env={"ATTUNE_OPENSEARCH_URL": url}, catch_exceptions=False
        )
    assert client.indices.get(index="shop") == before


def test_a_text_search_comes_back_as_opensearch_has_it_and_says_why(client: OpenSearch, web: Any) -> None:
    body = {"query": {"match": {"title": "mug"}}, "size": 5}
    answer = json.loads(web.post("/shop/_search", json=body).data)
    own = client.search(index="shop", body=body)
    assert answer["hits"] == own["hits"]
    assert answer["ext"]["attune"]["rerank_status"] != "reranked"
    assert answer["ext"]["attune"]["reason"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/", None),
        ("GET", "/shop/_doc/7", None),
        ("GET", "/_cat/indices/shop?format=json&h=index,docs.count", None),
        ("POST", "/shop/_search", {**MUG, "size": 3}),
        ("POST", "/shop/_count", {"query": {"range": {"title": {"gte": "a"}}}}),
        ("POST", "/shop/_search", {"size": 0, "aggs": {"all": {"value_count": {"field": "_id"}}}}),
        ("POST", "/shop/_explain/7", {"query": {"match": {"title": "mug"}}}),
    ],
)
def test_everything_else_passes_through(
    client: OpenSearch, web: Any, method: str, path: str, body: dict[str, Any] | None
) -> None:
    through = json.loads(web.open(path, method=method, json=body).data)
    straight = client.transport.perform_request(method, path, body=body)
    for answer in (through, straight):
        if isinstance(answer, dict):
            answer.pop("took", None)
            answer.pop("ext", None)
    assert through == straight
