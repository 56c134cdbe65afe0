"""Whatever the OpenAPI document allows or forbids is answered as it says: no crash, nothing of the inside."""

import base64
from pathlib import Path

import schemathesis
from flask import Flask

from mappings.settings import PreviewSettings, Settings, SidecarSettings
from mappings.types import Product
from plugin_api.sidecar.app import create_app
from plugin_api.sidecar.telemetry.metrics import Metrics
from plugin_api.sidecar.telemetry.middleware import Observer
from reranker.model import load_model
from tests.plugin_api.sidecar.api_cases import OneHit, fuzz


def test_every_operation_answers_as_documented(tmp_path: Path) -> None:
    asked = list(fuzz(schemathesis.openapi.from_wsgi("/_attune/openapi.json", an_app(tmp_path)), 20, 1))
    assert {outcome.operation: outcome.failures for outcome in asked if outcome.failures} == {}
    assert len({outcome.operation for outcome in asked}) > 25
    assert sum(outcome.cases for outcome in asked) > 700
    answered = {status for outcome in asked for status in outcome.statuses}
    assert answered >= {200, 400, 404, 422}


def an_app(folder: Path) -> Flask:
    """The sidecar with the shipped model, before a cluster that has one product."""
    model = load_model(None)
    [product] = model.encode_products([Product("1", title="Wireless mouse")])
    settings = Settings(
        sidecar=SidecarSettings(deadline_ms=10_000),
        preview=PreviewSettings(judgements=str(folder / "judgements.csv")),
    )
    cluster = OneHit(base64.b64encode(product.stored).decode().rstrip("="), model.version)
    observer = Observer(Metrics([model.version]))
    app = create_app(settings, cluster, model, observe=observer.searched)
    observer.add_route(app, lambda: app.extensions["attune"].limiter.breaker.open_circuits)
    return app
