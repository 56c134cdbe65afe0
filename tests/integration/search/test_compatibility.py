"""Every row of plugin_api/SEARCH.md, asked of OpenSearch and of the sidecar in front of it."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest
import requests

from plugin_api.search.msearch import MAX_LIST_LENGTH
from tests.integration.search.case import CHEAP, JSON, LAPTOP, NDJSON, Case, Outcome, asking
from tests.integration.search.cases import CASES, CONDITIONS
from tests.integration.search.comparison import (
    Answer,
    ask,
    differences,
    same_order,
    widen,
    without_options,
)
from tests.integration.search.world import build
from tests.integration.stack import Stack, search

T = TypeVar("T")
IN_HEADERS = {"routing", "preference", "search_type", "request_cache", "allow_partial_search_results"}
BODY = {
    "query": {"multi_match": {"query": "laptop hp usb notebook", "fields": ["title", "description"]}},
    "_source": False,
}


@dataclass(frozen=True)
class World:
    """A stack with all that the cases search in."""

    direct: str
    reranked: str
    version: str
    pit: str

    def both(self, case: Case) -> tuple[Answer, Answer]:
        """Ask a case of OpenSearch, then of the sidecar."""
        body = case.body
        if isinstance(body, dict) and "pit" in body:
            body = {**body, "pit": {"id": self.pit, "keep_alive": "5m"}}
        asked = replace(case, body=body)
        own = replace(asked, body=without_options(body))
        if case.outcome in (Outcome.WIDENED, Outcome.SORTED):
            own = widen(asked, self.reranked)
        return self.undisturbed(lambda: (ask(self.direct, own), ask(self.reranked, asked)))

    def undisturbed(self, both: Callable[[], tuple[T, T]]) -> tuple[T, T]:
        """Ask both until no shard came meanwhile: plugins make indexes when they like, seen by `/_search`."""
        for _ in range(20):
            before = self._shards()
            answers = both()
            if self._shards() == before:
                return answers
        raise AssertionError("indexes come and go all the time")

    def _shards(self) -> list[str]:
        settled = {"wait_for_no_initializing_shards": "true", "timeout": "60s"}
        requests.get(f"{self.direct}/_cluster/health", params=settled, timeout=120).raise_for_status()
        shards = requests.get(f"{self.direct}/_cat/shards?h=index,shard,state", timeout=120)
        return sorted(shards.text.splitlines())

    def allowed(self, case: Case) -> set[str] | None:
        """Ids of all that satisfies what a case's hits have to."""
        if not case.allowed:
            return None
        body = {"query": case.allowed, "size": 1000, "_source": False}
        return set(ids(search(self.direct, body, case.path.split("/")[1])))


@pytest.fixture(scope="module")
def world(stack: Stack) -> World:
    build(stack.direct)
    version = requests.get(stack.direct, timeout=120).json()["version"]["number"]
    opened = f"{stack.direct}/products/_search/point_in_time?keep_alive=10m"
    pit = requests.post(opened, timeout=120).json()["pit_id"]
    return World(stack.direct, stack.reranked, version, pit)


def ids(response: requests.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [hit["_id"] for hit in response.json()["hits"]["hits"]]


def in_list(case: Case) -> bool:
    """Whether a case can stand in an `_msearch`."""
    posted = case.method == "POST" and case.path.endswith("/_search") and case.params.keys() <= IN_HEADERS
    readable = case.parsed and case.headers == JSON and isinstance(case.body, dict)
    return posted and readable and "pit" not in case.body


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.feature)
def test_a_search_keeps_its_meaning(world: World, case: Case) -> None:
    if world.version not in case.versions:
        pytest.skip(f"not of OpenSearch {world.version}")
    direct, reranked = world.both(case)
    assert list(differences(case, direct, reranked, world.allowed(case))) == []
    if case.text:
        assert same_order(case, world.reranked, reranked.body)


def test_features_asked_for_together_keep_their_meaning(world: World) -> None:
    """Thirty searches of a few features each, drawn by chance, the same every time."""
    draw = random.Random(7)
    cases = [case for case in CASES if world.version in case.versions and can_join(case)]
    for _ in range(30):
        several = draw.sample(cases, draw.randint(2, 5))
        bodies = [case.body for case in several]
        body = {key: value for part in bodies for key, value in part.items()}  # type: ignore[attr-defined]
        is_widened = (
            several[-1].outcome is Outcome.WIDENED and not {"terminate_after", "min_score"} & body.keys()
        )
        outcome = Outcome.WIDENED if is_widened else Outcome.REORDERED
        case = Case("", " + ".join(case.feature for case in several), outcome, body)
        direct, reranked = world.both(case)
        if direct.status == reranked.status != 200:  # `collapse` with `rescore`, for one
            continue
        assert list(differences(case, direct, reranked, None)) == [], case.feature


def can_join(case: Case) -> bool:
    """Whether a case's body can be asked for together with others'."""
    sent = in_list(case) and case.path == "/products/_search" and not case.params and not case.pages
    return sent and case.outcome in (Outcome.WIDENED, Outcome.REORDERED) and "ext" not in case.body  # type: ignore[operator]


def test_each_search_of_a_list_keeps_its_meaning(world: World) -> None:
    cases = [case for case in CASES if in_list(case) and world.version in case.versions]
    assert len(cases) > 80

    is_widened = (Outcome.WIDENED, Outcome.SORTED)
    own_cases = [
        widen(case, world.reranked)
        if case.outcome in is_widened
        else replace(case, body=without_options(case.body))
        for case in cases
    ]

    def asked(base: str, own: bool) -> list[Answer]:
        lines = []
        for case in own_cases if own else cases:
            index = case.path.removesuffix("/_search").strip("/").replace("%70", "p")
            body = case.body
            lines += [json.dumps({"index": index, **case.params}), json.dumps(body)]
        most = 2 * MAX_LIST_LENGTH
        parts = [lines[start : start + most] for start in range(0, len(lines), most)]
        return [answer for part in parts for answer in listed(base, "/_msearch", part)]

    direct, through = world.undisturbed(lambda: (asked(world.direct, True), asked(world.reranked, False)))
    for case, theirs, ours in zip(cases, direct, through, strict=True):
        assert list(differences(case, theirs, ours, world.allowed(case))) == [], case.feature


@pytest.mark.parametrize("occur", ["filter", "must_not"])
def test_every_condition_binds_what_vectors_add(world: World, occur: str) -> None:
    cases = [case for case in CONDITIONS if world.version in case.versions]
    assert len(cases) > 25

    def asked(base: str, *must: object) -> list[set[str]]:
        lines = []
        for case in cases:
            query = {"bool": {"must": must, occur: case.body["query"]}}  # type: ignore[index]
            lines += [json.dumps({"index": case.path.split("/")[1]}), json.dumps(asking(query, size=500))]
        answers = listed(base, "/_msearch", lines)
        reports = {answer.body.get("ext", {}).get("attune", {}).get("rerank_status") for answer in answers}
        assert reports == ({None} if base == world.direct else {"reranked"})
        return [{hit["_id"] for hit in answer.body["hits"]["hits"]} for answer in answers]

    allowed, own = asked(world.direct), asked(world.direct, LAPTOP)
    for case, can, has, found in zip(cases, allowed, own, asked(world.reranked, LAPTOP), strict=True):
        assert has <= found <= can, case.feature


def listed(base: str, path: str, lines: list[str]) -> list[Answer]:
    """Answers to the searches of a list."""
    data = "\n".join([*lines, ""]).encode()
    reply = requests.post(f"{base}{path}", data=data, headers=NDJSON, timeout=120)
    assert reply.status_code == 200, reply.text
    answers = reply.json()["responses"]
    return [
        Answer(answer.get("status", 200), {key: answer[key] for key in answer if key != "status"}, {})
        for answer in answers
    ]


def test_each_template_of_a_list_keeps_its_meaning(world: World) -> None:
    templates: list[dict[str, Any]] = [
        {"source": {"query": {"match": {"title": "{{text}}"}}, "size": 200}, "params": {"text": "laptop"}},
        {"id": "by_text", "params": {"text": "laptop", "brand": "Targus"}},
        {"source": {"query": {"match_all": {}}, "size": 3}},
    ]
    lines = [line for template in templates for line in ("{}", json.dumps(template))]
    path = "/products/_msearch/template"
    no_text = "the query has no text to rerank by, only match_all"
    targus = {"bool": {"must": [LAPTOP], "filter": [{"term": {"brand.keyword": "Targus"}}]}}
    cases = [
        Case("", "", Outcome.WIDENED, {"query": LAPTOP, "size": 200}),
        Case("", "", Outcome.WIDENED, {"query": targus, "size": 200}),
        Case("", "", Outcome.PLAIN, {"query": {"match_all": {}}, "size": 3}, reason=no_text),
    ]
    for case, ours in zip(cases, listed(world.reranked, path, lines), strict=True):
        theirs = ask(world.direct, case if case.reason else widen(case, world.reranked))
        assert list(differences(case, theirs, replace(ours, headers={}), None)) == []


def test_parameters_in_the_url_hold_for_each_search_of_a_list(world: World) -> None:
    aggs = {"brands": {"terms": {"field": "brand.keyword"}}}
    bodies = ({"query": LAPTOP, "size": 200, "aggs": aggs}, {"query": LAPTOP, "size": 0, "aggs": aggs})
    lines = [line for body in bodies for line in ("{}", json.dumps(body))]
    path = "/products/_msearch?typed_keys=true&rest_total_hits_as_int=true&max_concurrent_searches=1"
    own = [widen(Case("", "", Outcome.WIDENED, body), world.reranked).body for body in bodies]
    own_lines = [line for body in own for line in ("{}", json.dumps(body))]
    outcomes = (Outcome.WIDENED, Outcome.SORTED)
    for outcome, theirs, ours in zip(
        outcomes, listed(world.direct, path, own_lines), listed(world.reranked, path, lines), strict=True
    ):
        assert isinstance(ours.body["hits"]["total"], int)
        case = Case("", "", outcome, reason="no hits were requested", shows=("aggregations",))
        assert list(differences(case, theirs, ours, None)) == []


UNREADABLE = [{"query": LAPTOP, "nonsense": 1}, {"query": {"nonsense": {}}}, {"query": LAPTOP, "size": "ten"}]


@pytest.mark.parametrize("unreadable", UNREADABLE, ids=["reranked", "not known", "not reranked"])
def test_for_one_unreadable_search_the_whole_list_is_refused(world: World, unreadable: object) -> None:
    searches = ({"query": LAPTOP}, {"size": 1}, unreadable)
    lines = "".join(f"{{}}\n{json.dumps(search)}\n" for search in searches)
    direct, ours = (
        requests.post(f"{base}/products/_msearch", data=lines, headers=NDJSON, timeout=120)
        for base in (world.direct, world.reranked)
    )
    assert direct.status_code == ours.status_code == 400
    assert direct.json()["error"]["type"] == ours.json()["error"]["type"]


def test_a_list_that_cannot_be_taken_apart_goes_on_as_it_came(world: World) -> None:
    lines = b'{"index": "products"}\n' + json.dumps({**BODY, "size": 1}).encode() + b"\n"
    for params, data in (({"filter_path": "responses.hits.total"}, lines), ({}, b"{}\n")):
        direct, ours = (
            requests.post(f"{base}/_msearch", data=data, params=params, headers=NDJSON, timeout=120)
            for base in (world.direct, world.reranked)
        )
        assert (direct.status_code, direct.json()) == (ours.status_code, ours.json())
        assert ours.headers["x-attune-rerank-reason"]


def test_hits_without_an_id_are_put_in_another_order(world: World) -> None:
    body = {"query": LAPTOP, "size": 200, "stored_fields": "_none_", "docvalue_fields": ["price"]}
    ours = search(world.reranked, body).json()
    direct = ask(world.direct, widen(Case("", "", Outcome.WIDENED, body), world.reranked)).body
    assert ours["ext"]["attune"]["rerank_status"] == "reranked"
    theirs, found = (
        sorted(json.dumps({**hit, "_score": 0}) for hit in answer["hits"]["hits"])
        for answer in (direct, ours)
    )
    assert theirs == found


def test_a_scroll_reads_every_hit_in_its_own_order(world: World) -> None:
    def read(base: str) -> list[str]:
        first = requests.post(
            f"{base}/products/_search?scroll=1m", json={**BODY, "size": 60}, timeout=120
        ).json()
        found = [hit["_id"] for hit in first["hits"]["hits"]]
        page, body = first["hits"]["hits"], {"scroll": "1m", "scroll_id": first["_scroll_id"]}
        while page:
            page = requests.post(f"{base}/_search/scroll", json=body, timeout=120).json()["hits"]["hits"]
            found += [hit["_id"] for hit in page]
        closed = requests.delete(f"{base}/_search/scroll", json={"scroll_id": body["scroll_id"]}, timeout=120)
        assert closed.status_code == 200
        return found

    found = read(world.reranked)
    assert len(found) == len(set(found)) > 60
    own = read(world.direct)
    assert [id_ for id_ in found if id_ in set(own)] == own
    assert len(found) == count(world.reranked, BODY["query"])


def count(base: str, query: object) -> int:
    """How many hits a query has."""
    answer = requests.post(f"{base}/products/_count", json={"query": query}, timeout=120)
    return int(answer.json()["count"])


def test_pages_after_a_point_in_time_join(world: World) -> None:
    def read(base: str) -> list[str]:
        found, after = [], {}
        while True:
            pit = {"id": world.pit, "keep_alive": "5m"}
            body = {**BODY, "size": 60, "pit": pit, "sort": [{"price": "asc"}, {"_doc": "asc"}], **after}
            page = requests.post(f"{base}/_search", json=body, timeout=120).json()["hits"]["hits"]
            if not page:
                return found
            found += [hit["_id"] for hit in page]
            after = {"search_after": page[-1]["sort"]}

    found = read(world.reranked)
    assert len(found) == len(set(found)) > 60
    assert set(read(world.direct)) <= set(found)
    assert len(found) == count(world.reranked, BODY["query"])


PAGED = {
    "vectors add hits": {**BODY, "ext": {"attune": {"window": 20}}},
    "the window of the settings": BODY,
    "filtered": {
        "query": {"bool": {"must": BODY["query"], "filter": CHEAP}},
        "_source": False,
        "ext": {"attune": {"window": 20}},
    },
    "own hits only": {**BODY, "min_score": 0.1, "ext": {"attune": {"window": 20}}},
    "the window larger than the hits": {"query": LAPTOP, "min_score": 0.1, "_source": False},
}


@pytest.mark.parametrize("name", PAGED)
def test_pages_of_any_sizes_join_to_the_whole(world: World, name: str) -> None:
    """No gap and no hit twice, wherever the pages are cut; below the window in first-stage order."""
    body = PAGED[name]
    answer = search(world.reranked, {**body, "size": 300}).json()
    assert answer["ext"]["attune"]["rerank_status"] == "reranked"
    whole = [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]
    assert len({id_ for id_, _ in whole}) == len(whole) == answer["hits"]["total"]["value"]
    window = answer["ext"]["attune"]["window"]
    direct = ids(search(world.direct, {**without_options(body), "size": 300}))  # type: ignore[dict-item]
    ranked = {id_ for id_, _ in whole[:window]}
    below = [id_ for id_, _ in whole[window:]]
    assert [id_ for id_ in below if id_ in set(direct)] == [id_ for id_ in direct if id_ not in ranked]
    assert set(below[len(set(below) & set(direct)) :]).isdisjoint(direct)  # what vectors add comes last

    cut = random.Random(name)
    joined: list[tuple[str, float]] = []
    while len(joined) < len(whole):
        size = cut.choice((1, 7, 24, 60))
        page = search(world.reranked, {**body, "from": len(joined), "size": size}).json()["hits"]
        assert page["total"] == answer["hits"]["total"]
        assert page["max_score"] == answer["hits"]["max_score"]
        assert page["hits"]
        joined += [(hit["_id"], hit["_score"]) for hit in page["hits"]]
    assert joined == whole
    assert ids(search(world.reranked, {**body, "from": len(whole), "size": 5})) == []


@pytest.mark.parametrize("options", [{"windw": 5}, {"window": 0}, {"model": "0" * 12}, 7])
def test_options_that_are_none_are_refused_in_opensearchs_shape(world: World, options: object) -> None:
    response = search(world.reranked, {"query": LAPTOP, "ext": {"attune": options}})
    assert response.status_code == response.json()["status"] == 400
    assert "ext.attune" in response.json()["error"]["reason"]
