"""The demo of a domain on a real OpenSearch, and a sidecar of that domain in front of it."""

import json
from typing import Any

from click.testing import CliRunner
from flask.testing import FlaskClient

from mappings.settings import load_settings
from plugin_api.cli import attune
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.sidecar.app import create_app
from reranker.model import load_model


def run_demo(opensearch: str, domain: str) -> dict[str, Any]:
    """Run the demo of a domain, a name or a folder, and return its report."""
    arguments = ["demo", "--domain", domain, "--port", "0", "--json"]
    result = CliRunner().invoke(attune, arguments, env=_environment(opensearch))
    if result.exception:
        raise result.exception
    report: dict[str, Any] = json.loads(result.output)
    return report


def open_sidecar(opensearch: str, domain: str) -> FlaskClient:
    """Return a client of a sidecar of a domain."""
    settings = load_settings(None, _environment(opensearch), domain)
    return create_app(settings, HttpClient(settings.opensearch), load_model()).test_client()


def _environment(opensearch: str) -> dict[str, str]:
    return {
        "ATTUNE_OPENSEARCH_URL": opensearch,
        "ATTUNE_SIDECAR_DEADLINE_MS": "10000",  # what is tested is not how fast a busy machine is
        "ATTUNE_SHOPPERS_KEY": "k",
    }
