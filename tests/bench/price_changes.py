"""New prices and stock of 10,000 products: `attune index --changes` beside opensearch-py's bulk updates.

Needs a running OpenSearch; makes an alias `bench-demo` of the whole demo catalogue, unless it is there, and
removes it with --remove.

    python -m tests.bench.price_changes --url http://localhost:9200

Attune's side reads a JSON Lines file of partial updates, looks each product up, minds versions and deletes,
and encodes nothing. The other side has its actions made before the clock starts and sends
`{"update": …}, {"doc": {"price": …, "available": …}}` at the helper's defaults. Neither refreshes.
"""

import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk, scan

from indexer.catalogue.field_map import FieldMap
from indexer.change.job import ChangeJob, apply_changes
from indexer.sources.change_stream import ChangeStream
from indexer.sources.files import open_catalogue
from indexer.store.session import IndexSession
from mappings.client import check_cluster
from mappings.settings import ModelSettings, OpenSearchSettings
from mappings.types import JsonObject
from plugin_api.commands.demo.catalogue import CATALOGUE, find_catalogue
from plugin_api.commands.index.models import model_folders
from reranker.model import load_model
from tests.bench.inputs import machine, middle
from tests.bench.inputs.demo_shop import (
    as_the_command_does,
    node_cpu_seconds,
    patient_client,
    rebuild,
    remove,
)

ALIAS = "bench-demo"
FIELDS = FieldMap(id="id", price=("price",), available=("available",))


@click.command()
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--changes", default=10_000, show_default=True, help="Changes of each round, one a product.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; each applies them both ways.")
@click.option("--remove", "removed", is_flag=True, help="Remove the alias's indexes at the end.")
def main(url: str, changes: int, rounds: int, removed: bool) -> None:
    """Time changes of price and stock; print one JSON object."""
    as_the_command_does()
    click.echo(json.dumps(measure(url, changes, rounds, removed), indent=2))


def measure(url: str, changes: int, rounds: int, removed: bool) -> JsonObject:
    """Changes per second, the middle over rounds."""
    facts = machine("opensearch-py")
    client = patient_client(url)
    facts["opensearch"] = check_cluster(client, OpenSearchSettings(url=url))
    attune: list[JsonObject] = []
    updates: list[JsonObject] = []
    model = load_model(None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if find_catalogue(client, ALIAS, model.version) is None:
            rebuild(client, model, ALIAS, CATALOGUE, folder / "rejects.jsonl")
        ids = sorted(hit["_id"] for hit in scan(client, index=ALIAS, _source=False))
        draw = random.Random(0)
        for _ in range(rounds):
            attune.append(_attune(client, folder, draw.sample(ids, changes)))
            updates.append(_updates(client, draw.sample(ids, changes)))
    if removed:
        remove(client, ALIAS)
    client.close()
    ratios = [a["per_second"] / b["per_second"] for a, b in zip(attune, updates, strict=True)]
    return {
        "measures": "changes of price and stock a second",
        "changes": changes,
        "rounds": rounds,
        "attune": _middle_of(attune),
        "bulk_updates": _middle_of(updates),
        "times_as_fast": middle(ratios),
        "by_round": {
            "attune": [run["per_second"] for run in attune],
            "bulk_updates": [run["per_second"] for run in updates],
        },
        "load_after": round(os.getloadavg()[0], 2),
        "machine": facts,
    }


def _attune(client: OpenSearch, folder: Path, ids: Sequence[str]) -> JsonObject:
    """Apply new prices by a job of changes, from the file to its report."""
    path = folder / f"prices-{time.time_ns()}.jsonl"
    rows = [{"id": of, **_news()} for of in ids]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    job = ChangeJob(lambda _: FIELDS, folder / "rejects.jsonl", default="update")
    session = IndexSession(client, ALIAS, model_folders(None, ModelSettings()))
    before = _costs(client)
    report = apply_changes(session, job, [ChangeStream(open_catalogue(path))])
    figures = _figures(client, before, len(ids))
    if (report.updated, report.encoded) != (len(ids), 0):
        raise click.ClickException(f"{report.updated} updated, {report.encoded} encoded of {len(ids)}")
    return figures


def _updates(client: OpenSearch, ids: Sequence[str]) -> JsonObject:
    actions = [{"_op_type": "update", "_index": ALIAS, "_id": of, "doc": _news()} for of in ids]
    before = _costs(client)
    bulk(client, actions)
    return _figures(client, before, len(ids))


def _news() -> JsonObject:
    return {"price": round(random.uniform(1, 1000), 2), "available": random.random() < 0.8}


def _costs(client: OpenSearch) -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), node_cpu_seconds(client)


def _figures(client: OpenSearch, before: tuple[float, float, float], count: int) -> JsonObject:
    seconds, own, node = (now - then for now, then in zip(_costs(client), before, strict=True))
    return {
        "seconds": round(seconds, 2),
        "per_second": round(count / seconds, 1),
        "client_cpu_ms_a_change": round(own * 1000 / count, 3),
        "opensearch_cpu_ms_a_change": round(node * 1000 / count, 3),
    }


def _middle_of(runs: Sequence[JsonObject]) -> JsonObject:
    return {name: middle([run[name] for run in runs], 3) for name in runs[0]}


if __name__ == "__main__":
    main()
