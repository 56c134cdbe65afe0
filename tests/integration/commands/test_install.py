"""Attune inside a real cluster, by ml-commons and neural-search: `attune install`, searches, and out again.

Where a node lacks OpenSearch's module search-pipeline-common, each page is reranked by itself.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from indexer.store.alias import AliasIndexes
from indexer.store.retry import RetryPolicy
from mappings.client import connect
from mappings.errors import InstallError
from mappings.settings import OpenSearchSettings
from plugin_api.commands.install.bodies import WINDOW_PROCESSORS
from tests.integration.stack import SIDECAR, Stack, running_stack

ML_API = "_plugins/_ml"
TEXT = {"fields": ["title^3", "brand^2", "description"], "type": "cross_fields"}

Run = Callable[..., str]


@pytest.fixture(scope="module")
def stack(images: None, catalogue: Path) -> Iterator[Stack]:
    with running_stack("2.19.1", catalogue) as stack:
        yield stack


@pytest.fixture
def run(stack: Stack) -> Run:
    """Run `attune install` against the cluster."""
    return partial(stack.run, "install")


@pytest.fixture
def installed(run: Run, stack: Stack) -> Stack:
    run("--sidecar-url", SIDECAR)
    return stack


@pytest.fixture
def clean(run: Run, stack: Stack) -> Stack:
    run("--uninstall")
    return stack


def ask(stack: Stack, method: str, path: str, body: object = None) -> Any:
    response = requests.request(method, f"{stack.direct}/{path}", json=body, timeout=120)
    assert response.status_code == 200, response.text
    return response.json()


def by_text(text: str, **more: object) -> dict[str, object]:
    return {"query": {"multi_match": {"query": text, **TEXT}}, **more}


def search(stack: Stack, text: str, pipeline: str, **more: object) -> Any:
    return ask(stack, "POST", f"products/_search{pipeline}", by_text(text, **more))


def reranked(stack: Stack, text: str, pipeline: str = "?search_pipeline=attune", **more: object) -> Any:
    """The same once the cluster has reranked it: a busy machine can be too late for a first time."""
    for _ in range(20):
        body = search(stack, text, pipeline, **more)
        if "profile" in body:  # the rerank processor leaves an empty one
            return body
    raise AssertionError(f"{text} is not reranked")


def ids(body: Any) -> list[str]:
    return [hit["_id"] for hit in body["hits"]["hits"]]


def state(stack: Stack) -> dict[str, Any]:
    """All that an installation may change."""
    pipelines = requests.get(f"{stack.direct}/_search/pipeline", timeout=120)
    everything = {"query": {"match_all": {}}, "sort": "_id", "_source": ["name"]}
    found = {
        kind: [(hit["_id"], hit["_source"]["name"]) for hit in body["hits"]["hits"]]
        for kind in ("models", "connectors")
        for body in [ask(stack, "POST", f"{ML_API}/{kind}/_search", everything)]
    }
    return {
        **found,
        "settings": ask(stack, "GET", "_cluster/settings?flat_settings=true"),
        "pipelines": pipelines.json(),  # a 404, and no error, where there are none
        "products": ask(stack, "GET", "products/_settings/index.search.*?flat_settings=true"),
    }


def cuts(stack: Stack) -> bool:
    """Whether this OpenSearch's pipelines can rerank more hits than a page has."""
    (node,) = ask(stack, "GET", "_nodes/search_pipelines")["nodes"].values()
    return {of["type"] for rows in node["search_pipelines"].values() for of in rows} >= WINDOW_PROCESSORS


@contextmanager
def pipeline(stack: Stack, name: str, body: object) -> Iterator[None]:
    ask(stack, "PUT", f"_search/pipeline/{name}", body)
    try:
        yield
    finally:
        ask(stack, "DELETE", f"_search/pipeline/{name}")


def test_a_second_installation_has_nothing_to_do(installed: Stack, run: Run) -> None:
    before = state(installed)
    assert sorted(name for _, name in before["models"]) == ["attune-rewrite", "attune-score"]
    assert run("--sidecar-url", SIDECAR) == "Installed already: nothing to change.\n"
    assert json.loads(run("--sidecar-url", SIDECAR, "--json")) == []
    assert state(installed) == before


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(clean: Stack, run: Run) -> None:
    before = state(clean)
    said = run("--sidecar-url", SIDECAR, "--default", "--dry-run", "--api-key", "sesame")
    assert state(clean) == before
    assert "would create connector attune-score to http://sidecar:8080" in said
    assert "PUT /_search/pipeline/attune" in said
    assert "sesame" not in said


def test_hits_come_in_the_order_of_the_sidecars_scores(installed: Stack) -> None:
    """The cluster's hits are what its own parts give when they are called one by one."""
    window = 100 if cuts(installed) else 0
    asked = by_text("gaming laptop", size=10)
    route = f"{installed.reranked}/_attune/cluster"
    rewritten = requests.post(f"{route}/rewrite", json={"search": asked, "window": window}, timeout=60).json()
    fusion = ask(installed, "GET", "_search/pipeline/attune")["attune"]["phase_results_processors"]
    with pipeline(installed, "fusion", {"phase_results_processors": fusion}):
        first = ask(
            installed,
            "POST",
            "products/_search?search_pipeline=fusion",
            json.loads(rewritten["request"]),
        )
    stored = [hit["_source"]["attune"] for hit in first["hits"]["hits"]]
    assert len(stored) == (window or 10)
    call = {
        "search": asked,
        "window": window,
        "tokens": [of["tokens"] for of in stored],
        "models": [of["model"] for of in stored],
    }
    scores = requests.post(f"{route}/score", json=call, timeout=60).json()["scores"]
    expected = sorted(zip(ids(first), scores, strict=True), key=lambda pair: -pair[1])[:10]

    found = reranked(installed, "gaming laptop", size=10)
    assert ids(found) == [id_ for id_, _ in expected]
    assert [hit["_score"] for hit in found["hits"]["hits"]] == pytest.approx([of for _, of in expected])
    assert not any("attune" in hit["_source"] for hit in found["hits"]["hits"])
    assert ids(found) != ids(first)[:10]


def test_more_good_products_come_first(
    installed: Stack, grades: Mapping[str, Mapping[str, int]], run: Run
) -> None:
    """Share of the first ten that people called good, over all sample queries, as in test_search."""

    def precision(ask: Callable[[str], Any]) -> float:
        good = sum(
            judged.get(product, 0) >= 2 for query, judged in grades.items() for product in ids(ask(query))
        )
        return good / (10 * len(grades))

    keyword = precision(lambda query: search(installed, query, "?search_pipeline=_none"))
    assert precision(lambda query: reranked(installed, query)) > keyword + 0.05
    run("--sidecar-url", SIDECAR, "--fusion", "rrf")
    fusion = ask(installed, "GET", "_search/pipeline/attune")["attune"]["phase_results_processors"]
    assert [*fusion[0]] == ["score-ranker-processor"]
    assert precision(lambda query: reranked(installed, query)) > keyword + 0.05


def test_pages_join_without_repeat(installed: Stack) -> None:
    pages = [ids(reranked(installed, "laptop", size=10, **{"from": start})) for start in range(0, 40, 10)]
    joined = [product for page in pages for product in page]
    assert len(set(joined)) == len(joined) == 40
    if cuts(installed):
        assert joined == ids(reranked(installed, "laptop", size=40))


def test_filters_and_aggregations_hold(installed: Stack) -> None:
    query = {"bool": {"must": [by_text("notebook")["query"]], "filter": [{"term": {"brand.keyword": "HP"}}]}}
    brands = {"brands": {"terms": {"field": "brand.keyword"}}}
    found = reranked(installed, "", query=query, aggs=brands, _source=["brand"], size=20)
    assert [hit["_source"] for hit in found["hits"]["hits"]] == [{"brand": "HP"}] * 20
    assert [bucket["key"] for bucket in found["aggregations"]["brands"]["buckets"]] == ["HP"]


def test_as_default_every_search_goes_through_it(installed: Stack, run: Run) -> None:
    assert "profile" not in search(installed, "gaming laptop", "")
    run("--sidecar-url", SIDECAR, "--default", "--alias", "products")
    assert ids(reranked(installed, "gaming laptop", "")) == ids(reranked(installed, "gaming laptop"))
    run("--uninstall")
    assert "profile" not in search(installed, "gaming laptop", "")


def test_the_default_stays_when_the_catalogue_is_indexed_anew(installed: Stack, run: Run) -> None:
    client = connect(OpenSearchSettings(url=installed.direct, timeout_seconds=120))
    for index in ("mugs-1", "mugs-2"):
        ask(installed, "PUT", index)
    aliases = AliasIndexes(client, "mugs", RetryPolicy(0))
    aliases.point_at("mugs-1")
    run("--sidecar-url", SIDECAR, "--default", "--alias", "mugs")
    aliases.point_at("mugs-2")
    held = ask(installed, "GET", "mugs/_settings/index.search.*?flat_settings=true")
    assert held == {"mugs-2": {"settings": {"index.search.default_pipeline": "attune"}}}
    run("--uninstall")
    assert ask(installed, "GET", "mugs/_settings/index.search.*?flat_settings=true") == {}
    ask(installed, "DELETE", "mugs-1,mugs-2")
    client.close()


def test_without_the_sidecar_hits_come_in_opensearchs_own_order(installed: Stack) -> None:
    own = search(installed, "gaming laptop", "?search_pipeline=_none")
    with installed.without_sidecar():
        found = search(installed, "gaming laptop", "?search_pipeline=attune")
    assert ids(found) == ids(own)
    assert found["hits"]["max_score"] == own["hits"]["max_score"]


def test_uninstalling_leaves_the_cluster_as_it_was(clean: Stack, run: Run) -> None:
    theirs = "^https://api\\.example\\.com/.*$"
    trusted = {"persistent": {"plugins.ml_commons.trusted_connector_endpoints_regex": [theirs]}}
    own_default = {"index.search.default_pipeline": "own"}
    with pipeline(clean, "own", {"description": "the shop's own"}):
        ask(clean, "PUT", "_cluster/settings", trusted)
        ask(clean, "PUT", "products/_settings", own_default)
        before = state(clean)
        run("--sidecar-url", SIDECAR, "--default", "--alias", "products")
        run("--sidecar-url", f"{SIDECAR}/", "--fusion", "rrf", "--default")
        assert state(clean)["products"] != before["products"]
        assert state(clean)["settings"] != before["settings"]
        run("--uninstall")
        assert state(clean) == before
        assert run("--uninstall") == "Nothing of Attune is installed in this cluster.\n"
        ask(clean, "PUT", "products/_settings", dict.fromkeys(own_default))
        ask(clean, "PUT", "_cluster/settings", {"persistent": dict.fromkeys(trusted["persistent"])})


def test_a_pipeline_of_somebody_elses_is_left_alone(clean: Stack, run: Run) -> None:
    with pipeline(clean, "attune", {"description": "the shop's own"}):
        before = state(clean)
        with pytest.raises(InstallError, match="that Attune did not create"):
            run("--sidecar-url", SIDECAR)
        run("--uninstall")
        assert state(clean) == before


def test_where_the_cluster_can_not_reach_the_sidecar_nothing_is_left(clean: Stack, run: Run) -> None:
    before = state(clean)
    with pytest.raises(InstallError, match="Give --sidecar-url an address"):
        run("--sidecar-url", "http://nowhere:8080", "--default")
    assert state(clean) == before
