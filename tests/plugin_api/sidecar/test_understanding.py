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


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("notebook", "type", "notebook"),
        ("notebook 16gb ram", "measure", "16gb"),
        ("monitor 68.6 cm", "measure", "68.6 cm"),
        ("toner for HL 2140", "model", "HL 2140"),
        ("gray mouse", "colour", "gray"),
        ("leather case", "material", "leather"),
        ("case for women", "gender", "women"),
        ("kids mouse", "age", "kids"),
        ("xl case", "size", "xl"),
        ("notebook i7", "value", "i7"),
        ("notebook with touchscreen", "feature", "touchscreen"),
        ("mouse between 20 and 40 euro", "price", "between 20 and 40 euro"),
        ("mouse over £50", "price", "over £50"),
        ("mouse £20 or less", "price", "£20 or less"),
        ("cheap mouse", "price", "cheap"),
        ("mouse without cable", "absence", "without cable"),
        ("mouse ohne kabel", "absence", "ohne kabel"),
        ("mouse sin cable", "absence", "sin cable"),
        ("mouse not black", "absence", "not black"),
        ("sugar-free toner", "absence", "sugar-free"),
        ("sugarless toner", "absence", "sugarless"),
        ("鼠标 不要线", "absence", "不要线"),
    ],
)
def test_each_kind_of_demand_is_told(client: FlaskClient, text: str, kind: str, said: str) -> None:
    answer = client.post("/_attune/understand", json={"text": text, "index": "shop"}).get_json()
    spans = [(demand["kind"], demand["span"]) for demand in answer["demands"]]
    assert (kind, said) in {(name, answer["text"][span["start"] : span["end"]]) for name, span in spans}


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("tonercartridge", "toner cartridge"),
        ("note book", "notebook"),
        ("notebok", "notebook"),
        ("mouse", ""),
    ],
)
def test_what_was_corrected_is_told(client: FlaskClient, text: str, changed: str) -> None:
    answer = client.post("/_attune/understand", json={"text": text, "index": "shop"}).get_json()
    assert [each["corrected"] for each in answer.get("corrections", [])] == ([changed] if changed else [])


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
