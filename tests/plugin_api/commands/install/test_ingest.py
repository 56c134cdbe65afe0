import json
from dataclasses import replace
from typing import Any

import pytest

from indexer.attach.attachment import Attachment
from indexer.catalogue.field_map import FieldMap
from mappings.errors import InstallError
from mappings.settings import SearchSettings
from plugin_api.commands.install.bodies import InstallPlan, connector_body, ingest_body
from plugin_api.commands.install.cluster import Cluster, Step
from plugin_api.commands.install.ingest import check_ingest_requirements, install_ingest
from plugin_api.commands.install.installer import install_pipeline
from plugin_api.commands.install.uninstaller import uninstall
from tests.fakes.ml_cluster import MlCluster, ml_cluster

WANTED = InstallPlan("http://sidecar:8080", 0, SearchSettings())
FINAL = "index.final_pipeline"
MAP = FieldMap(id="_id", title=("name.de",), description=("body", "it's"))
ATTACHMENT = Attachment("0123456789ab", 256, "byte", MAP)
PREDICT = "POST /_plugins/_ml/models/.*/_predict"


def made(dry: bool = False) -> tuple[Cluster, MlCluster, list[Step]]:
    """A cluster whose indexes of `shop` are attached."""
    client, there = ml_cluster()
    there.indexes = {"shop-1": {}, "shop-2": {}, "other": {}}
    attached = {"_meta": {"attune": {"attached": ATTACHMENT.as_json()}}}
    there.mappings = {"shop-1": attached, "shop-2": attached}
    steps: list[Step] = []
    return (
        Cluster(client, steps.append, dry, sleep=lambda _: None, resolve=lambda _: ["10.0.0.1"]),
        there,
        steps,
    )


def processors(there: MlCluster, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = there.ingest_pipelines[name]["processors"]
    return found


def test_the_connectors_body_is_json_once_its_parameters_are_in() -> None:
    connector = connector_body("encode", WANTED)
    pipeline = ingest_body("model-1", ATTACHMENT, "", {"settings": {}, "indexes": {}})
    config = pipeline["processors"][0]["ml_inference"]
    assert config["input_map"] == [{"document": "$"}]
    given = {**config["model_config"], "document": json.dumps({"_id": "7", "name": "x"})}
    body = connector["actions"][0]["request_body"]
    for name, value in given.items():
        body = body.replace(f"${{parameters.{name}}}", value)
    assert json.loads(body) == {
        "document": {"_id": "7", "name": "x"},
        "fields": {"id": "_id", "title": "name.de", "description": ["body", "it's"]},
        "model": "0123456789ab",
        "vectors": "byte",
    }


def test_documents_without_a_text_are_left_alone() -> None:
    pipeline = ingest_body("model-1", ATTACHMENT, "", {"settings": {}, "indexes": {}})
    condition = pipeline["processors"][0]["ml_inference"]["if"]
    assert condition.split(" || ") == [
        "ctx.containsKey('name')",
        "ctx.containsKey('name.de')",
        "ctx.containsKey('body')",
        r"ctx.containsKey('it\'s')",
    ]


def test_every_index_gets_a_pipeline_and_uninstalling_restores_all() -> None:
    cluster, there, steps = made()
    there.indexes["shop-2"] = {FINAL: "own"}
    before = there.state
    install_ingest(cluster, WANTED, "shop")
    assert there.indexes == {
        "shop-1": {FINAL: "attune-shop-1"},
        "shop-2": {FINAL: "attune-shop-2"},
        "other": {},
    }
    assert [[*step] for step in processors(there, "attune-shop-1")] == [["ml_inference"]]
    assert processors(there, "attune-shop-2")[0] == {"pipeline": {"name": "own"}}
    assert all(step["ml_inference"]["ignore_failure"] for step in processors(there, "attune-shop-2")[1:])
    state = there.state
    steps.clear()
    install_ingest(cluster, WANTED, "shop")
    assert not steps
    assert there.state == state
    uninstall(cluster)
    assert there.state == before


def test_another_address_is_that_of_every_pipeline() -> None:
    cluster, there, _ = made()
    install_ingest(cluster, WANTED, "shop-1")
    install_ingest(cluster, replace(WANTED, sidecar_url="http://other:8080"), "shop-2")
    (model,) = there.models
    assert all(model in json.dumps(pipeline) for pipeline in there.ingest_pipelines.values())
    uninstall(cluster)
    assert not there.ingest_pipelines
    assert not there.settings


def test_beside_reranking_settings_are_restored_at_the_end() -> None:
    for first, second in ((install_ingest, install_pipeline), (install_pipeline, install_ingest)):
        cluster, there, _ = made()
        before = there.state
        first(cluster, WANTED, "shop")
        second(cluster, replace(WANTED, sidecar_url="http://other:8080"), "shop")
        assert len(there.models) == 3
        uninstall(cluster)
        assert there.state == before


@pytest.mark.parametrize(
    "refused", ["POST /_plugins/_ml/connectors/_create", PREDICT, "PUT /_ingest/.*", "PUT /shop-2/_settings"]
)
def test_a_step_that_fails_takes_back_those_before(refused: str) -> None:
    cluster, there, _ = made()
    there.indexes["shop-1"] = {FINAL: "own"}
    before = there.state
    there.refuse = {refused: [(400, {"error": {"type": "x", "reason": "not today"}})]}
    with pytest.raises(InstallError, match="not today"):
        install_ingest(cluster, WANTED, "shop")
    assert there.state == before


def test_the_answer_for_a_document_without_text_says_that_the_sidecar_is_reached() -> None:
    cluster, there, _ = made()
    there.refuse = {PREDICT: [(500, {"error": {"reason": 'remote: {"type": "no_text_exception"}'}})]}
    install_ingest(cluster, WANTED, "shop-1")
    assert there.indexes["shop-1"] == {FINAL: "attune-shop-1"}


def test_a_dry_run_tells_the_same_steps_and_takes_none() -> None:
    wet, dry = made(), made(dry=True)
    install_ingest(wet[0], WANTED, "shop")
    before = dry[1].state
    install_ingest(dry[0], WANTED, "shop")
    assert [step.does for step in dry[2]] == [step.does for step in wet[2]]
    assert dry[1].state == before


def test_what_can_not_be_is_said_before_anything_is_done() -> None:
    cluster, there, steps = made()
    with pytest.raises(InstallError, match=r"index other is not attached.*`attune attach other`"):
        install_ingest(cluster, WANTED, "other")
    with pytest.raises(InstallError, match=r"nowhere; there are: .*shop-1.*Name the one"):
        install_ingest(cluster, WANTED, "nowhere")
    there.ingest_pipelines["attune-shop-1"] = {"description": "theirs", "processors": []}
    with pytest.raises(InstallError, match="pipeline attune-shop-1 that Attune did not create"):
        install_ingest(cluster, WANTED, "shop")
    uninstall(cluster)
    assert not steps
    there.ingest_processors.remove("ml_inference")
    with pytest.raises(InstallError, match=r"lacks the ingest processors ml_inference.*`attune follow`"):
        check_ingest_requirements(cluster)
