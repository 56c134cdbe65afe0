"""The shipped models that a sidecar holds beside its own, for the indexes that they encoded."""

from collections.abc import Collection

from opensearchpy.exceptions import OpenSearchException

from mappings.client import connect
from mappings.settings import OpenSearchSettings
from plugin_api.commands.serve.index_models import find_index_models
from reranker.mixed_model import AnyModel, load_any_model
from reranker.shipped_models import list_shipped_models


def load_shipped_models(
    settings: OpenSearchSettings, threads: int, known: Collection[str] = ()
) -> list[AnyModel]:
    """Return the shipped models whose versions are not `known`.

    Those that encoded an index of the cluster are loaded, ready to search.
    Each of the others loads at the first search that needs it, which may then be late and get keyword hits.
    """
    shipped = [load_any_model(folder, threads) for folder in list_shipped_models()]
    models = [model for model in shipped if model.version not in known]
    client = connect(settings)
    try:
        needed = find_index_models(client)
    except OpenSearchException:
        needed = set()  # searches will tell of what is wrong with the cluster
    finally:
        client.close()
    for model in models:
        if model.version in needed:
            model.load()
    return models
