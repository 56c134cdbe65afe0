import json
from dataclasses import replace
from typing import Any

import pytest

from mappings.settings import SearchSettings
from plugin_api.commands.install.bodies import (
    MADE_BY,
    SIDECAR_CALLS,
    WINDOW_PROCESSORS,
    InstallPlan,
    connector_body,
    model_body,
    pipeline_body,
    read_notes,
)

WANTED = InstallPlan("http://sidecar:8080", 100, SearchSettings(vector_weight=0.3))
MODELS = {"rewrite": "model-1", "score": "model-2"}


def kinds(processors: list[dict[str, Any]]) -> list[str]:
    return [kind for processor in processors for kind in processor]


@pytest.mark.parametrize("part", SIDECAR_CALLS)
def test_a_connectors_body_is_json_once_its_parameters_are_in(part: str) -> None:
    """ml-commons puts parameters in as they are: strings that are JSON, numbers, lists."""
    made = connector_body(part, WANTED)
    (action,) = made["actions"]
    given = {**made["parameters"], "search": '{"size": 1}', "tokens": '["a"]', "models": '["b"]'}
    url, body = action["url"], action["request_body"]
    for name, value in given.items():
        url, body = (text.replace(f"${{parameters.{name}}}", value) for text in (url, body))
    assert url == f"http://sidecar:8080/_attune/cluster/{part}"
    call = json.loads(body)
    assert call["search"] == {"size": 1}
    assert call["window"] == 100
    assert call.get("hybrid", True) is True
    assert "$" not in url + body


@pytest.mark.parametrize(
    "other",
    [
        replace(WANTED, sidecar_url="http://other:8080"),
        replace(WANTED, window=10),
        replace(WANTED, api_key="sesame"),
        replace(WANTED, hybrid=False),
    ],
)
def test_a_connectors_mark_tells_what_it_was_made_from(other: InstallPlan) -> None:
    marks = {connector_body("rewrite", plan)["description"] for plan in (WANTED, WANTED, other)}
    assert len(marks) == 2
    assert all(mark.startswith(MADE_BY) for mark in marks)


def test_a_key_is_the_connectors_secret_and_nowhere_else() -> None:
    keyed = connector_body("score", replace(WANTED, api_key="sesame"))
    assert keyed.pop("credential") == {"key": "sesame"}
    assert "sesame" not in json.dumps(keyed)
    assert "sesame" not in json.dumps(model_body("score", replace(WANTED, api_key="sesame"), "c"))


def test_a_model_carries_its_connectors_mark() -> None:
    model = model_body("score", WANTED, "connector-1")
    assert model["description"] == connector_body("score", WANTED)["description"]
    assert (model["connector_id"], model["function_name"]) == ("connector-1", "remote")


def test_the_pipeline_widens_scores_orders_and_cuts() -> None:
    body = pipeline_body(MODELS, WANTED, {})
    assert kinds(body["request_processors"]) == ["script", "oversample", "ml_inference"]
    assert kinds(body["response_processors"]) == ["ml_inference", "rerank", "truncate_hits"]
    assert body["request_processors"][2]["ml_inference"]["model_id"] == "model-1"
    assert body["response_processors"][0]["ml_inference"]["model_id"] == "model-2"
    steps = [step for key in ("request_processors", "response_processors") for step in body[key]]
    assert all(config["ignore_failure"] for step in steps for config in step.values())


def test_without_a_window_the_processors_that_cut_are_not_needed() -> None:
    body = pipeline_body(MODELS, replace(WANTED, window=0), {})
    assert kinds(body["request_processors"]) == ["ml_inference"]
    assert kinds(body["response_processors"]) == ["ml_inference", "rerank"]
    assert not WINDOW_PROCESSORS & {*kinds(body["request_processors"])}


def test_lists_are_fused_as_the_settings_say() -> None:
    (minmax,) = pipeline_body(MODELS, WANTED, {})["phase_results_processors"]
    fusion = minmax["normalization-processor"]
    assert fusion["combination"]["parameters"] == {"weights": [0.7, 0.3]}
    ranks = replace(WANTED, search=SearchSettings(fusion="rrf", rrf_k=20))
    (rrf,) = pipeline_body(MODELS, ranks, {})["phase_results_processors"]
    assert rrf["score-ranker-processor"]["combination"] == {"technique": "rrf", "rank_constant": 20}


@pytest.mark.parametrize("notes", [{}, {"settings": {"a": None, "b": ["^x$"]}, "indexes": {"shop-1": "own"}}])
def test_notes_come_back_from_the_description(notes: dict[str, Any]) -> None:
    assert read_notes(pipeline_body(MODELS, WANTED, notes)["description"]) == notes


@pytest.mark.parametrize(
    "description", ["", "theirs", f"{MADE_BY}. Notes for --uninstall: {{", "--uninstall: []"]
)
def test_where_there_are_no_notes_there_are_none(description: str) -> None:
    assert read_notes(description) == {}
