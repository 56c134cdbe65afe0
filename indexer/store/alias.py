"""Aliases: each rebuild writes an index of its own, and the alias moves to it in one step."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError

from indexer.store.retry import RetryPolicy
from mappings.errors import IndexingError, SettingsError
from mappings.types import JsonObject

META = "attune"
"""Key of Attune's metadata in the `_meta` of an index's mapping."""

STATE = "state"
BUILDING = "building"
COMPLETE = "complete"
REPLACED = "replaced"
"""Metadata: the index that the alias pointed at before."""

VOCABULARY = "vocabulary"
PICTURES = "pictures"
"""Key of the metadata with the version of the picture tower; indexes without pictures lack it."""
"""Metadata: what the catalogue's words mean, as `reranker.understanding` learnt it."""

PIPELINE_SETTING = "index.search.default_pipeline"

_NAME = re.compile(r"[^\s\\/*?\"<>|,#:+_.\-A-Z][^\s\\/*?\"<>|,#:A-Z]*")


@dataclass(frozen=True, slots=True)
class ManagedIndex:
    """An index that Attune made for an alias, with its metadata. `aliases` are all that point at it."""

    name: str
    metadata: JsonObject
    aliases: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether searches can use it. An index without a recorded state is complete."""
        return bool(self.metadata.get(STATE, COMPLETE) == COMPLETE)

    @property
    def model(self) -> str:
        """The version of the model that encoded it."""
        return str(self.metadata.get("model", ""))

    @property
    def replaced(self) -> str:
        """The index that searches used before it, empty where there was none."""
        return str(self.metadata.get(REPLACED) or "")

    @property
    def has_product_versions(self) -> bool:
        """Whether the products of its catalogue have versions of their own."""
        field_map = self.metadata.get("fields")
        return isinstance(field_map, dict) and bool(field_map.get("version"))

    @property
    def version(self) -> int:
        """The version of its catalogue: every change above it came later."""
        return int(self.metadata.get("version") or 0)


@dataclass(frozen=True, slots=True)
class AliasIndexes:
    """The indexes that Attune makes for one alias: the live one, earlier ones, and one under construction."""

    client: OpenSearch
    alias: str
    retry: RetryPolicy

    def validate(self) -> None:
        """Raise SettingsError for an impossible name, IndexingError where an index has the alias's name."""
        if not _NAME.fullmatch(self.alias) or len(self.alias.encode()) > 200:
            raise SettingsError(
                f"OpenSearch does not allow the alias {self.alias!r}: use lower-case letters, digits, - and "
                "_, beginning with a letter or digit"
            )

        def is_taken() -> bool:
            indices = self.client.indices
            taken: bool = indices.exists(index=self.alias) and not indices.exists_alias(name=self.alias)
            return taken

        if self.retry.call(f"looking up alias {self.alias}", is_taken):
            raise IndexingError(
                f"{self.alias} is an index, and an alias can't have the same name: choose another --alias, "
                "or delete the index"
            )

    def list_indexes(self) -> list[ManagedIndex]:
        """Return every index that Attune made for the alias, the oldest first: names sort by time."""
        answer = self.retry.call(
            f"looking up indexes of {self.alias}",
            lambda: self.client.indices.get(index=f"{self.alias}-*", params={"expand_wildcards": "open"}),
        )
        indexes = []
        for name, body in sorted(answer.items()):
            metadata = body.get("mappings", {}).get("_meta", {}).get(META)
            if isinstance(metadata, dict) and metadata.get("alias") == self.alias:
                indexes.append(ManagedIndex(name, metadata, tuple(body.get("aliases", {}))))
        return indexes

    def resolve(self) -> list[str]:
        """Return the names of the indexes that the alias points at."""

        def ask() -> list[str]:
            try:
                return sorted(self.client.indices.get_alias(name=self.alias))
            except NotFoundError:
                return []

        return self.retry.call(f"looking up alias {self.alias}", ask)

    def find_live(self) -> ManagedIndex | None:
        """Return Attune's index that searches use, None where there is none.

        It is marked complete where it is not: a job may have been killed just after it moved the alias.
        """
        current = self.resolve()
        live = [index for index in self.list_indexes() if index.name in current]
        if len(live) > 1:
            names = ", ".join(index.name for index in live)
            raise IndexingError(
                f"alias {self.alias} points at {len(live)} indexes ({names}): leave it at one of them"
            )
        if not live:
            return None
        return live[0] if live[0].complete else self.update_metadata(live[0], state=COMPLETE)

    def update_metadata(self, index: ManagedIndex, **changes: object) -> ManagedIndex:
        """Change the metadata of an index and return it."""
        metadata = {**index.metadata, **changes}
        body = {"_meta": {META: metadata}}
        self.retry.call(
            f"writing the metadata of {index.name}",
            lambda: self.client.indices.put_mapping(index=index.name, body=body),
        )
        return ManagedIndex(index.name, metadata, index.aliases)

    def point_at(self, index: str) -> None:
        """Point the alias at `index` alone, in one atomic step.

        A default search pipeline, such as `attune install --default` sets, moves with the alias.
        """

        def move() -> None:
            old_names = [name for name in self.resolve() if name != index]
            _copy_pipeline(self.client, old_names, index)
            actions = [{"add": {"index": index, "alias": self.alias}}]
            actions += [{"remove": {"index": name, "alias": self.alias}} for name in old_names]
            self.client.indices.update_aliases(body={"actions": actions})

        self.retry.call(f"pointing alias {self.alias} at {index}", move)

    def delete(self, index: str) -> None:
        """Delete an index, if it exists."""

        def ask() -> None:
            self.client.indices.delete(index=index, params={"ignore_unavailable": "true"})

        self.retry.call(f"deleting index {index}", ask)

    def delete_old(self, keep: int) -> tuple[str, ...]:
        """Delete Attune's complete indexes of this alias but the live one and `keep` others.

        The index that searches used before is kept first, which after a rollback is not the newest one; then
        the newest ones. An index that another alias points at is never deleted. Returns the deleted names.
        """
        current, indexes = self.resolve(), self.list_indexes()
        replaced = {index.replaced for index in indexes if index.name in current}
        unused = [
            index for index in indexes if index.name not in current and index.complete and not index.aliases
        ]
        unused.sort(key=lambda index: (index.name in replaced, index.name))
        old = unused[: max(0, len(unused) - keep)]
        for index in old:
            self.delete(index.name)
        return tuple(index.name for index in old)


def make_index_name(alias: str, moment_ms: int) -> str:
    """Return the name of the index of a run begun at `moment_ms` since 1970. Names sort by time."""
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return f"{alias}-{moment:%Y%m%d%H%M%S}{moment_ms % 1000:03d}"


def _copy_pipeline(client: OpenSearch, old_names: list[str], index: str) -> None:
    """Give the index the default search pipeline of the old ones, where they have one."""
    if not old_names:
        return
    answer = client.indices.get_settings(
        index=",".join(old_names), name=PIPELINE_SETTING, params={"flat_settings": "true"}
    )
    pipelines = [name for body in answer.values() if (name := body["settings"].get(PIPELINE_SETTING))]
    if pipelines:
        client.indices.put_settings(index=index, body={PIPELINE_SETTING: pipelines[0]})
