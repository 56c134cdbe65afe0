import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from plugin_api.sidecar.api_keys import require_key


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("test", static_folder=None)
    require_key(app, "first-key, second-key", "everything", ("/_attune/", "/_attune/assets/<path:name>"))
    app.url_map.merge_slashes = False
    app.url_map.add(Rule("/<path:path>", endpoint="everything"))
    app.view_functions["everything"] = lambda **_: "passed"

    def seen(**_: str) -> dict[str, str]:
        return dict(request.headers)

    own = (
        "/_attune/health",
        "/_attune/ready",
        "/_attune/metrics",
        "/_attune/",
        "/_attune/assets/<path:name>",
    )
    for rule in (*own, "/_attune/<path:path>", "/v1/rerank"):
        app.add_url_rule(rule, rule, seen)
    return app.test_client()


@pytest.mark.parametrize(
    "path",
    ["/_attune/metrics", "/_attune/anything", "/v1/rerank", "/%5Fattune/metrics", "/_attune/%6Detrics"],
)
def test_own_routes_ask_for_a_key(client: FlaskClient, path: str) -> None:
    refused = client.get(path)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert client.get(path, headers={"X-Api-Key": "third-key"}).status_code == 401
    assert client.get(path, headers={"X-Api-Key": "first-key, second-key"}).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer first-key2"}).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer "}).status_code == 401
    assert client.get(path, headers={"Authorization": "Basic first-key"}).status_code == 401
    assert client.get(path, headers={"X-Api-Key": "first-key"}).status_code == 200
    assert client.get(path, headers={"Authorization": "bearer second-key"}).status_code == 200


@pytest.mark.parametrize("path", ["/_attune/health", "/_attune/ready", "/_attune/", "/_attune/assets/a.js"])
def test_probes_and_the_page_need_none(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/shop/_search", "/_cat/indices", "/v1", "//_attune/metrics"])
def test_what_is_passed_on_needs_none(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (200, "passed")


def test_a_key_goes_no_further(client: FlaskClient) -> None:
    for headers in ({"Authorization": "Bearer first-key"}, {"X-Api-Key": "first-key"}):
        assert "first-key" not in client.get("/_attune/metrics", headers=headers).text
    mine = {"X-Api-Key": "first-key", "Authorization": "Basic c2hvcDpzZWNyZXQ="}
    shown = client.get("/_attune/metrics", headers=mine).json
    assert shown is not None
    assert shown["Authorization"] == "Basic c2hvcDpzZWNyZXQ="
    assert "X-Api-Key" not in shown


def test_no_keys_no_questions() -> None:
    app = Flask("test", static_folder=None)
    require_key(app, "", "everything")
    app.add_url_rule("/_attune/metrics", "metrics", lambda: "shown")
    assert app.test_client().get("/_attune/metrics").status_code == 200
