"""The demo's catalogue, in an index of its own: 19,406 electronics products, or another domain's."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import FieldMap, load_field_map
from indexer.catalogue.guessing import guess_field_map
from indexer.catalogue.records import Source
from indexer.rebuild.job import rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from indexer.sources.package import open_named_catalogue
from indexer.store.alias import META
from indexer.store.encoder import ProductEncoder
from indexer.store.opensearch_errors import translate_errors
from indexer.store.session import IndexSession, OneEncoder
from mappings.domains import SHOP_DOMAIN, Domain, load_domain
from mappings.errors import AttuneError
from mappings.settings import IndexSettings

_FOLDER = Path(__file__).parent / "data"
CATALOGUE = _FOLDER / "electronics.jsonl.gz"
FIELD_MAP = _FOLDER / "electronics.toml"
PRODUCTS = 19_406
_CHINESE = _FOLDER / "chinese.jsonl"
_CHINESE_PRODUCTS = 275


@dataclass(frozen=True, slots=True)
class DemoCatalogue:
    """What the demo indexes: the records, how they are read, and how many products they are."""

    source: Source
    name: str
    field_map: FieldMap
    products: int


def open_demo_catalogue(domain: Domain) -> DemoCatalogue:
    """Return the demo's catalogue of a domain: the shop's where it has none of its own.

    Raises CatalogueError where a package that it needs is not installed, SettingsError for its field map.
    """
    named = domain.demo.catalogue
    if not named:
        catalogue = open_catalogue(CATALOGUE)
        return DemoCatalogue(catalogue, CATALOGUE.name, load_field_map(FIELD_MAP, catalogue), PRODUCTS)
    source = open_named_catalogue(named, domain.folder)
    path = domain.field_map
    field_map = load_field_map(path, source) if path else guess_field_map(source)
    count = sum(1 for _ in source.records())
    return DemoCatalogue(
        source, source.name.rpartition("/")[2], replace(field_map, domain=domain.name), count
    )


def open_chinese_catalogue() -> DemoCatalogue:
    """Return the demo's small catalogue in Chinese."""
    catalogue = open_catalogue(_CHINESE)
    field_map = load_field_map(_CHINESE.with_suffix(".toml"), catalogue)
    return DemoCatalogue(catalogue, _CHINESE.name, field_map, _CHINESE_PRODUCTS)


@dataclass(frozen=True, slots=True)
class DemoIndex:
    """The index of the catalogue. `seconds` is how long indexing took, 0 where the index existed already."""

    index: str
    products: int
    seconds: float = 0.0


def find_catalogue(
    client: OpenSearch, alias: str, model: str, demo: DemoCatalogue | None = None
) -> DemoIndex | None:
    """Return the index behind `alias` if it holds the whole catalogue, encoded with this model version.

    Returns None where there is no such alias, or it holds a part of the catalogue or another model's vectors.
    Raises AttuneError where it holds anything else, which must not be replaced.
    """
    name, expected = (demo.name, demo.products) if demo else (CATALOGUE.name, PRODUCTS)
    with translate_errors(f"looking up {alias}"):
        if not client.indices.exists(index=alias):
            return None
        (index, mapping), *others = client.indices.get_mapping(index=alias).items()
        made_from = mapping["mappings"].get("_meta", {}).get(META, {})
        if others or made_from.get("source") != name:
            raise AttuneError(
                f"{alias} holds another catalogue than the demo's: use another alias for the demo "
                "(attune demo --alias demo)"
            )
        client.cluster.health(index=index, params={"wait_for_status": "yellow"})
        products = int(client.count(index=index)["count"])
    return DemoIndex(index, products) if (made_from["model"], products) == (model, expected) else None


def index_catalogue(
    client: OpenSearch,
    alias: str,
    encoder: ProductEncoder,
    settings: IndexSettings,
    on_progress: Callable[[int, float], None],
    demo: DemoCatalogue | None = None,
) -> DemoIndex:
    """Encode and index the whole catalogue. Raises as `rebuild_index` does."""
    began = time.monotonic()
    demo = demo or open_demo_catalogue(load_domain(SHOP_DOMAIN))
    with tempfile.TemporaryDirectory() as folder:
        session = IndexSession(client, alias, OneEncoder(encoder), settings, on_progress=on_progress)
        source = CatalogueSource(demo.source, demo.field_map)
        report = rebuild_index(session, source, Path(folder) / "rejects.jsonl")
    return DemoIndex(report.index, report.indexed, time.monotonic() - began)
