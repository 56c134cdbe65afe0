"""Aliases: each rebuild writes an index of its own, and the alias moves to it in one step."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError

from indexer.store.retry import Patience
from mappings.errors import IndexingError, SettingsError
from mappings.types import JsonObject

META = "attune"
"""Key of what Attune notes about itself in the `_meta` of an index's mapping."""

STATE = "state"
BUILDING = "building"
COMPLETE = "complete"
REPLACED = "replaced"
"""Key of the index that the alias pointed at before."""

PIPELINE = "index.search.default_pipeline"

_NAME = re.compile(r"[^\s\\/*?\"<>|,#:+_.\-A-Z][^\s\\/*?\"<>|,#:A-Z]*")


@dataclass(frozen=True, slots=True)
class MadeIndex:
    """An index that Attune made for an alias, with what it noted; `aliases` are all that point at it."""

    name: str
    note: JsonObject
    aliases: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether searches could use it. Indexes from before the state was noted are complete."""
        return bool(self.note.get(STATE, COMPLETE) == COMPLETE)

    @property
    def model(self) -> str:
        """Version of the model that encoded it."""
        return str(self.note.get("model", ""))

    @property
    def replaced(self) -> str:
        """The index that searches used before it, empty where there was none."""
        return str(self.note.get(REPLACED) or "")

    @property
    def versioned(self) -> bool:
        """Whether its catalogue's products brought versions of their own."""
        field_map = self.note.get("fields")
        return isinstance(field_map, dict) and bool(field_map.get("version"))

    @property
    def version(self) -> int:
        """The version that its catalogue stands for: every change above it came later."""
        return int(self.note.get("version") or 0)


@dataclass(frozen=True, slots=True)
class Aliases:
    """The indexes behind one alias, those before and the one that is being built."""

    client: OpenSearch
    alias: str
    patience: Patience

    def check(self) -> None:
        """Raise SettingsError for an impossible name, IndexingError where an index already has the name."""
        if not _NAME.fullmatch(self.alias) or len(self.alias.encode()) > 200:
            raise SettingsError(
                f"alias {self.alias!r} is no name for OpenSearch: use lower-case letters, digits, - and _, "
                "beginning with a letter or digit"
            )

        def taken() -> bool:
            indices = self.client.indices
            there: bool = indices.exists(index=self.alias) and not indices.exists_alias(name=self.alias)
            return there

        if self.patience.call(f"looking up alias {self.alias}", taken):
            raise IndexingError(
                f"{self.alias} is an index, and no alias can have its name: choose another --alias, "
                "or delete it"
            )

    def made(self) -> list[MadeIndex]:
        """Return every index that Attune made for the alias, the oldest first: names sort by time."""
        found = self.patience.call(
            f"looking up indexes of {self.alias}",
            lambda: self.client.indices.get(index=f"{self.alias}-*", params={"expand_wildcards": "open"}),
        )
        made = []
        for name, body in sorted(found.items()):
            note = body.get("mappings", {}).get("_meta", {}).get(META)
            if isinstance(note, dict) and note.get("alias") == self.alias:
                made.append(MadeIndex(name, note, tuple(body.get("aliases", {}))))
        return made

    def held(self) -> list[str]:
        """Return the indexes that the alias points at."""

        def ask() -> list[str]:
            try:
                return sorted(self.client.indices.get_alias(name=self.alias))
            except NotFoundError:
                return []

        return self.patience.call(f"looking up alias {self.alias}", ask)

    def live(self) -> MadeIndex | None:
        """Return the index of ours that searches use; None where there is none."""
        held = self.held()
        found = [index for index in self.made() if index.name in held]
        if len(found) > 1:
            raise IndexingError(
                f"alias {self.alias} points at {len(found)} indexes ({', '.join(of.name for of in found)}): "
                "leave it at one of them"
            )
        return found[0] if found else None

    def note(self, index: MadeIndex, **changes: object) -> MadeIndex:
        """Change what is noted with an index."""
        note = {**index.note, **changes}
        body = {"_meta": {META: note}}
        self.patience.call(
            f"noting the state of {index.name}",
            lambda: self.client.indices.put_mapping(index=index.name, body=body),
        )
        return MadeIndex(index.name, note, index.aliases)

    def point(self, index: str) -> None:
        """Point the alias at `index` alone, in one atomic step.

        The default search pipeline, such as `attune install --default` sets, goes with the alias.
        """

        def move() -> None:
            held = self.held()
            olds = [old for old in held if old != index]
            _keep_pipeline(self.client, olds, index)
            actions = [{"add": {"index": index, "alias": self.alias}}]
            actions += [{"remove": {"index": old, "alias": self.alias}} for old in olds]
            self.client.indices.update_aliases(body={"actions": actions})

        self.patience.call(f"pointing alias {self.alias} at {index}", move)

    def delete(self, index: str) -> None:
        """Delete an index, if it is there."""

        def ask() -> None:
            self.client.indices.delete(index=index, params={"ignore_unavailable": "true"})

        self.patience.call(f"deleting index {index}", ask)

    def drop_old(self, keep: int) -> tuple[str, ...]:
        """Delete what Attune made for this alias but the live index and `keep` others.

        These are the one that searches used before, which after a rollback is not the newest, and the newest.
        Kept is also what another alias points at. Returns the deleted indexes.
        """
        held, made = self.held(), self.made()
        before = {of.replaced for of in made if of.name in held}
        idle = [of for of in made if of.name not in held and of.complete and not of.aliases]
        idle.sort(key=lambda of: (of.name in before, of.name))
        old = idle[: max(0, len(idle) - keep)]
        for index in old:
            self.delete(index.name)
        return tuple(index.name for index in old)


def index_name(alias: str, moment_ms: int) -> str:
    """Return the name of the index that a run begun at `moment_ms` since 1970 writes; names sort by time."""
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return f"{alias}-{moment:%Y%m%d%H%M%S}{moment_ms % 1000:03d}"


def _keep_pipeline(client: OpenSearch, olds: list[str], index: str) -> None:
    """Give the index the default search pipeline of those before it, where they had one."""
    if not olds:
        return
    held = client.indices.get_settings(index=",".join(olds), name=PIPELINE, params={"flat_settings": "true"})
    found = [name for of in held.values() if (name := of["settings"].get(PIPELINE))]
    if found:
        client.indices.put_settings(index=index, body={PIPELINE: found[0]})
