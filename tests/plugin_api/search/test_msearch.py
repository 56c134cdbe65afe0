import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from mappings.settings import Settings, SidecarSettings
from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.search.msearch import MAX_LIST_LENGTH
from plugin_api.sidecar.app import create_app
from tests.fakes.shop import Shop, StandInModel

MOUSE = {"query": {"match": {"title": "mouse"}}}
SORTED = {**MOUSE, "sort": ["price"]}
CHALLENGE = 'Basic realm="OpenSearch Security"'


class Locked(Shop):
    """A cluster that knows nobody, and says so in plain text, as the security plugin does."""

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        super().request(method, target, headers, body, timeout_seconds)
        kind = ("content-type", "text/plain; charset=UTF-8")
        return OpenSearchResponse(401, (kind, ("www-authenticate", CHALLENGE)), b"Unauthorized")


@pytest.mark.parametrize("searches", [[MOUSE], [MOUSE, SORTED], [SORTED, MOUSE], [SORTED]])
def test_whom_opensearch_does_not_know_gets_its_answer_for_the_whole_list(
    searches: list[Mapping[str, object]],
) -> None:
    web = create_app(Settings(), Locked(), StandInModel()).test_client()
    lines = "".join(f"{{}}\n{json.dumps(search)}\n" for search in searches)
    answer = web.post("/shop/_msearch", data=lines, content_type="application/x-ndjson")
    assert (answer.status_code, answer.data) == (401, b"Unauthorized")
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert answer.content_type == "text/plain; charset=UTF-8"


def ask_list(web: FlaskClient, searches: Sequence[Mapping[str, object]]) -> Any:
    lines = "".join(f"{{}}\n{json.dumps(search)}\n" for search in searches)
    return web.post("/shop/_msearch", data=lines, content_type="application/x-ndjson")


class Gate(Shop):
    """Answers no search of the long list before one of the short list came."""

    def __init__(self) -> None:
        super().__init__()
        self.long_came, self.short_came = threading.Event(), threading.Event()

    def request(self, method: str, target: str, headers: Any, body: bytes = b"", *rest: Any) -> Any:
        if b"long" in body:
            self.long_came.set()
            assert self.short_came.wait(20)
        elif b"short" in body:
            self.short_came.set()
        return super().request(method, target, headers, body, *rest)


def test_a_long_list_leaves_its_turn_to_another_callers_short_one() -> None:
    shop = Gate()
    shop.products = {"a": 51}
    settings = Settings(sidecar=SidecarSettings(threads=8, deadline_ms=30_000))
    app = create_app(settings, shop, StandInModel())
    long, short = (
        [{"query": {"match": {"title": f"{name} {n}"}}} for n in range(20)] for name in ("long", "short")
    )
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: ask_list(app.test_client(), long))
        assert shop.long_came.wait(20)
        answers = ask_list(app.test_client(), short[:2]).json["responses"]
        answers += waiting.result().json["responses"]
    assert [answer["ext"]["attune"]["rerank_status"] for answer in answers] == ["reranked"] * 22


def test_what_waits_past_the_deadline_gets_opensearchs_hits() -> None:
    shop = Shop()
    shop.products = {"a": 51, "b": 102}
    settings = Settings(sidecar=SidecarSettings(deadline_ms=300))
    web = create_app(settings, shop, StandInModel(encode_seconds=0.2)).test_client()
    searches = [{"query": {"match": {"title": f"mouse {n}"}}} for n in range(12)]
    answers = ask_list(web, searches).json["responses"]
    reports = [answer["ext"]["attune"] for answer in answers]
    assert [hit["_id"] for answer in answers for hit in answer["hits"]["hits"][:1]]
    assert {report.get("reason_code") for report in reports[4:]} == {"deadline"}
    assert reports[-1]["reason"] == "waiting passed the deadline of 300 ms"
    assert all(len(answer["hits"]["hits"]) == 2 for answer in answers)


def test_a_list_longer_than_is_reranked_goes_on_byte_for_byte() -> None:
    shop = Shop()
    shop.products = {"a": 51}
    model = StandInModel()
    web = create_app(Settings(), shop, model).test_client()
    answer = ask_list(web, [MOUSE] * (MAX_LIST_LENGTH + 1))
    assert answer.headers["x-attune-rerank-reason-code"] == "list_too_long"
    assert len(answer.json["responses"]) == MAX_LIST_LENGTH + 1
    assert model.texts == []
    assert [body.count(b"\n") for _, _, body in shop.sent] == [2 * (MAX_LIST_LENGTH + 1)]


def test_headers_of_single_answers_are_the_lists() -> None:
    class Cors(Shop):
        def request(self, *args: Any, **kwargs: Any) -> OpenSearchResponse:
            response = super().request(*args, **kwargs)
            allowed = ("access-control-allow-origin", "https://shop.example")
            return replace(response, headers=(*response.headers, allowed))

    shop = Cors()
    shop.products = {"a": 51}
    answer = ask_list(create_app(Settings(), shop, StandInModel()).test_client(), [MOUSE, SORTED, MOUSE])
    assert answer.headers.getlist("access-control-allow-origin") == ["https://shop.example"]
    assert not [name for name, _ in answer.headers if name.startswith("x-attune")]


def test_searches_of_a_list_have_the_same_hits_in_any_order() -> None:
    shop = Shop()
    shop.products, shop.near = {"a": 51, "b": 102}, {"c": 255, "d": 10}
    searches = [MOUSE, SORTED, {**MOUSE, "size": 0}, {**MOUSE, "ext": {"attune": {"verbatim": True}}}]
    answers = ask_list(create_app(Settings(), shop, StandInModel()).test_client(), searches).json["responses"]
    assert [answer["hits"]["total"]["value"] for answer in answers] == [3, 3, 3, 2]
    assert {answer["status"] for answer in answers} == {200}
    reports = [answer["ext"]["attune"] for answer in answers]
    assert [report.get("reason_code") for report in reports] == [None, "own_order", "no_hits_requested", None]


def test_searches_without_a_text_go_on_together() -> None:
    shop = Shop()
    shop.products, shop.near = {"a": 51, "b": 102}, {"c": 255}
    everything = {"query": {"match_all": {}}}
    web = create_app(Settings(), shop, StandInModel()).test_client()
    answers = ask_list(web, [everything, everything, {"size": 0}]).json["responses"]
    assert [answer["hits"]["total"]["value"] for answer in answers] == [2, 2, 2]
    assert [target for _, target, _ in shop.sent] == ["/shop/_msearch"]
