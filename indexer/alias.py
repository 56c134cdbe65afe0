"""Aliases: each run writes an index of its own, and the alias moves to it in one step."""

import re
from datetime import UTC, datetime

from opensearchpy import OpenSearch

from indexer.writer import opensearch_errors
from mappings.errors import IndexingError, SettingsError

META = "attune"
"""Key of what Attune notes about itself in the `_meta` of an index's mapping."""

PIPELINE = "index.search.default_pipeline"

_NAME = re.compile(r"[^\s\\/*?\"<>|,#:+_.\-A-Z][^\s\\/*?\"<>|,#:A-Z]*")


def check_alias(client: OpenSearch, alias: str) -> None:
    """Raise SettingsError for an impossible name, IndexingError where an index already has the name."""
    if not _NAME.fullmatch(alias) or len(alias.encode()) > 200:
        raise SettingsError(
            f"alias {alias!r} is no name for OpenSearch: use lower-case letters, digits, - and _, "
            "beginning with a letter or digit"
        )
    with opensearch_errors(f"looking up alias {alias}"):
        if client.indices.exists(index=alias) and not client.indices.exists_alias(name=alias):
            raise IndexingError(
                f"{alias} is an index, and no alias can have its name: choose another --alias, or delete it"
            )


def index_name(alias: str, moment_ms: int) -> str:
    """Return the name of the index that a run begun at `moment_ms` since 1970 writes; names sort by time."""
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return f"{alias}-{moment:%Y%m%d%H%M%S}{moment_ms % 1000:03d}"


def point_alias(client: OpenSearch, alias: str, index: str) -> list[str]:
    """Point the alias at `index` alone, in one atomic step, and remove the index that it pointed at.

    Removed is only what Attune made for this alias and nothing else points at; any other index just
    loses the alias. The default search pipeline, such as `attune install --default` sets, goes with the
    alias. Returns the removed indexes.
    """
    with opensearch_errors(f"pointing alias {alias} at {index}"):
        held = client.indices.get_alias(name=alias) if client.indices.exists_alias(name=alias) else {}
        olds = [old for old in held if old != index]
        removable = [old for old in olds if _is_ours(client, alias, old)]
        actions: list[dict[str, dict[str, str]]] = [{"add": {"index": index, "alias": alias}}]
        for old in olds:
            if old in removable:
                actions.append({"remove_index": {"index": old}})
            else:
                actions.append({"remove": {"index": old, "alias": alias}})
        _keep_pipeline(client, olds, index)
        client.indices.update_aliases(body={"actions": actions})
        return removable


def _keep_pipeline(client: OpenSearch, olds: list[str], index: str) -> None:
    """Give the index the default search pipeline of those before it, where they had one."""
    if not olds:
        return
    held = client.indices.get_settings(index=",".join(olds), name=PIPELINE, params={"flat_settings": "true"})
    found = [name for of in held.values() if (name := of["settings"].get(PIPELINE))]
    if found:
        client.indices.put_settings(index=index, body={PIPELINE: found[0]})


def _is_ours(client: OpenSearch, alias: str, index: str) -> bool:
    noted = client.indices.get_mapping(index=index)[index]["mappings"].get("_meta", {}).get(META, {})
    others = set(client.indices.get_alias(index=index)[index]["aliases"]) - {alias}
    return isinstance(noted, dict) and noted.get("alias") == alias and not others
