"""What the measurements of indexing have in common: catalogue files, jobs on them, and their costs."""

import gzip
import os
import sys
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import load_field_map
from indexer.rebuild.job import RebuildReport, rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from indexer.store.alias import AliasIndexes
from indexer.store.encoder import ProductEncoder
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession, OneEncoder
from mappings.client import connect
from mappings.settings import OpenSearchSettings
from plugin_api.commands.demo.catalogue import CATALOGUE, FIELD_MAP, PRODUCTS

PATIENT_SECONDS = 300.0
THREADS_VARIABLE = "OPENBLAS_NUM_THREADS"
"""By which `attune` has NumPy multiply on the calling thread."""


def as_the_command_does() -> None:
    """Start this program again where NumPy was not told what `attune` tells it before it is imported."""
    if os.environ.get(THREADS_VARIABLE) != "1":
        os.environ[THREADS_VARIABLE] = "1"
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
) -> RebuildReport:
    """Rebuild an alias from a file of the demo's records, at the settings' defaults."""
    source = open_catalogue(catalogue)
    products = CatalogueSource(source, load_field_map(FIELD_MAP, source))
    return rebuild_index(IndexSession(client, alias, OneEncoder(encoder)), products, rejects)


def remove(client: OpenSearch, alias: str) -> None:
    """Delete every index that was made for an alias."""
    aliases = AliasIndexes(client, alias, RetryPolicy(PATIENT_SECONDS))
    for index in aliases.list_indexes():
        aliases.delete(index.name)


def node_cpu_seconds(client: OpenSearch) -> float:
    """Return the processor time that OpenSearch has taken so far, wherever it runs."""
    nodes = client.nodes.stats(metric="process")["nodes"]
    return sum(float(of["process"]["cpu"]["total_in_millis"]) for of in nodes.values()) / 1000
