"""The session of a job that is run in a terminal."""

import threading

from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession
from mappings.client import check_cluster, connect
from mappings.settings import Settings
from plugin_api.commands.index.models import ModelFolders
from plugin_api.terminal import JobProgress


def open_job_session(
    settings: Settings, name: str, models: ModelFolders, stop: threading.Event, progress: JobProgress
) -> IndexSession:
    """Return a session on an alias or index that shows its progress, and ends once `stop` is set.

    Raises ClusterDown.
    """
    client = connect(settings.opensearch)
    check_cluster(client, settings.opensearch)
    retry = RetryPolicy(settings.index.retry_seconds, progress.waiting, stop)
    return IndexSession(client, name, models, settings.index, retry, progress.show)
