"""The connectors and remote models by which a cluster calls the sidecar."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from opensearchpy.exceptions import NotFoundError

from mappings.errors import InstallError
from mappings.types import JsonObject
from plugin_api.commands.install.bodies import (
    DOCUMENT_CALL,
    MADE_BY,
    SIDECAR_CALLS,
    InstallPlan,
    connector_body,
    model_body,
)
from plugin_api.commands.install.cluster import ML_API, ML_READY_SECONDS, Cluster, InstalledPart, Step

_NAMES = tuple(f"attune-{part}" for part in (*SIDECAR_CALLS, DOCUMENT_CALL))

_SEARCH_PROBE: JsonObject = {"search": '{"query": {"match_all": {}}}', "tokens": "[]", "models": "[]"}
"""A search that the sidecar returns unchanged. It shows whether the cluster reaches the sidecar."""

_PROBE_ANSWERS = ("not_reranked_exception", "no_text_exception")
"""What the sidecar says of a search without a text, and of a document without one."""


def list_own_parts(cluster: Cluster, kind: str) -> list[InstalledPart]:
    """Return the connectors or models (`kind`) that Attune created, oldest first."""
    return [made for made in cluster.find_parts(kind, _NAMES) if made.description.startswith(MADE_BY)]


def ensure_models(
    cluster: Cluster, plan: InstallPlan, calls: Sequence[str], undo: ExitStack
) -> tuple[dict[str, str], list[Callable[[], None]]]:
    """Return the ids of the models for some calls, and functions that remove the parts they replace.

    `undo` receives what takes back each step.
    """
    connectors, models = list_own_parts(cluster, "connectors"), list_own_parts(cluster, "models")
    ids: dict[str, str] = {}
    outdated: list[Callable[[], None]] = []
    for part in calls:
        body = connector_body(part, plan)
        same = [made for made in connectors if made.description == body["description"]]
        models_on_it = [
            m
            for m in models
            if m.description == body["description"] and m.connector_id in {c.id for c in same}
        ]
        if models_on_it:
            ids[part] = models_on_it[0].id
        else:
            ids[part] = _create(cluster, part, plan, undo)
        keep = {ids[part], *(model.connector_id for model in models_on_it[:1])}
        outdated += [
            partial(delete, cluster, made.id, made.name)
            for delete, existing in ((delete_model, models), (delete_connector, connectors))
            for made in existing
            if made.name == body["name"] and made.id not in keep
        ]
    return ids, outdated


def _create(cluster: Cluster, part: str, plan: InstallPlan, undo: ExitStack) -> str:
    body = connector_body(part, plan)
    name = body["name"]
    step = Step(
        f"create connector {name} to {plan.sidecar_url}", "POST", f"{ML_API}/connectors/_create", body
    )
    connector_id = cluster.apply(step).get("connector_id", f"<id of connector {name}>")
    undo.callback(delete_connector, cluster, connector_id, name)
    model = model_body(part, plan, connector_id)
    step = Step(
        f"register and deploy remote model {name}", "POST", f"{ML_API}/models/_register?deploy=true", model
    )
    model_id = str(cluster.apply(step).get("model_id", f"<id of model {name}>"))
    undo.callback(delete_model, cluster, model_id, name)
    return model_id


def probe_model(
    cluster: Cluster, part: str, model_id: str, plan: InstallPlan, parameters: JsonObject = _SEARCH_PROBE
) -> None:
    """Make the cluster call the sidecar once. Raises InstallError where it can't."""
    until = time.monotonic() + ML_READY_SECONDS
    while True:
        try:
            cluster.send("POST", f"{ML_API}/models/{model_id}/_predict", {"parameters": parameters})
            return
        except (InstallError, NotFoundError) as error:
            reason = str(error)
            if any(answer in reason for answer in _PROBE_ANSWERS):
                return
            if "not ready" in reason and time.monotonic() < until:
                cluster.sleep(0.5)
                continue
            raise InstallError(
                f"the cluster can't call the sidecar at {plan.sidecar_url} to {part}: {reason}. Give "
                "--sidecar-url an address that OpenSearch's nodes reach, see that `attune serve` runs there "
                "and give its API key with --api-key if it asks for one"
            ) from error


def delete_model(cluster: Cluster, model_id: str, name: str) -> None:
    """Undeploy and delete a model."""

    def delete() -> None:
        if not cluster.dry_run:
            cluster.send("POST", f"{ML_API}/models/{model_id}/_undeploy", None, f"undeploy model {name}")
        cluster.apply(Step(f"delete remote model {name}", "DELETE", f"{ML_API}/models/{model_id}"))

    _repeat_while(cluster, "undeploy", delete)


def delete_connector(cluster: Cluster, connector_id: str, name: str) -> None:
    """Delete a connector that no model uses."""
    step = Step(f"delete connector {name}", "DELETE", f"{ML_API}/connectors/{connector_id}")
    # ml-commons looks for the connector's models by a search, which finds a deleted one for a moment.
    _repeat_while(cluster, "still using this connector", lambda: cluster.apply(step))


def _repeat_while(cluster: Cluster, reason: str, delete: Callable[[], object]) -> None:
    """Call `delete` until it is not refused for this reason, for as long as ml-commons may take at most."""
    until = time.monotonic() + ML_READY_SECONDS
    while True:
        try:
            delete()
            return
        except InstallError as error:
            if reason not in str(error) or time.monotonic() > until:
                raise
            cluster.sleep(0.5)
