"""The bodies that `attune install` sends: connectors, remote models and pipelines."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from indexer.attach.attachment import Attachment
from mappings.settings import SearchSettings
from mappings.types import JsonObject

PIPELINE_NAME = "attune"
"""Name of the search pipeline, and key of the notes in its description."""

SIDECAR_CALLS = ("rewrite", "score")
"""What a search pipeline calls the sidecar for: to rewrite the search, and to score its hits."""

DOCUMENT_CALL = "encode"
"""What an ingest pipeline calls the sidecar for."""

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
    """Return the connector for one of SIDECAR_CALLS, or DOCUMENT_CALL.

    Its description has a hash of its content.
    """
    body: JsonObject = _template("connectors.json")[part]
    given = {"sidecar": plan.sidecar_url, "window": str(plan.window), "hybrid": str(plan.hybrid).lower()}
    body["parameters"] = {name: given[name] for name in body["parameters"]}
    body["credential"] = {"key": plan.api_key or "none"}  # ml-commons refuses connectors without a credential
    return {**body, "description": f"{MADE_BY}, {_hash(body)}"}


def model_body(part: str, plan: InstallPlan, connector_id: str) -> JsonObject:
    """Return the remote model on the connector for one of the calls."""
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
    return {**body, "description": _describe(notes)}


def ingest_body(model_id: str, attachment: Attachment, before: str, notes: JsonObject) -> JsonObject:
    """Return the ingest pipeline of an attached index. It runs the pipeline `before`, if there is one, first.

    Documents without any of the fields that title and description come from are left as they are: the
    sidecar is not called.
    """
    body = _template("ingest.json")
    (processor,) = with_model(body, model_id)["processors"]
    fields = attachment.field_map
    paths = dict.fromkeys(
        name for path in (*fields.title, *fields.description) for name in (path.partition(".")[0], path)
    )
    config = processor["ml_inference"]
    config["if"] = " || ".join(f"ctx.containsKey({_painless_text(path)})" for path in paths)
    config["model_config"] = {
        "fields": json.dumps(fields.as_json(), ensure_ascii=False),
        "model": attachment.model,
        "vectors": attachment.vectors,
    }
    first = [{"pipeline": {"name": before}}] if before else []
    return {**body, "processors": [*first, processor], "description": _describe(notes)}


def with_model(pipeline: JsonObject, model_id: str) -> JsonObject:
    """Return an ingest pipeline that calls another remote model."""
    processors = [
        {kind: {**config, "model_id": model_id} if kind == "ml_inference" else config}
        for processor in pipeline["processors"]
        for kind, config in processor.items()
    ]
    return {**pipeline, "processors": processors}


def _painless_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _describe(notes: JsonObject) -> str:
    return f"{MADE_BY}. Notes for --uninstall: {json.dumps({PIPELINE_NAME: notes})}"


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
