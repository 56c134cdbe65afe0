import pytest
from flask.testing import FlaskClient

from mappings.settings import Settings
from plugin_api.sidecar.app import create_app
from reranker import load_model
from tests.fakes.shop import Shop
from tests.plugin_api.search.test_understanding import VOCABULARY


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.mapping = {"shop-1": {"mappings": {"_meta": {"attune": {"vocabulary": VOCABULARY}}}}}
    return shop


@pytest.fixture
def client(shop: Shop) -> FlaskClient:
    return create_app(Settings(), shop, load_model()).test_client()


def test_what_a_text_demands_is_told(client: FlaskClient) -> None:
    answer = client.post("/_attune/understand", json={"text": "27\u2033 monitor over 100", "index": "shop"})
    assert answer.status_code == 200
    found = answer.get_json()
    assert found["core"] == '27" monitor'
    assert [demand["kind"] for demand in found["demands"]] == ["measure", "type", "price"]
    assert found["demands"][2]["low"] == 100
    assert found["demands"][2]["high"] is None


def test_an_index_without_a_vocabulary_is_said(client: FlaskClient, shop: Shop) -> None:
    shop.mapping = {}
    answer = client.post("/_attune/understand", json={"text": "monitor", "index": "shop"})
    assert answer.status_code == 404
    assert "attune index" in answer.get_json()["error"]["reason"]


@pytest.mark.parametrize(
    "body", [{}, {"text": 5, "index": "shop"}, {"text": "a"}, {"text": "a", "index": ""}]
)
def test_a_broken_request_is_refused(client: FlaskClient, body: object) -> None:
    assert client.post("/_attune/understand", json=body).status_code == 400
