"""The demo's catalogue: 19,406 electronics products, their texts from Icecat, in an index of their own."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import load_field_map
from indexer.rebuild.job import rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from indexer.store.alias import META
from indexer.store.encoder import ProductEncoder
from indexer.store.opensearch_errors import translate_errors
from indexer.store.session import IndexSession, OneEncoder
from mappings.errors import AttuneError
from mappings.settings import IndexSettings

_FOLDER = Path(__file__).parent / "data"
CATALOGUE = _FOLDER / "electronics.jsonl.gz"
FIELD_MAP = _FOLDER / "electronics.toml"
PRODUCTS = 19_406
SOURCE = 'Product texts: Icecat (icecat.com), under its Open Content License, provided "as is".'


@dataclass(frozen=True, slots=True)
class DemoIndex:
    """The index of the catalogue. `seconds` is how long indexing took, 0 where the index existed already."""

    index: str
    products: int
    seconds: float = 0.0


def find_catalogue(client: OpenSearch, alias: str, model: str) -> DemoIndex | None:
    """Return the index behind `alias` if it holds the whole catalogue, encoded with this model version.

    Returns None where there is no such alias, or it holds a part of the catalogue or another model's vectors.
    Raises AttuneError where it holds anything else, which must not be replaced.
    """
    with translate_errors(f"looking up {alias}"):
        if not client.indices.exists(index=alias):
            return None
        (index, mapping), *others = client.indices.get_mapping(index=alias).items()
        made_from = mapping["mappings"].get("_meta", {}).get(META, {})
        if others or made_from.get("source") != CATALOGUE.name:
            raise AttuneError(
                f"{alias} holds another catalogue than the demo's: use another alias for the demo "
                "(attune demo --alias demo)"
            )
        client.cluster.health(index=index, params={"wait_for_status": "yellow"})
        products = int(client.count(index=index)["count"])
    return DemoIndex(index, products) if (made_from["model"], products) == (model, PRODUCTS) else None


def index_catalogue(
    client: OpenSearch,
    alias: str,
    encoder: ProductEncoder,
    settings: IndexSettings,
    on_progress: Callable[[int, float], None],
) -> DemoIndex:
    """Encode and index the whole catalogue. Raises as `rebuild_index` does."""
    began = time.monotonic()
    catalogue = open_catalogue(CATALOGUE)
    with tempfile.TemporaryDirectory() as folder:
        session = IndexSession(client, alias, OneEncoder(encoder), settings, on_progress=on_progress)
        source = CatalogueSource(catalogue, load_field_map(FIELD_MAP, catalogue))
        report = rebuild_index(session, source, Path(folder) / "rejects.jsonl")
    return DemoIndex(report.index, report.indexed, time.monotonic() - began)
