"""The chart, rendered by a real `helm`. `python -m tests.docker.chart` writes again what follows from it.

That is docker/kubernetes/*.yaml, the manifests for use without Helm, and the part of the chart's
values.schema.json on settings, which follows from `mappings.settings`.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from mappings.settings import SECRETS, Settings

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "docker/helm/attune"
SCHEMA = CHART / "values.schema.json"
MANIFESTS = ROOT / "docker/kubernetes"
KUBERNETES = "1.37.0"
"""The version to render for: a helm that was not built for a release takes an old one for granted."""

TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
NOT_IN_A_CONFIGMAP = (*SECRETS, "sidecar.host")
"""Secrets, and what a value of the chart says."""

NOT_IN_PODS = ("clicks", "node")
"""Sections that neither image reads."""

WITHOUT_HELM: Mapping[str, Any] = {
    "existingSecret": "attune",
    "nginx": {"enabled": True},
    "indexer": {
        "catalogueClaim": "catalogue",
        "rebuild": {"enabled": True},
        "changes": {"enabled": True, "claim": "changes"},
    },
}
FILES = {
    "settings.yaml": (
        ("serviceaccount", "configmap"),
        """\
The settings, which all of the other files need; after a change: kubectl rollout restart deployment
Name and password for OpenSearch, where it asks for them, and the database's address:
  kubectl create secret generic attune --from-literal=opensearch-user=NAME \\
    --from-literal=opensearch-password=PASSWORD --from-literal=database-url=URL""",
    ),
    "sidecar.yaml": (
        ("sidecar", "sidecar-service", "sidecar-disruption"),
        "The sidecar: point search boxes at http://attune-sidecar:8080 instead of at OpenSearch.",
    ),
    "optional/nginx.yaml": (
        ("nginx",),
        """\
nginx in front of the sidecar and OpenSearch, which this file adds: point clients at http://attune-nginx:8080.
  kubectl apply -f docker/kubernetes/optional/nginx.yaml""",
    ),
    "indexer-cronjob.yaml": (
        ("indexer-rebuild",),
        """\
Full rebuilds every night, of products.jsonl.gz in a PersistentVolumeClaim named catalogue. One at once:
  kubectl create job --from=cronjob/attune-rebuild attune-rebuild-now""",
    ),
    "indexer-changes.yaml": (
        ("indexer-changes",),
        "Changes as they come, from the files that are put into a PersistentVolumeClaim named changes.",
    ),
}
"""File → templates of the chart that it is made of, and what it says at its top."""


@dataclass(frozen=True)
class Refused(Exception):
    """What helm says when it refuses values."""

    reason: str


def helm(*arguments: str, values: Mapping[str, Any]) -> str:
    """Return what helm prints. Raises Refused, or FileNotFoundError where there is no helm."""
    done = subprocess.run(
        ["helm", *arguments, "--kube-version", KUBERNETES, "-f", "-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def rendered(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every object that the chart makes of these values."""
    text = helm("template", "attune", str(CHART), values=values)
    return [found for found in yaml.safe_load_all(text) if found]


def manifests() -> Iterator[tuple[Path, str]]:
    """Yield each file for use without Helm, and its text."""
    text = helm("template", "attune", str(CHART), values=WITHOUT_HELM)
    parts: dict[str, list[str]] = {}
    for part in text.split("---\n# Source: attune/templates/")[1:]:
        name, _, body = part.partition(".yaml\n")
        parts.setdefault(name, []).append(_without_helm(body))
    for file, (templates, comment) in FILES.items():
        about = "".join(f"# {line}\n" for line in [*comment.splitlines(), _MADE])
        objects = [body for template in templates for body in parts[template]]
        yield MANIFESTS / file, about + "---\n".join(objects)


_MADE = "Made from docker/helm/attune by `python -m tests.docker.chart`, which has more to choose from."


def _without_helm(body: str) -> str:
    """Leave out labels that say Helm has made it, and the checksums that only Helm renews."""
    body = re.sub(
        r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by|checksum/\w+): .*\n", "", body, flags=re.M
    )
    return re.sub(r"^ *annotations:\n(?= *spec:)", "", body, flags=re.M)


def schema() -> str:
    """Return values.schema.json with the settings as they are."""
    whole = json.loads(SCHEMA.read_text(encoding="utf-8"))
    whole["properties"]["settings"] = _object({name: _object(keys) for name, keys in _sections()})
    return json.dumps(whole, indent=2) + "\n"


def _sections() -> Iterator[tuple[str, dict[str, Any]]]:
    settings = Settings()
    for section in fields(settings):
        if section.name not in (*NOT_IN_PODS, "origins"):
            yield (
                section.name,
                {
                    key.name: {"type": TYPES[type(key.default)]}
                    for key in fields(getattr(settings, section.name))
                    if f"{section.name}.{key.name}" not in NOT_IN_A_CONFIGMAP
                },
            )


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def main() -> None:
    SCHEMA.write_text(schema(), encoding="utf-8")
    for path, text in manifests():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
