"""Every reason is given by some search, with its code and its status, and is documented."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from mappings.errors import ClusterDown
from mappings.settings import SearchSettings, Settings, SidecarSettings
from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.search.memory.circuit_breaker import FAILURES_TO_OPEN
from plugin_api.search.msearch import MAX_LIST_LENGTH
from plugin_api.search.reasons import Reason
from plugin_api.sidecar.app import create_app
from tests.fakes.shop import Shop, StandInModel

MOUSE = {"match": {"title": "mouse"}}
PAGE = Path(__file__).parents[3] / "plugin_api/SEARCH.md"
STRINGS = Path(__file__).parents[3] / "plugin_api/sidecar/preview/static/strings.js"

Refusal = tuple[int, dict[str, Any]]


def error(status: int) -> Refusal:
    return status, {"error": {"type": "fault_exception", "reason": "as told"}, "status": status}


class Broken(StandInModel):
    """Scores nothing, by an error of the given kind."""

    def __init__(self, kind: type[Exception]) -> None:
        super().__init__()
        self._kind = kind

    def score_raw(self, *_: object) -> Any:
        raise self._kind("the scorer broke")


class Down(Shop):
    """A cluster that answers the caller's own search, and breaks the connection for all others."""

    def request(self, method: str, target: str, *args: Any, **kwargs: Any) -> OpenSearchResponse:
        if "_msearch" in target:
            raise ClusterDown("OpenSearch broke the connection")
        return super().request(method, target, *args, **kwargs)


def ask(
    shop: Shop | None = None,
    model: StandInModel | None = None,
    sidecar: SidecarSettings | None = None,
    search: SearchSettings | None = None,
    path: str = "/shop/_search",
    data: object = None,
    times: int = 1,
    headers: Mapping[str, str] | None = None,
    **body: object,
) -> Any:
    """Search through the sidecar; return the last answer's headers."""
    shop = shop or Shop()
    shop.products, shop.near = {"a": 51, "b": 102}, {"c": 255}
    settings = Settings(
        search=search or SearchSettings(window=10), sidecar=sidecar or SidecarSettings(deadline_ms=4000)
    )
    web: FlaskClient = create_app(settings, shop, model or StandInModel()).test_client()
    text = data if data is not None else json.dumps({"query": MOUSE, **body})
    kind = "application/x-ndjson" if "_msearch" in path else "application/json"
    for _ in range(times):
        answer = web.post(path, data=text, headers={"content-type": kind, **(headers or {})})
    return answer.headers


def shop(**attributes: object) -> Shop:
    made = Shop()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def busy() -> Any:
    return ask(sidecar=SidecarSettings(deadline_ms=4000, max_concurrent_reranks=0))


SHORT = SidecarSettings(deadline_ms=200)

DEEP: dict[str, Any] = MOUSE
for _ in range(60):
    DEEP = {"bool": {"must": [DEEP]}}

SEARCHES: Mapping[Reason, Callable[[], Any]] = {
    Reason.NOT_REQUESTED: lambda: ask(ext={"attune": {"rerank": False}}),
    Reason.NO_HITS_REQUESTED: lambda: ask(size=0),
    Reason.OWN_ORDER: lambda: ask(sort=["price"]),
    Reason.SCROLL: lambda: ask(path="/shop/_search?scroll=1m"),
    Reason.POINT_IN_TIME: lambda: ask(pit={"id": "x"}),
    Reason.FILTER_PATH: lambda: ask(path="/shop/_search?filter_path=hits"),
    Reason.OTHER_FORMAT: lambda: ask(path="/shop/_search?format=yaml"),
    Reason.COUNT: lambda: ask(path="/shop/_count"),
    Reason.HITS_WITHOUT_ID: lambda: ask(shop(not_attunes={"a"}), stored_fields="_none_"),
    Reason.ORDER_KEPT: lambda: ask(search=SearchSettings(window=10, keep_order="head")),
    Reason.NO_TEXT: lambda: ask(query={"match_all": {}}),
    Reason.UNSUPPORTED_QUERY: lambda: ask(query={"template": {}}),
    Reason.MALFORMED_QUERY: lambda: ask(query={"match": {}, "term": {}}),
    Reason.NESTED_TOO_DEEP: lambda: ask(query=DEEP),
    Reason.INVALID_PAGE: lambda: ask(**{"from": -1}),
    Reason.NOT_JSON: lambda: ask(headers={"content-type": "text/plain"}),
    Reason.UNREADABLE_BODY: lambda: ask(data=b"{"),
    Reason.BODY_TOO_LARGE: lambda: ask(data=b"x", headers={"content-encoding": "br"}),
    Reason.UNREADABLE_LIST: lambda: ask(path="/_msearch", data=b"{}\n"),
    Reason.LIST_TOO_LONG: lambda: ask(path="/_msearch", data=b"{}\n{}\n" * (MAX_LIST_LENGTH + 1)),
    Reason.TEMPLATE_NOT_RENDERED: lambda: ask(path="/shop/_search/template", data=b"{}"),
    Reason.UNKNOWN_WORDS: lambda: ask(query={"match": {"title": "苹果手机"}}),
    Reason.BUSY: busy,
    Reason.DEADLINE: lambda: ask(
        model=StandInModel(score_seconds=0.5), sidecar=SidecarSettings(deadline_ms=200)
    ),
    Reason.OPENSEARCH_LATE: lambda: ask(shop(slow_seconds=0.5), sidecar=SidecarSettings(deadline_ms=200)),
    Reason.CIRCUIT_OPEN: lambda: ask(shop(refuse={"near": error(400)}), times=FAILURES_TO_OPEN + 1),
    Reason.MODEL_MISMATCH: lambda: ask(shop(models={"a": "ffffffffffff"})),
    Reason.NOT_INDEXED: lambda: ask(shop(without_tokens=set("abc"))),
    Reason.KNN_FAILED: lambda: ask(shop(refuse={"near": error(400)})),
    Reason.SEARCH_REFUSED: lambda: ask(shop(refuse={"msearch": error(400)})),
    Reason.OPENSEARCH_ERROR: lambda: ask(shop(refuse={"msearch": error(503)})),
    Reason.OPENSEARCH_DOWN: lambda: ask(Down()),
    Reason.MODEL_ERROR: lambda: ask(query={"match": {"title": "unreadable"}}),
    Reason.INTERNAL_ERROR: lambda: ask(model=Broken(ZeroDivisionError)),
}
"""Reason → a search that gives it. Those of a header line and of pictures have tests of their own."""


@pytest.mark.parametrize("reason", SEARCHES)
def test_each_reason_is_given_with_its_code_and_status(reason: Reason) -> None:
    headers = SEARCHES[reason]()
    assert headers["x-attune-rerank-reason-code"] == reason.value
    assert headers["x-attune-rerank-status"] == reason.status.value
    assert headers["x-attune-rerank-reason"]


def test_a_header_of_a_search_in_a_list_that_is_not_supported() -> None:
    web = create_app(Settings(), Shop(), StandInModel()).test_client()
    lines = b'{"unknown": 1}\n' + json.dumps({"query": MOUSE}).encode() + b"\n"
    answer = web.post("/shop/_msearch", data=lines, content_type="application/x-ndjson")
    assert answer.json["responses"][0]["ext"]["attune"]["reason_code"] == "unsupported_header"


def test_there_is_a_test_for_every_reason() -> None:
    elsewhere = {Reason.UNSUPPORTED_HEADER, Reason.NO_PICTURES}  # tests/plugin_api/sidecar/test_pictures.py
    assert set(SEARCHES) | elsewhere == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_documented_and_shown_on_the_page(reason: Reason) -> None:
    assert f"| `{reason.value}` | `{reason.status.value}` |" in PAGE.read_text(encoding="utf-8")
    strings = STRINGS.read_text(encoding="utf-8")
    assert len(re.findall(rf"^    reason_{reason.value}: \"", strings, re.MULTILINE)) == 2
