from dataclasses import replace

import pytest

from mappings.errors import InstallError
from mappings.settings import SearchSettings
from plugin_api.commands.install.bodies import PIPELINE_NAME, InstallPlan, read_notes
from plugin_api.commands.install.cluster import Cluster, Step
from plugin_api.commands.install.cluster_settings import ONLY_ML_NODES, PRIVATE_ADDRESSES, TRUSTED_ADDRESSES
from plugin_api.commands.install.installer import (
    can_rerank_windows,
    check_requirements,
    find_roles_without_hybrid,
    install_pipeline,
)
from plugin_api.commands.install.uninstaller import uninstall
from tests.fakes.ml_cluster import DEFAULTS, MlCluster, ml_cluster

WANTED = InstallPlan("http://sidecar:8080", 100, SearchSettings())
PREDICT = "POST /_plugins/_ml/models/.*/_predict"
DEFAULT = "index.search.default_pipeline"
PUBLIC_HOST, PUBLIC_ADDRESS = "sidecar.example.com", "8.8.8.8"


def resolve(name: str) -> list[str]:
    if name != PUBLIC_HOST:
        raise OSError(f"{name} is not known on this machine")
    return [PUBLIC_ADDRESS]


def made(dry: bool = False) -> tuple[Cluster, MlCluster, list[Step]]:
    client, there = ml_cluster()
    steps: list[Step] = []
    return Cluster(client, steps.append, dry, sleep=lambda _: None, resolve=resolve), there, steps


def test_it_is_installed_in_order_and_once() -> None:
    cluster, there, steps = made()
    install_pipeline(cluster, WANTED, "shop")
    assert [step.does.split(" to ")[0] for step in steps] == [
        f"set {ONLY_ML_NODES}",
        f"set {PRIVATE_ADDRESSES}",
        f"set {TRUSTED_ADDRESSES}",
        "create connector attune-rewrite",
        "register and deploy remote model attune-rewrite",
        "create connector attune-score",
        "register and deploy remote model attune-score",
        "create search pipeline attune",
        "let searches of shop-1 go through pipeline attune",
    ]
    assert there.indexes == {"shop-1": {DEFAULT: PIPELINE_NAME}, "other": {}}
    before = there.state
    steps.clear()
    install_pipeline(cluster, WANTED, "shop")
    assert not steps
    assert there.state == before


def test_a_dry_run_tells_the_same_steps_and_takes_none() -> None:
    wet, dry = made(), made(dry=True)
    install_pipeline(wet[0], WANTED, "shop")
    before = dry[1].state
    install_pipeline(dry[0], WANTED, "shop")
    assert [step.does for step in dry[2]] == [step.does for step in wet[2]]
    assert dry[1].state == before
    assert not dry[1].changes


def test_uninstalling_leaves_all_as_it_was() -> None:
    cluster, there, steps = made()
    there.settings = {PRIVATE_ADDRESSES: "false", TRUSTED_ADDRESSES: ["^https://api\\.example\\.com/.*$"]}
    there.indexes["shop-1"] = {DEFAULT: "own"}
    there.pipelines["own"] = {"description": "the shop's own"}
    before = there.state
    install_pipeline(cluster, WANTED, "shop")
    install_pipeline(cluster, replace(WANTED, sidecar_url="https://other:8443", window=0), "shop")
    assert len(there.models) == len(there.connectors) == 2
    uninstall(cluster)
    assert there.state == before
    steps.clear()
    uninstall(cluster)
    assert not steps


def test_what_others_set_meanwhile_stays() -> None:
    cluster, there, _ = made()
    install_pipeline(cluster, WANTED, "shop")
    there.settings[ONLY_ML_NODES] = "true"
    there.settings[TRUSTED_ADDRESSES].append("^https://theirs/.*$")
    there.indexes["shop-1"][DEFAULT] = "theirs"
    there.indexes["other"][DEFAULT] = PIPELINE_NAME
    uninstall(cluster)
    assert there.settings == {
        ONLY_ML_NODES: "true",
        TRUSTED_ADDRESSES: [*DEFAULTS[TRUSTED_ADDRESSES], "^https://theirs/.*$"],  # type: ignore[misc]  # a list
    }
    assert there.indexes == {"shop-1": {DEFAULT: "theirs"}, "other": {}}


def test_settings_that_suffice_stay() -> None:
    cluster, there, steps = made()
    there.roles = ["data", "ml"]
    there.settings = {TRUSTED_ADDRESSES: ["^https://sidecar\\.example\\.com/.*$", "(?<java>"]}
    install_pipeline(cluster, replace(WANTED, sidecar_url=f"https://{PUBLIC_HOST}"))
    assert not {TRUSTED_ADDRESSES, ONLY_ML_NODES, PRIVATE_ADDRESSES} & {
        name for step in steps for name in step.does.split()
    }


@pytest.mark.parametrize(
    "refused",
    [
        "POST /_plugins/_ml/connectors/_create",
        "POST /_plugins/_ml/models/_register",
        PREDICT,
        "PUT /_search/pipeline/attune",
        "PUT /shop-1/_settings",
    ],
)
@pytest.mark.parametrize("earlier", [None, replace(WANTED, window=50)], ids=["new", "changed"])
def test_a_step_that_fails_takes_back_those_before(refused: str, earlier: InstallPlan | None) -> None:
    cluster, there, _ = made()
    if earlier:
        install_pipeline(cluster, earlier)
    else:
        there.settings = {PRIVATE_ADDRESSES: "false"}
    before = there.state
    answer = {"error": {"type": "x", "reason": "not today"}}
    there.refuse = {refused: [(400, answer)]}
    with pytest.raises(InstallError, match="not today"):
        install_pipeline(cluster, WANTED, "shop")
    assert there.state == before


def test_another_window_replaces_connectors_and_models() -> None:
    cluster, there, steps = made()
    install_pipeline(cluster, WANTED)
    old = {*there.models, *there.connectors}
    steps.clear()
    install_pipeline(cluster, replace(WANTED, window=20))
    assert len(there.models) == len(there.connectors) == 2
    assert not old & {*there.models, *there.connectors}
    models = {model for model in there.models if model in str(there.pipelines[PIPELINE_NAME])}
    assert models == set(there.models)
    assert [step.does.split()[0] for step in steps[-4:]] == ["delete"] * 4


def test_only_the_rewriting_part_is_made_anew_where_vectors_are_to_add_no_hits() -> None:
    cluster, there, _ = made()
    install_pipeline(cluster, WANTED)
    before = set(there.models)
    install_pipeline(cluster, replace(WANTED, hybrid=False))
    assert len(before & set(there.models)) == 1


def test_somebody_elses_pipeline_connectors_and_models_stay() -> None:
    cluster, there, steps = made()
    there.made = 1
    there.pipelines[PIPELINE_NAME] = {"description": "the shop's own"}
    there.connectors["c"] = {"name": "attune-score", "description": "theirs"}
    there.models["m"] = {"name": "attune-score", "description": "theirs", "connector_id": "c"}
    with pytest.raises(InstallError, match="that Attune did not create"):
        install_pipeline(cluster, WANTED)
    uninstall(cluster)
    assert not steps
    del there.pipelines[PIPELINE_NAME]
    install_pipeline(cluster, WANTED)
    uninstall(cluster)
    assert set(there.models) | set(there.connectors) == {"c", "m"}


def test_an_alias_that_is_not_there_is_an_error_before_anything_is_done() -> None:
    cluster, there, steps = made()
    with pytest.raises(InstallError, match=r"there are: other, shop-1.*attune index FILE --alias nowhere"):
        install_pipeline(cluster, WANTED, "nowhere")
    assert not steps
    assert not there.changes


def test_what_ml_commons_needs_time_for_is_asked_again() -> None:
    cluster, there, _ = made()
    starting = (503, {"error": {"reason": "No shard available for [get [.plugins-ml-config]]"}})
    deploying = (400, {"error": {"reason": "Model not ready yet"}})
    there.refuse = {"POST /_plugins/_ml/connectors/_create": [starting, starting], PREDICT: [deploying]}
    install_pipeline(cluster, WANTED)
    undeploying = (400, {"error": {"reason": "cannot be deleted while deployed: undeploy it first"}})
    used = (409, {"error": {"reason": "1 models are still using this connector"}})
    there.refuse = {
        "DELETE /_plugins/_ml/models/.*": [undeploying],
        "DELETE /_plugins/_ml/connectors/.*": [used],
    }
    uninstall(cluster)
    assert not there.models
    assert not there.connectors


def test_where_a_step_can_not_be_taken_back_both_reasons_are_told() -> None:
    cluster, there, _ = made()
    there.refuse = {
        "PUT /_search/pipeline/attune": [(400, {"error": {"reason": "not today"}})],
        "DELETE /_plugins/_ml/connectors/.*": [(403, {"error": {"reason": "not you"}})],
    }
    with pytest.raises(InstallError, match=r"not today.*not you.*attune install --uninstall"):
        install_pipeline(cluster, WANTED)
    uninstall(cluster)
    assert not there.connectors


def test_the_answer_to_a_search_without_text_says_that_the_sidecar_is_reached() -> None:
    cluster, there, _ = made()
    said = '{"error": {"type": "not_reranked_exception"}, "status": 422}'
    there.refuse = {PREDICT: [(500, {"error": {"reason": f"Error from remote service: {said}"}})] * 2}
    install_pipeline(cluster, WANTED)
    assert PIPELINE_NAME in there.pipelines


@pytest.mark.parametrize(("status", "advice"), [(401, "opensearch.password"), (403, "ml_full_access")])
def test_a_refusal_says_what_to_do(status: int, advice: str) -> None:
    cluster, there, _ = made()
    there.refuse = {"PUT /_cluster/settings": [(status, {"error": {"reason": "no permissions"}})]}
    with pytest.raises(InstallError, match=f"^set .*{status} no permissions.*{advice}"):
        install_pipeline(cluster, WANTED)


def test_clusters_that_can_not_are_told_apart() -> None:
    cluster, there, _ = made()
    assert can_rerank_windows(check_requirements(cluster))
    there.processors.remove("truncate_hits")
    assert not can_rerank_windows(check_requirements(cluster))
    there.plugins.remove("opensearch-neural-search")
    with pytest.raises(InstallError, match="lacks opensearch-neural-search"):
        check_requirements(cluster)
    there.version = "2.11.0"
    with pytest.raises(InstallError, match=r"2\.19 and later"):
        check_requirements(cluster)


def test_roles_with_document_security_keep_hybrid_queries_away_before_3_2() -> None:
    cluster, there, _ = made()
    assert find_roles_without_hybrid(cluster) == ()
    there.security["dealer"] = {"index_permissions": [{"dls": None}, {"dls": '{"term": {"brand": "HP"}}'}]}
    assert find_roles_without_hybrid(cluster) == ("dealer",)
    there.refuse = {"GET /_plugins/_security/api/roles": [(403, {"error": {"reason": "no permissions"}})]}
    assert find_roles_without_hybrid(cluster) == ()
    there.version = "3.2.0"
    assert find_roles_without_hybrid(cluster) == ()


def test_notes_say_what_was_there_before_the_first_installation() -> None:
    cluster, there, _ = made()
    there.indexes["shop-1"] = {DEFAULT: "own"}
    install_pipeline(cluster, WANTED, "shop")
    install_pipeline(cluster, replace(WANTED, window=7), "shop")
    notes = read_notes(there.pipelines[PIPELINE_NAME]["description"])
    assert notes["indexes"] == {"shop-1": "own"}
    assert notes["settings"][PRIVATE_ADDRESSES] is None
    assert notes["settings"][TRUSTED_ADDRESSES] == {"added": ["^http://sidecar:8080/.*$"], "former": None}
