"""Search by picture over HTTP, before OpenSearch is asked; tests/integration has the rest."""

import base64
import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from mappings.errors import BadRequest
from mappings.settings import PictureSettings, Settings, SidecarSettings
from plugin_api.search.pictures.tower import PictureSearchTower
from plugin_api.sidecar.app import create_app
from plugin_api.sidecar.pictures import ImageRequest, make_body
from reranker.pictures.encoder import load_picture_encoder
from tests.fakes.drawings import draw_picture
from tests.fakes.shop import Shop, StandInModel

PATH = "/_attune/search/image"
RED = base64.b64encode(draw_picture()).decode()


@pytest.fixture(scope="module")
def web() -> FlaskClient:
    settings = PictureSettings(search=True, max_bytes=20_000, max_pixels=1_000_000)
    tower = PictureSearchTower(load_picture_encoder(), {}, settings)
    patient = Settings(sidecar=SidecarSettings(deadline_ms=60_000), pictures=settings)
    shop = Shop()
    shop.products = {"1": 200}
    return create_app(patient, shop, StandInModel(), pictures=tower).test_client()


def refusal(answer: Any) -> str:
    assert answer.status_code == 400
    return str(answer.json["error"]["reason"])


def test_the_search_is_the_callers_with_a_place_for_the_picture() -> None:
    search = {"size": 3, "query": {"term": {"brand": "x"}}, "ext": {"attune": {"window": 50}, "other": 1}}
    body = json.loads(make_body(ImageRequest(RED, text="in  red", search=search)))
    options = body["ext"]["attune"]
    assert (options["window"], options["query"], body["ext"]["other"], body["size"]) == (50, "in red", 1, 3)
    assert RED not in json.dumps(body)
    assert json.loads(make_body(ImageRequest(RED)))["query"] == {"match_all": {}}
    assert "dis_max" in json.loads(make_body(ImageRequest(RED, text="mug")))["query"]
    with pytest.raises(BadRequest):
        make_body(ImageRequest(RED, search={"ext": 1}))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("%%%", "not base64"),
        ("bild für dich", "not base64"),
        (base64.b64encode(b"no picture").decode(), "not a JPEG, PNG or WebP"),
        (base64.b64encode(draw_picture(kind="GIF")).decode(), "not a JPEG, PNG or WebP"),
        (base64.b64encode(bytes(30_000)).decode(), "at most 20,000"),
        (base64.b64encode(draw_picture(size=(2000, 1000))).decode(), "at most 1,000,000"),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused(web: FlaskClient, image: str, said: str) -> None:
    assert said in refusal(web.post(PATH, json={"image": image, "index": "products"}))
    small = {"ext": {"attune": {"image": image}}}
    assert said in refusal(web.post("/products/_search", json=small))


@pytest.mark.parametrize(
    "body", [{}, {"image": ""}, {"image": RED, "colour": "red"}, {"image": RED, "search": []}, [], "x"]
)
def test_malformed_requests_are_refused(web: FlaskClient, body: object) -> None:
    refusal(web.post(PATH, json=body))


def test_a_form_needs_a_file(web: FlaskClient) -> None:
    form = {"index": "products"}
    assert "no file" in refusal(web.post(PATH, data=form, content_type="multipart/form-data"))
    broken = {"image": (io.BytesIO(b"no picture"), "x.png")}
    assert "not a JPEG" in refusal(web.post(PATH, data=broken, content_type="multipart/form-data"))
    assert "multipart" in refusal(web.post(PATH, data=b"raw", content_type="image/png"))


def test_where_it_is_off_the_answer_says_how_to_turn_it_on() -> None:
    web = create_app(Settings(), Shop(), StandInModel()).test_client()
    assert "pictures.search" in refusal(web.post(PATH, json={"image": RED, "index": "products"}))


def test_explaining_a_hit_of_a_picture_needs_the_tower_too(web: FlaskClient) -> None:
    body = {"index": "products", "id": "1", "query": "", "options": {"image": RED}}
    off = create_app(Settings(), Shop(), StandInModel()).test_client()
    assert "pictures.search" in refusal(off.post("/_attune/explain", json=body))
    body["options"] = {"image": base64.b64encode(b"no picture").decode()}
    assert "not a JPEG" in refusal(web.post("/_attune/explain", json=body))


def test_without_words_no_other_products_stand_in_for_those_of_the_picture(web: FlaskClient) -> None:
    # This tower has no way to texts, and the index no pictures.
    answer = web.post(PATH, json={"image": RED, "index": "products"})
    assert answer.status_code == 503
    assert "no pictures" in answer.json["error"]["reason"]
    worded = web.post(PATH, json={"image": RED, "index": "products", "text": "mouse"})
    assert worded.status_code == 200
    assert worded.json["ext"]["attune"]["reason_code"] == "no_pictures"
    assert worded.json["hits"]["hits"]
