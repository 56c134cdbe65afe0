"""A check-up of a real index: what it chooses and records, and what searches make of that."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk, scan

from mappings import fields
from mappings.settings import OpenSearchSettings, Settings
from plugin_api.cli import attune
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from reranker.model import load_model
from tests.fakes.small_catalogue import make_small_catalogue

CATEGORIES = {
    "screen": "Monitors",
    "notebook": "Notebooks",
    "case": "Notebook cases",
    "cable": "Cables",
    "mouse": "Mice",
    "toner": "Toner",
}
SECONDS = 300
"""Time for all queries that can be made, on the slowest machine."""

COPIES = 4
"""Each product is in the catalogue so often, in boxes of its own: a rebuild tunes no smaller catalogue."""


@pytest.fixture(scope="module")
def address(client: OpenSearch) -> str:
    return str(client.transport.get_connection().host)


@pytest.fixture(scope="module")
def indexed(
    client: OpenSearch, address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, Any]]]:
    """An alias of an index made by `attune index`, and the job's report."""
    alias = f"tuned-{uuid.uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp("catalogue")
    path, field_map = folder / "shop.jsonl", folder / "fields.toml"
    names = sorted({name for product in make_small_catalogue() for name in product.attributes})
    columns = "".join(f'{name} = "{name}"\n' for name in ("id", "title", "brand", "category", "price"))
    field_map.write_text(f"{columns}attributes = {json.dumps(names)}\n")
    with path.open("w", encoding="utf-8") as lines:
        for product in make_small_catalogue():
            for copy in range(COPIES):
                record = {"title": product.title, "brand": product.brand, "price": product.price}
                record["category"] = CATEGORIES[product.id.partition("-")[0]]
                lines.write(json.dumps({"id": f"{product.id}-{copy}", **record, **product.attributes}) + "\n")
    report = run(address, "index", path, "--alias", alias, "--fields", field_map)
    yield alias, report
    client.indices.delete(index=f"{alias}-*")


def run(address: str, *arguments: object) -> dict[str, Any]:
    """Run a command that prints JSON; return it."""
    environment = {"ATTUNE_OPENSEARCH_URL": address, "ATTUNE_INDEX_TUNE_SECONDS": str(SECONDS)}
    result = CliRunner().invoke(attune, [*map(str, arguments), "--json"], env=environment)
    assert result.exit_code == 0, (result.output, result.exception)
    printed: dict[str, Any] = json.loads(result.stdout)
    return printed


def read_record(client: OpenSearch, alias: str) -> dict[str, Any] | None:
    (body,) = client.indices.get_mapping(index=alias).values()
    record: dict[str, Any] | None = body["mappings"]["_meta"]["attune"].get("tuning")
    return record


def search(address: str, alias: str, text: str) -> dict[str, Any]:
    settings = without_time_limits(Settings(opensearch=OpenSearchSettings(url=address)))
    searcher = Searcher(HttpClient(settings.opensearch), load_model(), settings)
    body = json.dumps({"query": keyword_query(text), "size": 10, "_source": False}).encode()
    call = SearchCall.of(alias, body)
    searcher.text_reader.find_interpreter(call)
    answer: dict[str, Any] = searcher.answer(call).json()
    return answer


def test_a_rebuild_ends_with_a_check_up_that_the_index_records(
    client: OpenSearch, indexed: tuple[str, dict[str, Any]]
) -> None:
    alias, report = indexed
    tuning = report["tuning"]
    assert tuning["queries"] >= 100
    kinds = {kind["kind"]: kind for kind in tuning["kinds"]}
    assert {"head", "colour", "measure", "price"} <= kinds.keys()
    assert all(0 <= kind[of] <= 1 for kind in kinds.values() for of in ("own", "vectors", "before", "after"))
    recorded = read_record(client, alias)
    assert recorded
    assert recorded["settings"] == tuning["settings"]


def test_a_dry_run_records_nothing_and_a_reset_forgets(
    client: OpenSearch, address: str, indexed: tuple[str, dict[str, Any]]
) -> None:
    alias, _ = indexed
    assert run(address, "tune", "--alias", alias, "--reset")["reset"]
    assert read_record(client, alias) is None
    report = run(address, "tune", "--alias", alias, "--dry-run", "--seconds", "1")
    assert report["recorded"] is False
    assert read_record(client, alias) is None


def test_the_shops_own_search_is_remembered_for_the_next_rebuild(
    client: OpenSearch, address: str, indexed: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    alias, _ = indexed
    template = tmp_path / "search.json"
    template.write_text('{"query": {"match": {"title": "{{text}}"}}}')
    run(address, "tune", "--alias", alias, "--query-template", template, "--seconds", "1")
    recorded = read_record(client, alias)
    assert recorded
    assert recorded["template"] == {"match": {"title": "{{text}}"}}


def test_with_vectors_of_other_products_searches_keep_opensearchs_order(
    client: OpenSearch, address: str, indexed: tuple[str, dict[str, Any]]
) -> None:
    alias, _ = indexed
    documents = sorted(scan(client, index=alias), key=lambda hit: str(hit["_id"]))
    names = [name.rpartition(".")[2] for name in (fields.VECTOR, fields.TOKENS, fields.HASH)]
    owners = documents[len(documents) // 2 :] + documents[: len(documents) // 2]
    actions = [
        {
            "_op_type": "update",
            "_index": document["_index"],
            "_id": document["_id"],
            "doc": {"attune": {name: owner["_source"]["attune"][name] for name in names}},
        }
        for document, owner in zip(documents, owners, strict=True)
    ]
    bulk(client, actions, refresh=True)
    report = run(address, "tune", "--alias", alias, "--seconds", SECONDS)
    kept = report["settings"].get("keep_order", "").split(", ")
    assert "head" in kept, report
    found = search(address, alias, "notebook case")
    assert found["ext"]["attune"]["reason_code"] == "order_kept"
    body = {"query": keyword_query("notebook case"), "size": 10, "_source": False}
    own = [hit["_id"] for hit in client.search(index=alias, body=body)["hits"]["hits"]]
    assert [hit["_id"] for hit in found["hits"]["hits"]] == own
    rows = {row["setting"]: row for row in run(address, "config", "--alias", alias)}  # type: ignore[attr-defined]
    assert rows["search.keep_order"]["value"] == report["settings"]["keep_order"]
    assert rows["search.keep_order"]["origin"].startswith("attune tune (")
