"""The check-up of an index: opened for `attune tune`, and done at the end of a rebuild."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError

from indexer.store.opensearch_errors import translate_errors
from mappings.errors import AttuneError, IndexingError, ModelMismatch
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.commands.index.models import model_folders
from plugin_api.commands.searched_index import describe_missing_index, fetch_index_facts, open_searched_index
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.tuning.job import TuningJob, tune_index
from plugin_api.tuning.record import read_tuned_template, record_tuning
from plugin_api.tuning.report import TuningReport

_FEWEST_PRODUCTS = 500
"""Products from which on a rebuild ends with a check-up: in fewer every ranking finds what there is."""


def find_template(client: OpenSearch, alias: str) -> JsonObject | None:
    """Return the shop's own search that the last check-up was given; None where that can't be told."""
    with suppress(AttuneError):
        return read_tuned_template(client, alias)
    return None


def tune_rebuilt_index(
    client: OpenSearch,
    settings: Settings,
    alias: str,
    products: int,
    model: Path | None,
    template: JsonObject | None,
    check_stop: Callable[[], None],
    warn: Callable[[str], None],
) -> TuningReport | None:
    """Tune the index that a rebuild has made, within `index.tune_seconds`; None where that is left out.

    The rebuild is done already: what fails here is told by `warn` and changes nothing.
    """
    seconds = settings.index.tune_seconds
    if not seconds or products < _FEWEST_PRODUCTS:
        return None
    try:
        job = open_tuning(client, settings, alias, model, seconds, template, lambda _: check_stop())
        report = tune_index(job)
        record_tuning(client, alias, report)
    except AttuneError as error:
        warn(f"search settings stay as they are, the check-up failed: {error}")
        return None
    return report


def open_tuning(
    client: OpenSearch,
    settings: Settings,
    index: str,
    model: Path | None,
    seconds: float,
    template: JsonObject | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> TuningJob:
    """Return the check-up of an index or alias with the model that encoded it.

    Raises IndexingError where there is no such index, or none with vectors, and ModelMismatch where no folder
    has its model.
    """
    loaded = model_folders(model, settings.model).find(_find_version(client, index))
    searched = open_searched_index(client, index, template)
    opensearch = HttpClient(settings.opensearch)
    return TuningJob(
        client,
        opensearch,
        loaded,
        settings,
        index,
        searched.make_query,
        searched.read_product,
        seconds,
        template,
        on_progress,
    )


def _find_version(client: OpenSearch, index: str) -> str:
    """Return the version of the model that encoded the products of an index."""
    with translate_errors(f"looking up {index}"):
        try:
            versions = fetch_index_facts(client, index).models
        except NotFoundError as error:
            raise IndexingError(describe_missing_index(client, index)) from error
    if not versions:
        raise IndexingError(f"index {index} has no vectors: `attune index` or `attune attach` make them")
    if len(versions) > 1:
        raise ModelMismatch(
            f"index {index} has vectors of several models ({', '.join(versions)}): index it again"
        )
    return versions[0]
