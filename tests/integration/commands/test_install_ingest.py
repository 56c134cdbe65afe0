"""`attune install --ingest` in a real cluster: documents of a shop arrive with their vectors."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk

from mappings.client import connect
from mappings.errors import IndexingError, InstallError
from mappings.settings import OpenSearchSettings
from tests.integration.stack import SIDECAR, Stack, running_stack

NUMBER = "Cordless mouse {}"
MAPPINGS = {
    "properties": {
        "sku": {"type": "keyword"},
        "name": {"type": "text"},
        "body": {"type": "text"},
        "maker": {"type": "keyword"},
        "offers": {
            "type": "nested",
            "properties": {"price": {"type": "scaled_float", "scaling_factor": 100}},
        },
    }
}

UPDATES_WARN = pytest.mark.filterwarnings("ignore:the index .* has a default ingest pipeline or a final")
"""OpenSearch 2.19 warns whoever updates a document of an index with an ingest pipeline."""

Run = Callable[..., str]


@pytest.fixture(scope="module")
def stack(images: None, catalogue: Path) -> Iterator[Stack]:
    with running_stack("2.19.1", catalogue) as stack:
        yield stack


@pytest.fixture
def run(stack: Stack) -> Run:
    """Run an `attune` command against the cluster."""
    return stack.run


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenSearch]:
    with connect(OpenSearchSettings(url=stack.direct, timeout_seconds=120)) as client:
        yield client


@pytest.fixture
def shop(client: OpenSearch, run: Run) -> Iterator[str]:
    """An attached index with one document, the ingest pipeline in front of it."""
    name = f"myshop-{uuid.uuid4().hex[:8]}"
    client.indices.create(index=name, body={"settings": {"index.knn": True}, "mappings": MAPPINGS})
    client.index(index=name, id="first", body=product("Optical mouse"), params={"refresh": "true"})
    run("attach", name)
    run("install", "--sidecar-url", SIDECAR, "--alias", name, "--ingest")
    yield name
    run("install", "--uninstall")
    client.indices.delete(index=name)


def product(name: str, **more: object) -> dict[str, object]:
    return {"sku": "A-1", "name": name, "body": "Wireless, 1600 dpi", "maker": "Logi", **more}


def write(client: OpenSearch, shop: str, documents: dict[str, dict[str, object]]) -> None:
    """Write documents as the shop's own indexer does. Raises where one is refused."""
    actions = [{"_index": shop, "_id": key, "_source": source} for key, source in documents.items()]
    bulk(client, actions, refresh=True)


def read(client: OpenSearch, shop: str, key: str) -> dict[str, Any]:
    source: dict[str, Any] = client.get(index=shop, id=key)["_source"]
    return source


def follow(run: Run, shop: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(run("follow", shop, "--once", "--json"))
    return report


def test_documents_arrive_with_the_vectors_that_following_would_give_them(
    stack: Stack, client: OpenSearch, run: Run, shop: str
) -> None:
    odd = 'Mouse "M185" <b>silent</b>\n${parameters.fields} {{name}} Größe 5\u2033 \U0001f5b1 \\ $ 1e400'
    documents = {
        **{f"mouse-{number}": product(NUMBER.format(number)) for number in range(40)},
        "odd": product(odd, body="", offers=[{"price": 12.5}, {"price": 1e-7}], stock=12345678901234),
        "ä/ö?#%": product("Trackball"),
    }
    write(client, shop, documents)
    sources = {key: read(client, shop, key) for key in documents}
    own = {key: source.pop("attune", {}) for key, source in sources.items()}
    assert sources == documents
    plain = {key: values for key, values in own.items() if key != "odd"}
    assert all("key" in values for values in plain.values())
    report = follow(run, shop)
    assert report["unchanged"] >= len(plain)
    assert report["encoded"] <= 1  # "odd": ml-commons takes ${…} for a parameter of its own
    assert len(read(client, shop, "odd")["attune"]["vector"]) == len(own["mouse-7"]["vector"])
    near = {"query": {"knn": {"attune.vector": {"vector": own["mouse-7"]["vector"], "k": 1}}}}
    assert client.search(index=shop, body=near)["hits"]["hits"][0]["_id"] == "mouse-7"
    answer = requests.post(
        f"{stack.reranked}/{shop}/_search", json={"query": {"match": {"name": "trackball"}}}, timeout=60
    ).json()
    assert answer["ext"]["attune"]["rerank_status"] == "reranked", answer["ext"]


@UPDATES_WARN
def test_a_changed_text_gets_new_vectors_and_a_changed_price_keeps_them(
    client: OpenSearch, run: Run, shop: str
) -> None:
    write(client, shop, {"a": product("Gaming mouse")})
    before = read(client, shop, "a")
    write(client, shop, {"a": {**before, "offers": [{"price": 9.5}]}})
    assert read(client, shop, "a")["attune"]["tokens"] == before["attune"]["tokens"]
    write(client, shop, {"a": {**before, "name": "Mechanical keyboard"}})
    assert read(client, shop, "a")["attune"]["tokens"] != before["attune"]["tokens"]
    client.update(index=shop, id="a", body={"doc": {"name": "Desk lamp"}}, refresh=True)
    assert follow(run, shop)["encoded"] == 0


@UPDATES_WARN
def test_a_part_of_a_text_is_made_good_by_following(client: OpenSearch, run: Run, shop: str) -> None:
    """Of an update in a bulk request the pipeline sees nothing, of an upsert what the shop sends."""
    write(client, shop, {"a": product("Gaming mouse"), "b": product("Gaming mouse")})
    change = {"_op_type": "update", "_index": shop, "doc": {"name": "Desk lamp"}}
    bulk(client, [{**change, "_id": "a"}, {**change, "_id": "b", "doc_as_upsert": True}], refresh=True)
    assert follow(run, shop)["encoded"] == 2
    assert read(client, shop, "a")["attune"]["tokens"] == read(client, shop, "b")["attune"]["tokens"]
    assert read(client, shop, "b")["body"] == "Wireless, 1600 dpi"
    assert follow(run, shop)["encoded"] == 0


def test_ids_of_opensearchs_own_are_added_by_following(client: OpenSearch, run: Run, shop: str) -> None:
    key = client.index(index=shop, body=product("Gaming mouse"), params={"refresh": "true"})["_id"]
    assert "tokens" in read(client, shop, key)["attune"]
    assert follow(run, shop)["encoded"] == 1
    assert "key" in read(client, shop, key)["attune"]


@pytest.mark.parametrize("state", ["stopped", "hanging"])
def test_a_sidecar_that_does_not_answer_loses_no_write(
    stack: Stack, client: OpenSearch, run: Run, shop: str, state: str
) -> None:
    documents = {f"late-{number}": product(NUMBER.format(number)) for number in range(30)}
    with stack.without_sidecar() if state == "stopped" else stack.hanging_sidecar():
        write(client, shop, documents)
        assert [read(client, shop, key) for key in documents] == [*documents.values()]
    assert follow(run, shop)["encoded"] == len(documents)
    assert all("vector" in read(client, shop, key)["attune"] for key in documents)


def test_the_shops_own_final_pipeline_runs_before_and_comes_back(
    client: OpenSearch, run: Run, shop: str
) -> None:
    run("install", "--uninstall")
    assert client.ingest.get_pipeline(params={"ignore": 404}) == {}
    client.ingest.put_pipeline(id="own", body={"processors": [{"set": {"field": "name", "value": "Lamp"}}]})
    client.indices.put_settings(index=shop, body={"index.final_pipeline": "own"})
    run("install", "--sidecar-url", SIDECAR, "--alias", shop, "--ingest")
    again = run("install", "--sidecar-url", f"{SIDECAR}/", "--alias", shop, "--ingest")
    assert again == "Installed already: nothing to change.\n"
    write(client, shop, {"a": product("Gaming mouse")})
    assert read(client, shop, "a")["name"] == "Lamp"
    assert follow(run, shop)["encoded"] == 0
    run("install", "--uninstall")
    settings = client.indices.get_settings(index=shop)[shop]["settings"]["index"]
    assert settings["final_pipeline"] == "own"
    assert [*client.ingest.get_pipeline()] == ["own"]
    client.indices.put_settings(index=shop, body={"index.final_pipeline": None})
    client.ingest.delete_pipeline(id="own")


def test_detaching_waits_until_the_pipeline_is_gone(client: OpenSearch, run: Run, shop: str) -> None:
    with pytest.raises(IndexingError, match="`attune install --uninstall` first"):
        run("detach", shop)
    run("install", "--uninstall")
    run("detach", shop)
    write(client, shop, {"a": product("Gaming mouse")})
    assert [*map(sorted, (read(client, shop, "first"), read(client, shop, "a")))] == [sorted(product(""))] * 2


def test_a_dry_run_changes_nothing(client: OpenSearch, run: Run, shop: str) -> None:
    run("install", "--uninstall")
    said = run("install", "--sidecar-url", SIDECAR, "--alias", shop, "--ingest", "--dry-run")
    assert f"would let documents of {shop} go through ingest pipeline attune-{shop}" in said
    assert client.ingest.get_pipeline(params={"ignore": 404}) == {}


def test_an_index_that_is_not_attached_is_told_to_be(run: Run) -> None:
    with pytest.raises(InstallError, match="run `attune attach products` first"):
        run("install", "--sidecar-url", SIDECAR, "--alias", "products", "--ingest")


def test_searches_and_documents_are_uninstalled_together(stack: Stack, run: Run, shop: str) -> None:
    run("install", "--sidecar-url", SIDECAR)
    pipelines = requests.get(f"{stack.direct}/_search/pipeline", timeout=60).json()
    assert "attune" in pipelines
    run("install", "--uninstall")
    settings = requests.get(f"{stack.direct}/_cluster/settings", timeout=60).json()
    assert settings["persistent"] == {}
    for kind in ("search", "ingest"):
        assert requests.get(f"{stack.direct}/_{kind}/pipeline/attune*", timeout=60).status_code == 404
    assert run("install", "--uninstall") == "Nothing of Attune is installed in this cluster.\n"
