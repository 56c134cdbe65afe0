"""The Helm chart renders what Kubernetes takes, and what it says is what Attune takes."""

import re
import shutil
import textwrap
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mappings.settings import load_settings
from plugin_api.cli import attune
from tests.docker.chart import CHART, KUBERNETES, ROOT, SCHEMA, Refused, helm, manifests, rendered, schema
from tests.docker.chart_cases import CASES, CHANGES, DATABASE, EVERYTHING, NGINX, REFUSED
from tests.docker.pods import containers, environment, of_kind, pod_templates

OLDEST = "1.31.0"
"""The oldest that the chart says it takes (kubeVersion)."""

PROBES = {
    "startupProbe": "/_attune/health",
    "livenessProbe": "/_attune/health",
    "readinessProbe": "/_attune/ready",
}


@pytest.fixture(scope="module", params=CASES)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return rendered(CASES[request.param])


def arguments(values: Mapping[str, Any], name: str) -> list[str]:
    return dict(containers(rendered(values)))[name]["args"]


@pytest.mark.parametrize("case", CASES)
def test_lint_finds_nothing(case: str) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), values=CASES[case])


@pytest.mark.parametrize("version", [OLDEST, KUBERNETES])
def test_objects_keep_to_kubernetes_own_schemas(objects: list[dict[str, Any]], version: str) -> None:
    for found in objects:
        if found["kind"] != "ServiceMonitor":  # the Prometheus operator's
            kubernetes_validate.validate(found, version, strict=True)


def test_the_schemas_are_strict() -> None:
    account = of_kind(rendered({}), "ServiceAccount")[0]
    with pytest.raises(kubernetes_validate.ValidationError, match="automountToken"):
        kubernetes_validate.validate({**account, "automountToken": False}, KUBERNETES, strict=True)


def test_each_kind_is_there_when_it_is_asked_for() -> None:
    def kinds(values: Mapping[str, Any]) -> set[str]:
        return {found["kind"] for found in rendered(values)}

    sidecar = {"ConfigMap", "ServiceAccount", "Deployment", "Service", "PodDisruptionBudget"}
    assert kinds({}) == sidecar
    assert kinds(CHANGES) == {"ConfigMap", "ServiceAccount", "Deployment"}
    more = {"CronJob", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "ServiceMonitor"}
    assert kinds(EVERYTHING) == sidecar | more


@pytest.mark.parametrize("wrong", REFUSED)
def test_wrong_values_are_refused_by_name(wrong: str) -> None:
    values, named = REFUSED[wrong]
    with pytest.raises(Refused, match=re.escape(named)):
        rendered(values)


def test_pods_keep_to_the_restricted_standard(objects: list[dict[str, Any]]) -> None:
    for _, template in pod_templates(objects):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
    for _, container in containers(objects):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} == container["resources"].keys()


def test_attune_takes_the_settings_and_the_environment(objects: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "attune.toml"
    file.write_text(of_kind(objects, "ConfigMap")[0]["data"]["attune.toml"], encoding="utf-8")
    for name, container in containers(objects):
        variables = environment(container)
        if name == "attune-nginx":
            continue
        assert variables.pop("ATTUNE_CONFIG") == "/etc/attune/attune.toml"
        load_settings(file, variables)


def test_the_command_line_takes_the_arguments(objects: list[dict[str, Any]]) -> None:
    for name, container in containers(objects):
        if name == "attune-nginx":
            assert "args" not in container  # its image takes none
            continue
        command, *rest = container["args"]
        with attune.make_context("attune", [command]) as parent:
            parsed = attune.get_command(parent, command)
            assert parsed is not None
            with parsed.make_context(command, list(rest), parent=parent) as context:
                given = context.params
        if name == "attune-sidecar":
            assert command == "serve"
            continue
        assert command == "index"
        assert given["mode"] == {"attune-rebuild": "full", "attune-changes": "changes"}[name]
        assert (given["follow"] is None) == (name == "attune-rebuild")
        assert bool(given["source"]) != bool(given["table"] or given["query"])


def test_variables_of_services_never_reach_attune(objects: list[dict[str, Any]]) -> None:
    # A Service attune-sidecar would set ATTUNE_SIDECAR_PORT=tcp://10.0.0.1:8080, which is no port.
    assert all(template["spec"]["enableServiceLinks"] is False for _, template in pod_templates(objects))


def test_settings_keep_their_types_and_values() -> None:
    text = of_kind(rendered(EVERYTHING), "ConfigMap")[0]["data"]["attune.toml"]
    assert tomllib.loads(text) == EVERYTHING["settings"]
    assert re.search(r"^max_body_bytes = 20000000$", text, re.MULTILINE)


def test_mounts_have_volumes_and_temporary_files_a_place(objects: list[dict[str, Any]]) -> None:
    for _, template in pod_templates(objects):
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        for container in template["spec"]["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounts.values()) <= volumes.keys()
            assert "emptyDir" in volumes[mounts[environment(container).get("TMPDIR", "/tmp")]]


def test_selectors_find_the_pods_they_mean(objects: list[dict[str, Any]]) -> None:
    pods = {name: template["metadata"]["labels"] for name, template in pod_templates(objects)}

    def chosen(labels: Mapping[str, str]) -> list[str]:
        return [name for name, own in pods.items() if labels.items() <= own.items()]

    for found in of_kind(objects, "Deployment"):
        assert chosen(found["spec"]["selector"]["matchLabels"]) == [found["metadata"]["name"]]
    for found in of_kind(objects, "Service"):
        assert chosen(found["spec"]["selector"]) == [found["metadata"]["name"]]
    for found in of_kind(objects, "PodDisruptionBudget"):
        assert chosen(found["spec"]["selector"]["matchLabels"]) == [found["metadata"]["name"]]
    for found in of_kind(objects, "HorizontalPodAutoscaler"):
        assert found["spec"]["scaleTargetRef"]["name"] in pods


def test_probes_ask_at_the_port_and_by_the_scheme_that_are_served() -> None:
    for values, port, scheme in (({}, 8080, "HTTP"), (EVERYTHING, 8443, "HTTPS")):
        sidecar = dict(containers(rendered(values)))["attune-sidecar"]
        assert sidecar["ports"] == [{"name": "http", "containerPort": port}]
        for probe, path in PROBES.items():
            assert sidecar[probe]["httpGet"] == {"path": path, "port": "http", "scheme": scheme}


def test_nginx_reaches_what_is_installed_and_takes_the_ingress() -> None:
    plain, everything = rendered(NGINX), rendered(EVERYTHING)
    variables = environment(dict(containers(plain))["attune-nginx"])
    assert variables["ATTUNE_OPENSEARCH_URL"] == "http://opensearch:9200"
    assert variables["SIDECAR_URL"] == "http://attune-sidecar:8080"
    variables = environment(dict(containers(everything))["attune-nginx"])
    assert variables["SIDECAR_URL"] == "https://attune-sidecar:443"
    assert variables["ATTUNE_OPENSEARCH_CA_FILE"] == "/ca/ca.crt"
    assert variables["ATTUNE_OPENSEARCH_VERIFY_CERTIFICATES"] == "false"
    assert variables["TLS_CERTIFICATE"] == "/etc/attune-tls/tls.crt"
    (ingress,) = of_kind(everything, "Ingress")
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]
    assert backend["service"]["name"] == "attune-nginx"
    sidecar = next(
        p for p in of_kind(everything, "NetworkPolicy") if p["metadata"]["name"] == "attune-sidecar"
    )
    labels = dict(pod_templates(everything))["attune-nginx"]["metadata"]["labels"]
    allowed = [peer["podSelector"]["matchLabels"] for peer in sidecar["spec"]["ingress"][0]["from"]]
    assert any(peer.items() <= labels.items() for peer in allowed)


def test_a_pod_has_time_to_end_its_requests() -> None:
    values = {"sidecar": {"drainSeconds": 20}}
    pod = dict(pod_templates(rendered(values)))["attune-sidecar"]["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "20"]
    assert pod["terminationGracePeriodSeconds"] == 60  # and the workers' 30 s, and 10 to spare


def test_a_changed_setting_restarts_the_pods_and_nothing_else_does() -> None:
    def checksums(values: Mapping[str, Any]) -> dict[str, str]:
        return {
            name: template["metadata"]["annotations"]["checksum/settings"]
            for name, template in pod_templates(rendered(values))
            if name != "attune-rebuild"  # reads them whenever it starts
        }

    before = checksums(DATABASE)
    assert checksums({**DATABASE, "networkPolicy": {"enabled": True}}) == before
    after = checksums({**DATABASE, "settings": {"search": {"window": 50}}})
    assert before.keys() == after.keys() == {"attune-sidecar", "attune-changes"}
    assert not before.items() & after.items()
    indexer = {**DATABASE["indexer"], "fields": 'id = "id"'}
    assert checksums({**DATABASE, "indexer": indexer})["attune-changes"] != before["attune-changes"]


def test_a_failed_rebuild_is_tried_again_unless_that_is_useless() -> None:
    job = of_kind(rendered(DATABASE), "CronJob")[0]["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    spec = job["jobTemplate"]["spec"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # which a podFailurePolicy needs
    by_code = {
        code: rule["action"]
        for rule in spec["podFailurePolicy"]["rules"]
        for code in rule.get("onExitCodes", {}).get("values", [])
    }
    assert by_code == {2: "FailJob", 3: "FailJob"}
    names = {container["name"] for container in spec["template"]["spec"]["containers"]}
    assert {
        rule["onExitCodes"]["containerName"]
        for rule in spec["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
    } == names


def test_only_one_pod_at_a_time_takes_changes() -> None:
    changes = next(found for found in of_kind(rendered(CHANGES), "Deployment"))
    assert changes["spec"]["replicas"] == 1
    assert changes["spec"]["strategy"] == {"type": "Recreate"}


def test_a_pod_mounts_only_the_volume_it_reads() -> None:
    mounted = {
        name: {mount["name"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
        for name, container in containers(rendered(EVERYTHING))
    }
    assert mounted["attune-rebuild"].get("catalogue") is True
    assert mounted["attune-changes"].get("changes") is False  # applied files are moved within it
    assert "changes" not in mounted["attune-rebuild"]
    assert "catalogue" not in mounted["attune-changes"]


def test_a_database_is_read_by_the_address_in_the_secret_alone() -> None:
    assert arguments(DATABASE, "attune-rebuild")[:2] == ["index", "--alias=products"]
    for name, container in containers(rendered(DATABASE)):
        assert ("ATTUNE_DATABASE_URL" in environment(container)) == (name != "attune-sidecar")


def test_a_long_release_name_stays_within_what_kubernetes_takes() -> None:
    text = helm("template", "a" * 53, str(CHART), values=EVERYTHING)
    found = [found["metadata"]["name"] for found in yaml.safe_load_all(text) if found]
    assert max(map(len, found)) <= 52  # of a CronJob, whose jobs get eleven more


def test_schema_lists_the_settings_as_they_are() -> None:
    assert schema() == SCHEMA.read_text(encoding="utf-8"), "write it again: python -m tests.docker.chart"


def test_manifests_for_use_without_helm_are_the_chart_s() -> None:
    for path, text in manifests():
        assert path.read_text(encoding="utf-8") == text, "write them again: python -m tests.docker.chart"
        for found in yaml.safe_load_all(text):
            kubernetes_validate.validate(found, KUBERNETES, strict=True)


def test_chart_and_project_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == project["project"]["version"]
    assert chart["kubeVersion"] == f">={OLDEST}-0"


def test_the_examples_in_the_chart_s_readme_are_taken() -> None:
    text = (CHART / "README.md").read_text(encoding="utf-8")
    whole, database = (
        yaml.safe_load(textwrap.dedent(block))
        for block in re.findall(r"^((?: {4}.*\n)+)", text, re.MULTILINE)
        if "    indexer:\n" in block
    )
    for values in (whole, {**whole, **database}):
        assert [name for name, _ in containers(rendered(values))] == [
            "attune-changes",
            "attune-sidecar",
            "attune-rebuild",
        ]


@pytest.mark.parametrize("case", CASES)
def test_notes_name_what_was_installed(case: str, tmp_path: Path) -> None:
    # `helm template` leaves the notes out, so a copy of the chart has them in an object.
    copy = shutil.copytree(CHART, tmp_path / "attune")
    notes = (copy / "templates/NOTES.txt").read_text(encoding="utf-8")
    wrapped = '{{ define "notes" }}' + notes + '{{ end }}notes: {{ include "notes" . | quote }}\n'
    (copy / "templates/notes.yaml").write_text(wrapped, encoding="utf-8")
    text = helm("template", "attune", str(copy), "--show-only", "templates/notes.yaml", values=CASES[case])
    said = yaml.safe_load(text)["notes"]
    named = set(re.findall(r"(?:deployment|service|cronjob)/([a-z-]+)", said))
    made = {found["metadata"]["name"] for found in rendered(CASES[case])}
    assert named
    assert named <= made
