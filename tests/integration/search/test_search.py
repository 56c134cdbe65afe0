"""The sidecar's image in front of real OpenSearch: order, filters, paging, and answers without reranking."""

import time
from collections.abc import Mapping

import pytest
import requests

from tests.integration.stack import Stack, search, text_settings

TEXT = {"fields": ["title^3", "brand^2", "description"], "type": "cross_fields"}


def by_text(text: str, **more: object) -> dict[str, object]:
    return {"query": {"multi_match": {"query": text, **TEXT}}, **more}


def ids(response: requests.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [hit["_id"] for hit in response.json()["hits"]["hits"]]


def status(response: requests.Response) -> str:
    return str(response.json()["ext"]["attune"]["rerank_status"])


def test_sidecar_is_ready_on_a_read_only_root_without_root(stack: Stack) -> None:
    container = stack.sidecar.get_wrapped_container()
    container.reload()
    assert container.attrs["HostConfig"]["ReadonlyRootfs"] is True
    assert container.attrs["State"]["Health"]["Status"] == "healthy"
    assert stack.sidecar.exec(["id", "-u"]).output == b"10001\n"
    assert stack.sidecar.exec(["touch", "/opt/attune/x"]).exit_code != 0
    assert requests.get(f"{stack.reranked}/_attune/ready", timeout=10).status_code == 200


def test_reranked_order_is_better_than_keyword_order(
    stack: Stack, grades: Mapping[str, Mapping[str, int]]
) -> None:
    """Share of the first ten that people called good, over all sample queries. A check of the plumbing:
    some of these judgements were trained on.
    """

    def precision(base: str) -> float:
        good = 0
        for query, judged in grades.items():
            good += sum(judged.get(product, 0) >= 2 for product in ids(search(base, by_text(query, size=10))))
        return good / (10 * len(grades))

    keyword, reranked = precision(stack.direct), precision(stack.reranked)
    assert reranked > keyword + 0.05


def test_response_has_opensearch_shape_with_descending_scores(stack: Stack) -> None:
    response = search(stack.reranked, by_text("gaming laptop", size=20, _source=["title", "price"]))
    assert status(response) == "reranked"
    direct = search(stack.direct, by_text("gaming laptop", size=20, _source=["title", "price"])).json()
    body = response.json()
    hits = body["hits"]["hits"]
    assert direct.keys() <= body.keys()
    assert len(hits) == 20
    scores = [hit["_score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert body["hits"]["max_score"] == scores[0]
    assert all(hit["_source"].keys() <= {"title", "price"} for hit in hits)
    assert {hit["_index"] for hit in hits} == {hit["_index"] for hit in direct["hits"]["hits"]}


def test_attunes_own_fields_stay_out_of_the_hits(stack: Stack) -> None:
    for hit in search(stack.reranked, by_text("laptop", size=50)).json()["hits"]["hits"]:
        assert "attune" not in hit["_source"]
        assert "fields" not in hit


@pytest.mark.parametrize(
    "filters",
    [
        [{"term": {"brand.keyword": "HP"}}],
        [{"range": {"price": {"gte": 100, "lt": 1000}}}],
        [{"term": {"attributes.product colour": "Black"}}, {"range": {"price": {"lt": 2000}}}],
    ],
    ids=["brand", "price", "attribute and price"],
)
def test_every_hit_satisfies_the_filters(stack: Stack, filters: list[dict[str, object]]) -> None:
    query = {"bool": {"must": [{"match": {"title": "laptop"}}], "filter": filters}}
    response = search(stack.reranked, {"query": query, "size": 100, "_source": False})
    found = set(ids(response))
    allowed = set(
        ids(search(stack.direct, {"query": {"bool": {"filter": filters}}, "size": 1000, "_source": False}))
    )
    assert status(response) == "reranked"
    assert found
    assert found <= allowed


def test_no_hit_satisfies_a_must_not(stack: Stack) -> None:
    query = {
        "bool": {"must": [{"match": {"title": "laptop"}}], "must_not": [{"term": {"brand.keyword": "HP"}}]}
    }
    hits = search(stack.reranked, {"query": query, "size": 100}).json()["hits"]["hits"]
    assert hits
    assert "HP" not in {hit["_source"]["brand"] for hit in hits}


def test_pages_join_without_gap_or_repeat_across_the_window(stack: Stack) -> None:
    with stack.another_sidecar(ATTUNE_SEARCH_WINDOW="25") as base:
        pages = [
            ids(search(base, by_text("laptop", **{"from": start, "size": 10}))) for start in range(0, 50, 10)
        ]
        joined = [product for page in pages for product in page]
        assert len(joined) == 50
        assert len(set(joined)) == 50
        assert joined == ids(search(base, by_text("laptop", size=50)))


def test_the_score_that_the_preview_page_explains_is_the_one_listed(stack: Stack) -> None:
    asked = requests.get(f"{stack.reranked}/_attune/query", params={"text": "gaming laptop"}, timeout=120)
    query = asked.json()["query"]
    options = {"verbatim": True}
    body = {"query": query, "size": 3, "ext": {"attune": options}}
    hits = search(stack.reranked, body).json()["hits"]["hits"]
    for hit in hits:
        explained = requests.post(
            f"{stack.reranked}/_attune/explain",
            json={"index": "products", "id": hit["_id"], "query": "gaming laptop", "options": options},
            timeout=120,
        ).json()
        assert explained["as_ranked"], explained
        assert explained["score"] == pytest.approx(hit["_score"], abs=1e-4)


def test_an_index_without_vectors_answers_in_first_stage_order(stack: Stack) -> None:
    bulk = ""
    for number, title in enumerate(("laptop", "laptop case for a laptop", "case")):
        bulk += f'{{"index": {{"_id": "{number}"}}}}\n{{"title": "{title}"}}\n'
    requests.post(
        f"{stack.direct}/plain/_bulk?refresh=true",
        data=bulk,
        headers={"Content-Type": "application/x-ndjson"},
        timeout=120,
    ).raise_for_status()
    body = {"query": {"match": {"title": "laptop"}}}
    response = search(stack.reranked, body, "plain")
    assert ids(response) == ids(search(stack.direct, body, "plain"))
    assert status(response) != "reranked"
    assert response.json()["ext"]["attune"]["reason"]


_STAMP = """
def own = ctx._source.attune;
own.key = own.key.decodeBase64().replace(own.model, params.model).encodeBase64();
own.model = params.model;
"""


def test_an_index_of_another_model_answers_in_first_stage_order(stack: Stack) -> None:
    (mapping,) = requests.get(f"{stack.direct}/products", timeout=120).json().values()
    index = mapping["settings"]["index"]
    settings = {"knn": True, "number_of_replicas": 0, **text_settings(index)}
    other = "0" * 12
    stamped = {**mapping["mappings"], "_meta": restamped(mapping["mappings"].get("_meta", {}), other)}
    requests.put(
        f"{stack.direct}/stale", json={"settings": {"index": settings}, "mappings": stamped}, timeout=120
    ).raise_for_status()
    requests.post(
        f"{stack.direct}/_reindex?refresh=true",
        json={
            "source": {"index": "products"},
            "dest": {"index": "stale"},
            "script": {"source": _STAMP, "params": {"model": other}},
        },
        timeout=120,
    ).raise_for_status()
    response = search(stack.reranked, by_text("laptop"), "stale")
    assert status(response) == "model_mismatch"
    assert ids(response) == ids(search(stack.direct, by_text("laptop"), "stale"))
    # With k-NN's derived source, a reindex leaves the index that was read unable to return any source.
    assert ids(search(stack.direct, by_text("laptop")))


def restamped(value: object, model: str) -> object:
    """Return index `_meta` with every model version in it changed."""
    if isinstance(value, dict):
        return {key: model if "model" in key else restamped(inner, model) for key, inner in value.items()}
    return value


def test_past_the_deadline_the_first_stage_answers(stack: Stack) -> None:
    with stack.another_sidecar(ATTUNE_SIDECAR_DEADLINE_MS="1") as base:
        response = search(base, by_text("gaming laptop"))
        assert status(response) == "timeout"
        assert ids(response) == ids(search(stack.direct, by_text("gaming laptop")))


def test_errors_of_opensearch_come_back_as_they_are(stack: Stack) -> None:
    for body, index in ((by_text("tv"), "nowhere"), ({"query": {"nonsense": {}}}, "products")):
        through, direct = search(stack.reranked, body, index), search(stack.direct, body, index)
        assert through.status_code == direct.status_code >= 400
        assert through.json()["error"]["type"] == direct.json()["error"]["type"]


def test_opensearch_out_of_reach_is_a_503_and_recovery_needs_no_restart(stack: Stack) -> None:
    with stack.without_opensearch():
        response = search(stack.reranked, by_text("tv"))
        assert response.status_code == 503
        assert response.json()["error"]["reason"]
        assert requests.get(f"{stack.reranked}/_attune/ready", timeout=120).status_code == 503
        assert requests.get(f"{stack.reranked}/_attune/health", timeout=120).status_code == 200
    for _ in range(50):
        if requests.get(f"{stack.reranked}/_attune/ready", timeout=120).status_code == 200:
            break
        time.sleep(0.2)
    assert status(search(stack.reranked, by_text("tv"))) == "reranked"
