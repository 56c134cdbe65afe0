"""What the measurements of indexing have in common: catalogue files, jobs on them, and their costs."""

import gzip
import os
import sys
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import load_field_map
from indexer.rebuild.job import IndexJob, IndexReport, run_index_job
from indexer.rebuild.product_source import CatalogueSupply
from indexer.sources.files import open_catalogue
from indexer.store.alias import Aliases
from indexer.store.encoder import ProductEncoder
from indexer.store.retry import Patience
from mappings.client import connect
from mappings.settings import IndexSettings, OpenSearchSettings
from plugin_api.cli import ONE_THREAD
from plugin_api.commands.demo.catalogue import CATALOGUE, FIELD_MAP, PRODUCTS

PATIENT_SECONDS = 300.0


def as_the_command_does() -> None:
    """Start this program again where NumPy was not told what `attune` tells it before it is imported."""
    if os.environ.get(ONE_THREAD[0]) != ONE_THREAD[1]:
        os.environ[ONE_THREAD[0]] = ONE_THREAD[1]
        os.execv(sys.executable, sys.orig_argv)


def patient_client(url: str) -> OpenSearch:
    """Return a client that a busy machine does not fail."""
    return connect(OpenSearchSettings(url=url, timeout_seconds=PATIENT_SECONDS))


def write_sample(path: Path, count: int) -> Path:
    """Write `count` records of the demo's catalogue, evenly spaced over the whole of it."""
    wanted = {number * PRODUCTS // count for number in range(count)}
    with gzip.open(CATALOGUE, "rb") as lines, path.open("wb") as file:
        file.writelines(line for at, line in enumerate(lines) if at in wanted)
    return path


def rebuild(
    client: OpenSearch, encoder: ProductEncoder, alias: str, catalogue: Path, rejects: Path
) -> IndexReport:
    """Rebuild an alias from a file of the demo's records, at the settings' defaults."""
    source = open_catalogue(catalogue)
    supply = CatalogueSupply(source, load_field_map(FIELD_MAP, source))
    return run_index_job(IndexJob(supply, alias, rejects, IndexSettings()), client, encoder)


def remove(client: OpenSearch, alias: str) -> None:
    """Delete every index that was made for an alias."""
    aliases = Aliases(client, alias, Patience(PATIENT_SECONDS))
    for index in aliases.made():
        aliases.delete(index.name)


def node_cpu_seconds(client: OpenSearch) -> float:
    """Return the processor time that OpenSearch has taken so far, wherever it runs."""
    nodes = client.nodes.stats(metric="process")["nodes"]
    return sum(float(of["process"]["cpu"]["total_in_millis"]) for of in nodes.values()) / 1000
