"""What people and programs use: the sidecar, the `attune` command line and the preview page.

`create_app` builds the sidecar as a Flask app around settings, a client of OpenSearch and a model. Nothing is
sent to OpenSearch before a request comes.

>>> from mappings.settings import Settings
>>> from plugin_api import create_app
>>> from plugin_api.opensearch.http_client import HttpClient
>>> from reranker import load_model
>>> settings = Settings()
>>> app = create_app(settings, HttpClient(settings.opensearch), load_model())
>>> app.test_client().get("/_attune/health").json["status"]
'alive'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_api.sidecar.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """Import an exported name at its first use: the command line needs no server."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("plugin_api.sidecar.app"), name)
