"""From what `attune train` is given to a training job: the catalogue and its labels, read and described.

Imports torch by way of reranker.training: only the command that trains may import it, when it does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import FieldMap, load_field_map
from indexer.catalogue.guessing import guess_field_map
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item
from indexer.clicks.product_names import read_product_names
from indexer.clicks.ubi_files import read_ubi_files
from indexer.sources.files import CatalogueFile, open_catalogue
from indexer.store.retry import RetryPolicy
from indexer.store.scan import scan_documents
from mappings.domains import Domain
from mappings.errors import CatalogueError, SettingsError
from mappings.settings import ClickSettings, ModelSettings
from mappings.types import Judgement, Product
from plugin_api.commands.domain_option import fit_domain_map, put_domain
from plugin_api.commands.searched_index import open_searched_index
from plugin_api.commands.train.weights import read_esci_pairs
from plugin_api.commands.ubi_indexes import choose_click_indexes, read_ubi_cluster
from plugin_api.terminal import format_count
from reranker.evaluation.judgements import read_judgements
from reranker.model import locate_shipped_model
from reranker.shipped_models import choose_shipped_model, locate_chinese_model, locate_mixed_model
from reranker.training.clicks.click_labels import ClickEvidence, derive_click_evidence
from reranker.training.clicks.click_log import ClickLog
from reranker.training.plan import TrainingPlan, TrainReport

Note = Callable[[str], None]

_RETRY_SECONDS = 60.0
"""Seconds that reading an index keeps trying while OpenSearch is away."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a job's data is. Of the two kinds of click logs at most one is given.

    `catalogue` is a file of products, or the cluster and the name of an index that has them.
    """

    catalogue: Path | tuple[OpenSearch, str]
    fields: Path | None = None
    simplified: bool = False
    judgements: Path | None = None
    click_files: tuple[Path, Path] | None = None
    click_cluster: OpenSearch | None = None
    domain: Domain = field(default_factory=Domain)

    @property
    def name(self) -> str:
        """The name of the catalogue."""
        return str(self.catalogue) if isinstance(self.catalogue, Path) else self.catalogue[1]

    def named(self) -> dict[str, str]:
        """Return the sources by name, for the model's config."""
        names = {"catalogue": self.name.rpartition("/")[2]}
        if self.judgements:
            names["judgements"] = self.judgements.name
        if self.click_files:
            names["clicks"] = ", ".join(path.name for path in self.click_files)
        if self.click_cluster:
            names["clicks"] = "the events stored in the cluster"
        return names


@dataclass(frozen=True, slots=True)
class LoadedSources:
    """What the sources hold."""

    products: list[Product]
    judgements: list[Judgement]
    clicks: list[ClickEvidence]


def read_sources(sources: Sources, settings: ClickSettings, note: Note) -> LoadedSources:
    """Read everything, telling `note` what was found. Raises CatalogueError, LabelsError, ClusterDown."""
    if isinstance(sources.catalogue, Path):
        products = read_catalogue(sources.catalogue, sources.fields, sources.simplified, sources.domain)
    else:
        products = read_index(*sources.catalogue)
    note(f"{format_count(len(products), 'product')} in {sources.name}")
    judgements = read_judgements(sources.judgements, note) if sources.judgements else []
    if judgements:
        note(f"{format_count(len(judgements), 'judgement')} in {sources.judgements}")
    log = _click_log(sources)
    if log is None:
        return LoadedSources(products, judgements, [])
    ids = {product.id: product.id for product in products}
    if settings.id_column:
        ids |= _other_names(sources, settings.id_column)
    clicks, summary = derive_click_evidence(log, settings, ids)
    for line in summary.lines():
        note(line)
    return LoadedSources(products, judgements, clicks)


def _other_names(sources: Sources, column: str) -> dict[str, str]:
    if not isinstance(sources.catalogue, Path):
        raise SettingsError(
            "clicks.id_column names a column of a catalogue's file: train from that, not --index"
        )
    catalogue = open_catalogue(sources.catalogue)
    return read_product_names(
        catalogue.records(), _field_map(catalogue, sources.fields, sources.domain).id, column
    )


def read_catalogue(
    path: Path, fields: Path | None, simplified: bool = False, domain: Domain | None = None
) -> list[Product]:
    """Read a whole catalogue, cleaned as for indexing. Raises CatalogueError where nothing can be used."""
    catalogue = open_catalogue(path)
    items = read_products(catalogue.records(), _field_map(catalogue, fields, domain or Domain()), simplified)
    products = [item.product for item in items if isinstance(item, Item)]
    if not products:
        raise CatalogueError(f"{path} holds no usable product: `attune index` says why, record by record")
    return products


def read_index(client: OpenSearch, name: str) -> list[Product]:
    """Read the products of an index, those with a text. Raises CatalogueError where there are none."""
    searched = open_searched_index(client, name)
    documents = scan_documents(client, name, {"match_all": {}}, RetryPolicy(_RETRY_SECONDS))
    products = [searched.read_product(document.id, document.source) for document in documents]
    products = [product for product in products if product.title or product.description]
    if not products:
        raise CatalogueError(f"index {name} holds no product with a title or a description")
    return products


def choose_base(settings: ModelSettings, products: Sequence[Product]) -> Path:
    """Return the model folder that training continues: the setting's, or the shipped one for the titles.

    Where titles are in two scripts, that is the default one: training makes one model.
    """
    if settings.folder:
        return Path(settings.folder)
    shipped = choose_shipped_model(products)
    return locate_shipped_model() if shipped == locate_mixed_model() else shipped


def select_pairs(plan: TrainingPlan) -> list[tuple[str, Product, float]]:
    """Return the shipped judged pairs, which teach the scorer what a probability is.

    They are in English, so a plan with another encoder or the Chinese base gets none.
    """
    reads_english = plan.continues_base and plan.base != locate_chinese_model()
    return list(read_esci_pairs()) if reads_english else []


def summarise_training(report: TrainReport) -> Iterator[str]:
    """Yield what a run made, as lines for people."""
    figures = report.figures
    known, judged = figures["known_item"], figures.get("judged", {})
    before, after = known["before"], known["after"]
    yield (
        f"Model {report.model} is in {report.folder}, after {report.seconds / 60:.1f} min "
        f"and {report.steps:,} steps."
    )
    if report.learnt < report.products:
        products = format_count(report.products, "product")
        yield f"There was time for {report.learnt:,} of {products}: --budget gives more."
    yield f"Cosine of product encoder and teacher: {figures['product_tower_cosine']:.3f}."
    yield (
        f"{format_count(known['queries'], 'made query', 'made queries')}, never trained on, among "
        f"{format_count(known['products'], 'product')}: own "
        f"product in the top 10 {before['recall@10']:.0%} before, {after['recall@10']:.0%} now; "
        f"nDCG@10 {before['ndcg@10']:.3f} before, {after['ndcg@10']:.3f} now."
    )
    if report.figures["probes"]["queries"]:
        yield _describe_probes(report.figures["probes"])
    if "test_ndcg@10" in judged:
        then = judged["test_ndcg@10_before"]
        yield (
            f"{judged['queries']['test']} judged queries, never trained on: nDCG@10 "
            f"{judged['test_ndcg@10']:.3f}{'' if then is None else f', {then:.3f} before'}."
        )
    elif judged:
        yield "Too few judged queries to hold some back: no figure on them is reported."
    if report.kept_start:
        yield (
            "Training gained nothing that chance could not explain, so the start is kept: the folder holds "
            "the model that training began from, and indexes made with it stay valid."
        )
        return
    yield f"Next: attune index FILE --model {report.folder} --alias NAME"


def _describe_probes(figures: Mapping[str, Any]) -> str:
    mean, low, high = figures["change"]
    return (
        f"{format_count(figures['queries'], 'made query', 'made queries')} of "
        f"{format_count(len(figures['families']), 'kind')}: nDCG@10 changes by {mean:+.3f} "
        f"({low:+.3f} to {high:+.3f})."
    )


def _field_map(catalogue: CatalogueFile, fields: Path | None, domain: Domain) -> FieldMap:
    if fields:
        return put_domain(load_field_map(fields, catalogue), domain)
    return fit_domain_map(catalogue, domain) or put_domain(guess_field_map(catalogue), domain)


def _click_log(sources: Sources) -> ClickLog | None:
    if sources.click_files:
        return read_ubi_files(*sources.click_files)
    if sources.click_cluster is None:
        return None
    queries, events = choose_click_indexes(sources.click_cluster)
    return read_ubi_cluster(sources.click_cluster, queries=queries, events=events)
