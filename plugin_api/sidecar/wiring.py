"""All that a worker serves, put together."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from mappings.settings import Settings
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.opensearch.session import OpenSearchSession
from plugin_api.search.pictures.tower import PictureSearchTower
from plugin_api.search.timing import SearchTiming
from plugin_api.sidecar.app import ServedModel, create_app
from plugin_api.sidecar.serving.asgi import Application
from plugin_api.sidecar.serving.dispatch import Dispatcher
from plugin_api.sidecar.telemetry.metrics import Metrics
from plugin_api.sidecar.telemetry.middleware import Observer
from plugin_api.sidecar.telemetry.tracing import Tracing
from reranker.speech.transcriber import Transcriber


def build_application(
    settings: Settings,
    stack: AsyncExitStack,
    reranker: ServedModel,
    others: Sequence[ServedModel] = (),
    timing: SearchTiming | None = None,
    pictures: PictureSearchTower | None = None,
    transcriber: Transcriber | None = None,
) -> Application:
    """Return the sidecar as an ASGI application, for the event loop that is running. `stack` closes it."""
    client = HttpClient(settings.opensearch, settings.sidecar.max_body_bytes)
    session = OpenSearchSession(settings.opensearch)
    stack.push_async_callback(session.close)
    endpoint = settings.sidecar.tracing_endpoint
    tracing = Tracing(endpoint) if endpoint else None
    if tracing:
        stack.callback(tracing.close)
    versions = list(dict.fromkeys(model.version for model in (reranker, *others)))
    observer = Observer(Metrics(versions), tracing)
    app = create_app(settings, client, reranker, others, observer.searched, timing, pictures, transcriber)
    observer.add_route(app, lambda: app.extensions["attune"].limiter.breaker.open_circuits)
    return observer.around(Dispatcher(app, session, settings.sidecar))
