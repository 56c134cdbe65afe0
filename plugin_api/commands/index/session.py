"""The sessions of jobs and services that are run in a terminal."""

import math
import threading

from opensearchpy import OpenSearch
from opensearchpy.exceptions import SerializationError, SSLError, TransportError

from indexer.store.retry import RetryPolicy, is_transient
from indexer.store.session import IndexSession
from mappings.client import check_cluster, connect
from mappings.settings import Settings
from plugin_api.commands.index.models import ModelFolders
from plugin_api.terminal import JobProgress

_SERVICE_PAUSE = 5.0
"""The longest pause of a service, in seconds, before it asks again whether OpenSearch is back."""


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


def open_service_session(
    settings: Settings,
    name: str,
    models: ModelFolders,
    stops: tuple[threading.Event, threading.Event],
    progress: JobProgress,
) -> IndexSession:
    """Return the session of a service: it waits for OpenSearch for as long as that is away, and says so.

    The first event of `stops` asks the service to end, the second ends its session. The first one does so
    too while it waits for OpenSearch. Raises ClusterDown where what answers is not OpenSearch, or refuses.
    """
    ending, stop = stops

    def wait(reason: str, seconds: float) -> None:
        progress.waiting(reason, seconds)
        if ending.is_set():
            stop.set()

    client = connect(settings.opensearch)
    retry = RetryPolicy(math.inf, wait, stop, longest_pause=_SERVICE_PAUSE)
    retry.call(f"connecting to {settings.opensearch.url}", lambda: _reach(client))
    check_cluster(client, settings.opensearch)
    return IndexSession(client, name, models, settings.index, retry, progress.show)


def _reach(client: OpenSearch) -> None:
    """Raise TransportError where OpenSearch does not answer for now; other troubles are told by the check."""
    try:
        client.info()
    except TransportError as error:
        if is_transient(error) and not isinstance(error, SSLError):
            raise
    except SerializationError:
        return
