"""The cluster settings that ml-commons needs to call the sidecar, and how they are set back."""

import ipaddress
import re
from contextlib import ExitStack
from urllib.parse import urlsplit

from mappings.types import JsonObject
from plugin_api.commands.install.bodies import InstallPlan
from plugin_api.commands.install.cluster import Cluster, Step

ONLY_ML_NODES = "plugins.ml_commons.only_run_on_ml_node"
PRIVATE_ADDRESSES = "plugins.ml_commons.connector.private_ip_enabled"
TRUSTED_ADDRESSES = "plugins.ml_commons.trusted_connector_endpoints_regex"


def ensure_settings(cluster: Cluster, plan: InstallPlan, undo: ExitStack) -> JsonObject:
    """Set what ml-commons needs to call the sidecar. Return the settings' former persistent values."""
    current, persistent = cluster.settings()
    trusted = _list(current.get(TRUSTED_ADDRESSES))
    needed: JsonObject = {}
    if current.get(ONLY_ML_NODES) != "false" and not cluster.has_ml_nodes():
        needed[ONLY_ML_NODES] = "false"
    if current.get(PRIVATE_ADDRESSES) != "true" and _is_private(cluster, plan.sidecar_url):
        needed[PRIVATE_ADDRESSES] = "true"
    if not any(_matches(pattern, f"{plan.sidecar_url}/_attune/cluster/score") for pattern in trusted):
        needed[TRUSTED_ADDRESSES] = [*trusted, _address_pattern(plan.sidecar_url)]
    before = {name: persistent.get(name) for name in needed}
    for name, value in needed.items():
        _set(cluster, name, value)
        undo.callback(_set, cluster, name, before[name])
    # Of the list only the added entry is noted: others may change the list meanwhile.
    return before | (
        {TRUSTED_ADDRESSES: {"added": needed[TRUSTED_ADDRESSES][-1:], "former": before[TRUSTED_ADDRESSES]}}
        if TRUSTED_ADDRESSES in needed
        else {}
    )


def merge_notes(new: JsonObject, earlier: JsonObject) -> JsonObject:
    """Return the notes of several installations: each setting as it was before the first of them."""
    notes = new | earlier
    if TRUSTED_ADDRESSES in new and TRUSTED_ADDRESSES in earlier:
        added = [*earlier[TRUSTED_ADDRESSES]["added"], *new[TRUSTED_ADDRESSES]["added"]]
        notes[TRUSTED_ADDRESSES] = {**earlier[TRUSTED_ADDRESSES], "added": [*dict.fromkeys(added)]}
    return notes


def restore_settings(cluster: Cluster, notes: JsonObject) -> None:
    """Set back the settings that still have the values that `ensure_settings` gave them."""
    _, persistent = cluster.settings()
    for name, value in ((ONLY_ML_NODES, "false"), (PRIVATE_ADDRESSES, "true")):
        if name in notes and persistent.get(name) == value:
            _set(cluster, name, notes[name])
    entry = notes.get(TRUSTED_ADDRESSES)
    trusted = _list(persistent.get(TRUSTED_ADDRESSES))
    if entry and set(entry["added"]) & set(trusted):
        others = [pattern for pattern in trusted if pattern not in entry["added"]]
        _set(cluster, TRUSTED_ADDRESSES, None if entry["former"] is None else others)
        if not cluster.dry_run and _list(cluster.settings()[0].get(TRUSTED_ADDRESSES)) != others:
            _set(cluster, TRUSTED_ADDRESSES, others)  # the default has been added to since


def _set(cluster: Cluster, name: str, value: object) -> None:
    does = f"reset cluster setting {name} to its default" if value is None else f"set {name} to {value}"
    cluster.apply(Step(does, "PUT", "/_cluster/settings", {"persistent": {name: value}}))


def _address_pattern(url: str) -> str:
    return f"^{re.escape(url)}/.*$"


def _matches(pattern: str, url: str) -> bool:
    try:
        return re.fullmatch(pattern, url) is not None
    except re.error:  # Java's own syntax; one more entry does no harm then
        return False


def _is_private(cluster: Cluster, url: str) -> bool:
    """Return whether the host is at a private address, or may be as the cluster sees it."""
    host = urlsplit(url).hostname or ""
    try:
        addresses = cluster.resolve(host)
    except OSError:  # a name that only the cluster knows, such as a container's
        return True
    return any(not ipaddress.ip_address(address.partition("%")[0]).is_global for address in addresses)


def _list(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [value] if isinstance(value, str) else []
