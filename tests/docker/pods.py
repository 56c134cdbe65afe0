"""What the tests ask of rendered objects: their pods, and the containers' environment."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
SECRET_VALUE = "postgresql://name:secret@database/shop"
CORES = "2"


def of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    return [found for found in objects if found["kind"] == kind]


def pod_templates(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name of each Deployment and CronJob, and its pods' template."""
    for found in objects:
        if found["kind"] == "Deployment":
            yield found["metadata"]["name"], found["spec"]["template"]
        elif found["kind"] == "CronJob":
            yield found["metadata"]["name"], found["spec"]["jobTemplate"]["spec"]["template"]


def containers(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    for name, template in pod_templates(objects):
        for container in template["spec"]["containers"]:
            yield name, container


def environment(container: Object) -> dict[str, str]:
    """Return the variables that Kubernetes would set, of a Secret that has all keys."""
    return {
        variable["name"]: variable["value"]
        if "value" in variable
        else (CORES if "resourceFieldRef" in variable["valueFrom"] else SECRET_VALUE)
        for variable in container["env"]
    }
