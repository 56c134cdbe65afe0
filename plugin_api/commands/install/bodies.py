"""The bodies that `attune install` sends: two connectors, a remote model on each, and the search pipeline."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from mappings.settings import SearchSettings
from mappings.types import JsonObject

PIPELINE = "attune"
"""The search pipeline's name, and the key of `attune install`'s notes in its description."""

PARTS = ("rewrite", "score")
"""What the sidecar is called for: before the search, and after it."""

WINDOW_PROCESSORS = frozenset({"script", "oversample", "truncate_hits"})
"""OpenSearch's own processors without which a pipeline can't rerank more hits than the caller asked for."""

MADE_BY = "Made by `attune install`"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed.

    `sidecar_url` is where the cluster reaches the sidecar, without a slash at its end. `window` is how many
    hits are reranked; 0 means each page by itself. Without `hybrid` vectors add no hits, they only rank.
    """

    sidecar_url: str
    window: int
    search: SearchSettings
    api_key: str = ""
    hybrid: bool = True


def connector(part: str, wanted: Wanted) -> JsonObject:
    """Return the connector of one of PARTS. Its description carries a mark of all that it was made from."""
    body: JsonObject = _template("connectors.json")[part]
    hybrid = {"hybrid": str(wanted.hybrid).lower()} if "hybrid" in body["parameters"] else {}
    body["parameters"] = {"sidecar": wanted.sidecar_url, "window": str(wanted.window), **hybrid}
    body["credential"] = {"key": wanted.api_key or "none"}  # ml-commons takes no connector without one
    return {**body, "description": f"{MADE_BY}, {_mark(body)}"}


def remote_model(part: str, wanted: Wanted, connector_id: str) -> JsonObject:
    """Return the model of one of PARTS."""
    made = connector(part, wanted)
    return {
        "name": made["name"],
        "function_name": "remote",
        "description": made["description"],
        "connector_id": connector_id,
    }


def pipeline(models: Mapping[str, str], wanted: Wanted, notes: JsonObject) -> JsonObject:
    """Return the search pipeline over the models' ids by part; `notes` are kept in its description."""
    body = _template("pipeline.json")
    for stage in ("request_processors", "response_processors"):
        body[stage] = [
            {kind: {**step, "model_id": models[step["model_id"]]} if "model_id" in step else step}
            for processor in body[stage]
            for kind, step in processor.items()
            if wanted.window or kind not in WINDOW_PROCESSORS
        ]
    body["phase_results_processors"] = [_fusion(wanted.search)]
    return {**body, "description": f"{MADE_BY}. Notes for --uninstall: {json.dumps({PIPELINE: notes})}"}


def notes_of(description: str) -> JsonObject:
    """Return the notes in a pipeline's description; empty where there are none."""
    _, _, text = description.partition("--uninstall: ")
    try:
        notes: JsonObject = json.loads(text)[PIPELINE]
    except (ValueError, KeyError, TypeError):
        return {}
    return notes


def _fusion(settings: SearchSettings) -> JsonObject:
    """The processor that fuses a hybrid query's lists; before 3.1 it can't weigh reciprocal ranks."""
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


def _mark(body: JsonObject) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]


def _template(name: str) -> JsonObject:
    text = (
        resources.files("plugin_api.commands.install")
        .joinpath(f"templates/{name}")
        .read_text(encoding="utf-8")
    )
    body: JsonObject = json.loads(text)
    return body
