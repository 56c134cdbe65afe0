"""Search by speech over HTTP, with a stand-in for the speech model."""

import base64
import io
import json
from importlib.util import find_spec
from typing import Any

import pytest
from flask.testing import FlaskClient

from mappings.errors import BadRequest
from mappings.settings import Settings, SidecarSettings, SpeechSettings
from plugin_api.sidecar.app import create_app
from plugin_api.sidecar.speech import AudioRequest, make_spoken_body
from tests.fakes.listener import Listener, record
from tests.fakes.shop import Shop, StandInModel

needs_av = pytest.mark.skipif(find_spec("av") is None, reason="needs pip install 'attune[speech]'")

PATH = "/_attune/search/audio"


def open_web(text: str = "wireless mouse", shop: Shop | None = None) -> tuple[FlaskClient, Listener]:
    shop = shop or Shop()
    shop.products = {"1": 200, "2": 100}
    listener = Listener(text)
    settings = Settings(
        sidecar=SidecarSettings(deadline_ms=60_000),
        speech=SpeechSettings(search=True, max_bytes=100_000, max_seconds=4),
    )
    return create_app(settings, shop, StandInModel(), transcriber=listener).test_client(), listener


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def refusal(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status
    return str(answer.json["error"]["reason"])


@needs_av
def test_what_was_heard_is_searched_for_and_said() -> None:
    web, listener = open_web()
    answer = web.post(PATH, json={"audio": encoded(record(2.0)), "index": "products"})
    assert answer.status_code == 200
    said = answer.json["ext"]["attune"]
    assert (said["heard"], said["language"], said["rerank_status"]) == ("wireless mouse", "en", "reranked")
    assert [hit["_id"] for hit in answer.json["hits"]["hits"]] == ["1", "2"]
    assert listener.seconds == pytest.approx(2.0, abs=0.1)
    assert "heard_uncorrected" not in said


@needs_av
def test_a_correction_is_searched_for_and_said_beside_what_was_heard() -> None:
    web, listener = open_web()
    listener.uncorrected = "wire list mouse"
    said = web.post(PATH, json={"audio": encoded(record()), "index": "products"}).json["ext"]["attune"]
    assert (said["heard"], said["heard_uncorrected"]) == ("wireless mouse", "wire list mouse")


@needs_av
def test_a_form_says_the_same() -> None:
    web, _ = open_web()
    form = {"audio": (io.BytesIO(record()), "query.wav"), "index": "products", "search": '{"size": 1}'}
    answer = web.post(PATH, data=form, content_type="multipart/form-data")
    assert answer.json["ext"]["attune"]["heard"] == "wireless mouse"
    assert len(answer.json["hits"]["hits"]) == 1


def test_the_search_is_the_callers_with_the_text() -> None:
    body = json.loads(
        make_spoken_body(AudioRequest("x", search={"size": 3, "query": {"match_all": {}}}), "mug")
    )
    assert body == {"size": 3, "query": {"match_all": {}}, "ext": {"attune": {"query": "mug"}}}
    assert "dis_max" in json.loads(make_spoken_body(AudioRequest("x"), "mug"))["query"]
    with pytest.raises(BadRequest):
        make_spoken_body(AudioRequest("x", search={"ext": {"attune": []}}), "mug")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no recording", "not a WAV"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "not a WAV"),
        pytest.param(b"RIFF broken", "can't be read", marks=needs_av),
        pytest.param(record(0.5, level=0), "empty", marks=needs_av),
        pytest.param(record(5.0), "more than 4 s", marks=needs_av),
        pytest.param(record(30_000, rate=1), "more than 4 s", marks=needs_av),
        (record(7.0), "at most 100,000"),
        pytest.param(b"OggS" + bytes(200), "can't be read", marks=needs_av),
    ],
    ids=["text", "playlist", "broken", "silent", "long", "one-sample-a-second", "large", "broken-ogg"],
)
def test_what_is_no_recording_or_too_much_is_refused(data: bytes, said: str) -> None:
    web, _ = open_web()
    assert said in refusal(web.post(PATH, json={"audio": encoded(data), "index": "products"}))


@pytest.mark.parametrize("body", [{}, {"audio": ""}, {"audio": "%%"}, {"audio": "aa", "text": "x"}, []])
def test_malformed_requests_are_refused(body: object) -> None:
    web, _ = open_web()
    refusal(web.post(PATH, json=body))
    assert "no file" in refusal(web.post(PATH, data={"index": "x"}, content_type="multipart/form-data"))


@needs_av
def test_nothing_understood_is_said_and_nothing_searched_for() -> None:
    shop = Shop()
    web, _ = open_web("", shop)
    assert "nothing was understood" in refusal(
        web.post(PATH, json={"audio": encoded(record()), "index": "products"}), 422
    )
    assert not any(request[0].endswith("_msearch") for request in shop.requests)


def test_where_it_is_off_the_answer_says_what_to_install() -> None:
    web = create_app(Settings(), Shop(), StandInModel()).test_client()
    reason = refusal(web.post(PATH, json={"audio": encoded(record()), "index": "products"}))
    assert "attune[speech]" in reason
    assert "speech.search" in reason
