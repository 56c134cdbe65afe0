"""A new model for an index in use: index and model change together, and every search is reranked."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from indexer.catalogue.guessing import guess_field_map
from indexer.rebuild.job import rebuild_index
from indexer.rebuild.product_source import CatalogueSource, open_index_source
from indexer.rebuild.rollback import roll_back
from indexer.sources.files import open_catalogue
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession, OneEncoder
from mappings.client import connect
from mappings.settings import IndexSettings, OpenSearchSettings, Settings, SidecarSettings
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.sidecar.app import create_app
from tests.fakes.preview_shop import other_model, shipped_model
from tests.integration.stack import Stack

ALIAS = "changing"


def test_index_and_model_change_together(stack: Stack, catalogue: Path, tmp_path: Path) -> None:
    where = OpenSearchSettings(url=stack.direct, timeout_seconds=120)
    settings = Settings(opensearch=where, sidecar=SidecarSettings(deadline_ms=30_000))
    web = create_app(settings, HttpClient(where), shipped_model(), [other_model()]).test_client()
    client, retry = connect(where), RetryPolicy(60)
    some = tmp_path / "some.jsonl"
    some.write_text("".join((catalogue / "products.jsonl").read_text().splitlines(keepends=True)[:60]))
    source = open_catalogue(some)
    catalogue_source = CatalogueSource(source, guess_field_map(source))
    session = IndexSession(client, ALIAS, OneEncoder(shipped_model()), IndexSettings(batch=20), retry)
    rejects = tmp_path / "rejects.jsonl"
    seen: Counter[tuple[str, str]] = Counter()

    def search() -> str:
        body = {"query": {"match": {"title": "laptop"}}}
        answer = web.post(f"/{ALIAS}/_search", json=body)
        found = json.loads(answer.data)
        said = found["ext"]["attune"]
        assert (answer.status_code, said["rerank_status"]) == (200, "reranked")
        assert found["hits"]["hits"]
        (behind,) = {hit["_index"] for hit in found["hits"]["hits"]}
        seen[behind, said["model"]] += 1
        return str(said["model"])

    first = rebuild_index(session, catalogue_source, rejects)
    try:
        assert search() == shipped_model().version
        live = session.indexes.find_live()
        assert live is not None
        other = replace(session, encoders=OneEncoder(other_model()), on_progress=lambda *_: search())
        second = rebuild_index(other, open_index_source(client, live, retry), rejects)
        assert search() == other_model().version
        assert (second.indexed, second.encoded, second.kept) == (60, 60, (first.index,))
        roll_back(session)
        assert search() == shipped_model().version
        assert seen == {
            (first.index, shipped_model().version): 5,  # before, three times meanwhile, and after going back
            (second.index, other_model().version): 1,
        }
    finally:
        client.indices.delete(index=f"{ALIAS}-*")
        client.close()
