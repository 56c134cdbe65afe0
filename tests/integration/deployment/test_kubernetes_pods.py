"""The pods of docker/kubernetes run as written: user, read-only root, limits, volumes and settings."""

import gzip
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

from tests.integration.stack import ROOT, SLOW_MACHINE_SECONDS, Stack, address, search

MANIFESTS = ROOT / "docker/kubernetes"
ALIAS = "kubernetes"


@pytest.fixture(scope="module")
def folders(catalogue: Path) -> Iterator[Mapping[str, Path]]:
    """What the pods' volumes hold: the ConfigMap, and PersistentVolumeClaims for catalogue and changes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for volume in ("settings", "catalogue"):
            (folder / volume).mkdir(mode=0o755)
        _, config = manifest("settings.yaml")
        for file, text in config["data"].items():
            (folder / "settings" / file).write_text(text, encoding="utf-8")
        products = (catalogue / "products.jsonl").read_bytes()
        (folder / "catalogue/products.jsonl.gz").write_bytes(gzip.compress(products))
        changes = folder / "changes"
        changes.mkdir()
        changes.chmod(0o777)  # as fsGroup has it
        yield {"settings": folder / "settings", "catalogue": folder / "catalogue", "changes": changes}


def manifest(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text(encoding="utf-8")))


def bytes_of(quantity: str) -> int:
    return int(quantity[:-2]) << {"Mi": 20, "Gi": 30}[quantity[-2:]]


@contextmanager
def pod(template: Mapping[str, Any], stack: Stack, folders: Mapping[str, Path]) -> Iterator[DockerContainer]:
    """Run a pod's only container with what the manifest gives it, beside the OpenSearch of `stack`."""
    spec = template["spec"]
    (of,) = spec["containers"]
    user, own, limits = spec["securityContext"], of["securityContext"], of["resources"]["limits"]
    environment = {
        variable["name"]: variable.get("value", limits.get("cpu", "")) for variable in of["env"]
        if "secretKeyRef" not in variable.get("valueFrom", {})  # there is no Secret, and all are optional
    }  # fmt: skip
    # As tag "latest", which is what the fixture `images` builds.
    container = DockerContainer(of["image"].partition(":")[0]).with_network(stack.network)
    container.with_envs(**environment).with_command(
        [argument.replace("=products", f"={ALIAS}") for argument in of.get("args", [])]
    )
    container.with_exposed_ports(*(port["containerPort"] for port in of.get("ports", [])))
    for mount in of["volumeMounts"]:
        if mount["name"] == "tmp":
            container.with_tmpfs_mount(mount["mountPath"], "mode=1777")
        else:
            mode = "ro" if mount.get("readOnly") else "rw"
            container.with_volume_mapping(str(folders[mount["name"]]), mount["mountPath"], mode)
    assert own["allowPrivilegeEscalation"] is False
    container.with_kwargs(
        user=f"{user['runAsUser']}:{user['runAsGroup']}",
        read_only=own["readOnlyRootFilesystem"],
        cap_drop=own["capabilities"]["drop"],
        security_opt=["no-new-privileges:true"],
        mem_limit=bytes_of(limits["memory"]),
    )
    with container:
        yield container


def stopped(running: DockerContainer, template: Mapping[str, Any]) -> None:
    """Stop a container as Kubernetes does, and see that it ends by itself in the time it has."""
    container = running.get_wrapped_container()
    container.stop(timeout=template["spec"]["terminationGracePeriodSeconds"])
    assert container.wait()["StatusCode"] == 0


@pytest.mark.parametrize("stack", ["3.5.0"], indirect=True)
def test_the_indexer_s_pods_index_and_the_sidecar_s_answers(
    stack: Stack, folders: Mapping[str, Path]
) -> None:
    (job,) = manifest("indexer-cronjob.yaml")
    with pod(job["spec"]["jobTemplate"]["spec"]["template"], stack, folders) as indexer:
        status = indexer.wait()
        assert status == 0, b"".join(indexer.get_logs()).decode()

    (deployment,) = manifest("indexer-changes.yaml")
    product = {"id": "new", "title": "Laptop of a change", "_op": "upsert"}
    (folders["changes"] / "1.jsonl").write_text(json.dumps(product), encoding="utf-8")
    with pod(deployment["spec"]["template"], stack, folders) as indexer:
        applied = folders["changes"] / "done/1.jsonl"
        end = time.monotonic() + SLOW_MACHINE_SECONDS
        while not applied.exists() and time.monotonic() < end:
            time.sleep(0.1)
        assert applied.exists(), b"".join(indexer.get_logs()).decode()
        found = requests.get(f"{stack.direct}/{ALIAS}/_doc/new", timeout=60).json()
        assert found["_source"]["title"] == product["title"]
        stopped(indexer, deployment["spec"]["template"])

    deployment = manifest("sidecar.yaml")[0]["spec"]["template"]
    (of,) = deployment["spec"]["containers"]
    port = of["ports"][0]["containerPort"]
    with pod(deployment, stack, folders) as sidecar:
        started = HttpWaitStrategy(port, of["startupProbe"]["httpGet"]["path"])
        started.with_startup_timeout(SLOW_MACHINE_SECONDS).wait_until_ready(sidecar)
        base = address(sidecar, port)
        for probe in ("livenessProbe", "readinessProbe"):
            assert requests.get(base + of[probe]["httpGet"]["path"], timeout=60).status_code == 200
        metrics = deployment["metadata"]["annotations"]["prometheus.io/path"]
        assert "attune_" in requests.get(base + metrics, timeout=60).text
        statuses = set()
        for _ in range(20):  # a cold model may pass the deadline at first
            answer = search(base, {"query": {"match": {"title": "laptop"}}}, ALIAS).json()
            statuses.add(answer["ext"]["attune"]["rerank_status"])
        assert "reranked" in statuses
        drain = of["lifecycle"]["preStop"]["exec"]["command"]
        assert sidecar.exec([*drain[:-1], "0"]).exit_code == 0
        stopped(sidecar, deployment)


@pytest.mark.parametrize("stack", ["3.5.0"], indirect=True)
def test_nginx_s_pod_answers_and_ends_in_good_order(stack: Stack, folders: Mapping[str, Path]) -> None:
    deployment = next(found for found in manifest("optional/nginx.yaml") if found["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    (of,) = template["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in of["ports"]}
    with pod(template, stack, folders) as nginx:
        probe = of["livenessProbe"]["httpGet"]
        HttpWaitStrategy(ports[probe["port"]], probe["path"]).wait_until_ready(nginx)
        assert search(address(nginx, ports["http"]), {"query": {"match": {"title": "laptop"}}}).ok
        stopped(nginx, template)
