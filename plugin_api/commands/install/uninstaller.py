"""Take out of a cluster what `attune install` put in: pipelines, models, connectors and settings."""

from plugin_api.commands.install.cluster import DEFAULT_PIPELINE, FINAL_PIPELINE, Cluster
from plugin_api.commands.install.cluster_settings import restore_settings
from plugin_api.commands.install.pipelines import (
    delete_pipeline,
    find_own_pipelines,
    merge_settings_notes,
    notes_in,
    set_index_pipeline,
)
from plugin_api.commands.install.remote_models import delete_connector, delete_model, list_own_parts


def uninstall(cluster: Cluster) -> None:
    """Remove what `install_pipeline` and `install_ingest` created, and nothing else. Raises InstallError."""
    settings = merge_settings_notes(cluster)
    for (kind, name), pipeline in find_own_pipelines(cluster).items():
        former = notes_in(pipeline)["indexes"]
        setting = DEFAULT_PIPELINE if kind == "search" else FINAL_PIPELINE
        for index, present in cluster.all_index_pipelines(setting, former).items():
            if present == name:
                set_index_pipeline(cluster, setting, index, former.get(index, ""))
        delete_pipeline(cluster, kind, name)
    for model in list_own_parts(cluster, "models"):
        delete_model(cluster, model.id, model.name)
    for connector in list_own_parts(cluster, "connectors"):
        delete_connector(cluster, connector.id, connector.name)
    if settings:
        restore_settings(cluster, settings)
