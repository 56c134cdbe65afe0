"""The bodies that `attune install` sends: two connectors, two remote models and the search pipeline."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from mappings.settings import SearchSettings
from mappings.types import JsonObject

PIPELINE_NAME = "attune"
"""Name of the search pipeline, and key of the notes in its description."""

SIDECAR_CALLS = ("rewrite", "score")
"""What the cluster calls the sidecar for: to rewrite the search, and to score its hits."""

WINDOW_PROCESSORS = frozenset({"script", "oversample", "truncate_hits"})
"""OpenSearch's own processors that a pipeline needs to rerank more hits than the caller asks for."""

MADE_BY = "Made by `attune install`"


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """What to install.

    `sidecar_url` is the sidecar's address as the cluster reaches it, without a slash at its end. `window` is
    how many hits are reranked; 0 reranks each page by itself. Without `hybrid` vectors order hits but add
    none.
    """

    sidecar_url: str
    window: int
    search: SearchSettings
    api_key: str = ""
    hybrid: bool = True


def connector_body(part: str, plan: InstallPlan) -> JsonObject:
    """Return the connector for one of SIDECAR_CALLS. Its description has a hash of its content."""
    body: JsonObject = _template("connectors.json")[part]
    hybrid = {"hybrid": str(plan.hybrid).lower()} if "hybrid" in body["parameters"] else {}
    body["parameters"] = {"sidecar": plan.sidecar_url, "window": str(plan.window), **hybrid}
    body["credential"] = {"key": plan.api_key or "none"}  # ml-commons refuses connectors without a credential
    return {**body, "description": f"{MADE_BY}, {_hash(body)}"}


def model_body(part: str, plan: InstallPlan, connector_id: str) -> JsonObject:
    """Return the remote model for one of SIDECAR_CALLS."""
    connector = connector_body(part, plan)
    return {
        "name": connector["name"],
        "function_name": "remote",
        "description": connector["description"],
        "connector_id": connector_id,
    }


def pipeline_body(models: Mapping[str, str], plan: InstallPlan, notes: JsonObject) -> JsonObject:
    """Return the search pipeline. `models` are ids by call; `notes` are stored in its description."""
    body = _template("pipeline.json")
    for stage in ("request_processors", "response_processors"):
        body[stage] = [
            {kind: {**step, "model_id": models[step["model_id"]]} if "model_id" in step else step}
            for processor in body[stage]
            for kind, step in processor.items()
            if plan.window or kind not in WINDOW_PROCESSORS
        ]
    body["phase_results_processors"] = [_fusion(plan.search)]
    return {**body, "description": f"{MADE_BY}. Notes for --uninstall: {json.dumps({PIPELINE_NAME: notes})}"}


def read_notes(description: str) -> JsonObject:
    """Return the notes in a pipeline's description; empty where there are none."""
    _, _, text = description.partition("--uninstall: ")
    try:
        notes: JsonObject = json.loads(text)[PIPELINE_NAME]
    except (ValueError, KeyError, TypeError):
        return {}
    return notes


def _fusion(settings: SearchSettings) -> JsonObject:
    """Return the processor that fuses a hybrid query's lists. Before 3.1 it can't weigh reciprocal ranks."""
    weight = settings.vector_weight
    if settings.fusion == "rrf":
        return {
            "score-ranker-processor": {"combination": {"technique": "rrf", "rank_constant": settings.rrf_k}}
        }
    weights = {"parameters": {"weights": [round(1 - weight, 6), weight]}}
    return {
        "normalization-processor": {
            "normalization": {"technique": "min_max"},
            "combination": {"technique": "arithmetic_mean", **weights},
        }
    }


def _hash(body: JsonObject) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]


def _template(name: str) -> JsonObject:
    text = (
        resources.files("plugin_api.commands.install")
        .joinpath(f"templates/{name}")
        .read_text(encoding="utf-8")
    )
    body: JsonObject = json.loads(text)
    return body
