"""What encoding at write time (`attune install --ingest`) adds to a bulk request, in OpenSearch 2.19.1.

    python -m tests.bench.ingest [--rounds 10] [--bulk 100]

Needs Docker and the images of `docker/compose.yaml`. Two attached indexes get the same bulk requests in turn,
one of them with the ingest pipeline in front, so their difference holds where other work shares the machine.
Prints one JSON object.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk

from mappings.types import JsonObject
from plugin_api.commands.demo.catalogue import FIELD_MAP
from tests.bench.attach.shop import BODY, read_documents
from tests.bench.inputs import machine, middle
from tests.bench.inputs.demo_shop import write_sample
from tests.integration.stack import SIDECAR, Stack, running_stack

PLAIN, ENCODED = "bench-plain", "bench-encoded"


@click.command(help=__doc__)
@click.option("--rounds", default=10, show_default=True, help="Bulk requests that each index gets.")
@click.option("--bulk", "size", default=100, show_default=True, help="Documents of a bulk request.")
def main(rounds: int, size: int) -> None:
    """Measure; print one JSON object."""
    report: JsonObject = machine("opensearch-py") | {"rounds": rounds, "documents_a_bulk": size}
    documents = list(read_documents(size * (rounds + 1)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_sample(folder / "products.jsonl", 50)
        shutil.copyfile(FIELD_MAP, folder / "fields.toml")
        with running_stack("2.19.1", folder) as stack:
            report |= measure(stack, documents, size)
    click.echo(json.dumps(report, indent=2))


def measure(stack: Stack, documents: Sequence[tuple[str, JsonObject]], size: int) -> JsonObject:
    """Return milliseconds a document in bulk with and without the pipeline, and what arrived complete."""
    os.environ["ATTUNE_OPENSEARCH_URL"] = stack.direct
    client = OpenSearch(stack.direct, timeout=120)
    first, rest = documents[:size], documents[size:]
    for index in (PLAIN, ENCODED):
        client.indices.create(index=index, body=BODY)
        write(client, index, first)
        run("attach", index, "--json")
    run("install", "--sidecar-url", SIDECAR, "--alias", ENCODED, "--ingest")
    write(client, ENCODED, first)  # loads the product encoder
    taken: dict[str, list[float]] = {PLAIN: [], ENCODED: []}
    for start in range(0, len(rest), size):
        for index, times in taken.items():
            times.append(write(client, index, rest[start : start + size]) * 1000 / size)
    complete = count_encoded(client, ENCODED)
    with stack.hanging_sidecar():
        hanging = write(client, ENCODED, first) * 1000 / size
    run("install", "--uninstall")
    extra = [one - other for one, other in zip(taken[ENCODED], taken[PLAIN], strict=True)]
    return {
        "ms_a_document": {"plain": middle(taken[PLAIN]), "encoded": middle(taken[ENCODED])},
        "extra_ms_a_document": {"median": middle(extra), "most": round(max(extra), 2)},
        "encoded_share": round(complete / len(documents), 4),
        "ms_a_document_while_the_sidecar_hangs": round(hanging, 2),
    }


def write(client: OpenSearch, index: str, documents: Sequence[tuple[str, JsonObject]]) -> float:
    """Write documents in one bulk request; return the seconds that it took."""
    actions = [{"_index": index, "_id": key, "_source": source} for key, source in documents]
    started = time.perf_counter()
    bulk(client, actions, chunk_size=len(actions))
    return time.perf_counter() - started


def count_encoded(client: OpenSearch, index: str) -> int:
    """Return how many documents have vectors."""
    client.indices.refresh(index=index)
    return int(client.count(index=index, body={"query": {"exists": {"field": "attune.model"}}})["count"])


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "plugin_api", *arguments], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
