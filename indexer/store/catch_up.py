"""Changes that came to one index → another: to the one being built, or to the one that is rolled back to."""

from collections.abc import Iterator
from dataclasses import dataclass

from opensearchpy import OpenSearch

from indexer.store.alias import MadeIndex
from indexer.store.bulk import Action, chunks, write
from indexer.store.documents import content_hash, document, document_with, shown_product, stored_vectors
from indexer.store.encoder import ProductEncoder
from indexer.store.id_set import SeenIds
from indexer.store.jobs_index import JobsIndex
from indexer.store.retry import Patience
from indexer.store.scan import Stored, every, refresh, stored, versions
from mappings import fields
from mappings.errors import IndexingError
from mappings.types import JsonObject

CHANGED = {"term": {fields.CHANGED: True}}
"""Finds the documents that changes wrote."""

AT_ONCE = 250
"""Documents that are fetched whole at once."""


@dataclass(frozen=True, slots=True)
class Since:
    """Which changes an index lacks: those above the version that its catalogue stands for.

    Where products bring versions of their own (`own`), a change is compared with its product's, and with
    `version` only where the index has no such product: an export need not be of one moment, and counts need
    not be of all products together.
    """

    version: int
    own: bool = False


class CatchUp:
    """Brings the index `target` what changes did to the index `source`. Use it with `with`."""

    def __init__(
        self,
        client: OpenSearch,
        jobs: JobsIndex,
        alias: str,
        source: MadeIndex,
        target: str,
        since: Since,
        encoder: ProductEncoder,
        kind: str,
        patience: Patience,
    ) -> None:
        self._client = client
        self._jobs = jobs
        self._alias = alias
        self._source = source.name
        self._target = target
        self._since = since
        self._encoder = encoder
        self._kind = kind
        self._patience = patience
        self._done = SeenIds()

    def __enter__(self) -> "CatchUp":
        return self

    def __exit__(self, *_: object) -> None:
        self._done.close()

    def bring(self) -> int:
        """Bring every change and delete that the target lacks; return how many.

        Repeating it brings what came meanwhile. Products are encoded again where the source was made with
        another model than the encoder.
        """
        client, source = self._client, self._source
        refresh(client, source, self._patience)
        brought = 0
        for chunk in chunks(self._changed(), 4 * AT_ONCE):
            new = [of for of in chunk if of.place < 0 or self._done.line(of.id) != of.place]
            for part in chunks(self._lacking(new), AT_ONCE):
                brought += self._write(self._copies(part))
            for of in new:
                self._done.replace(of.id, of.place)
        for deleted in self._jobs.buried_since(self._alias, -1 if self._since.own else self._since.version):
            brought += self._write(self._deletes(deleted))
        return brought

    def _changed(self) -> Iterator[Stored]:
        newer = [] if self._since.own else [{"range": {fields.VERSION: {"gt": self._since.version}}}]
        query = {"bool": {"filter": [CHANGED, *newer]}}
        return every(self._client, self._source, query, self._patience, source=False)

    def _lacking(self, changed: list[Stored]) -> list[str]:
        """Return the ids of those that the target lacks, or has from before a change of the same version."""
        held = versions(self._client, self._target, [of.id for of in changed], self._patience)
        lacking = []
        equal = []
        for of in changed:
            if of.id not in held:
                if of.version > self._since.version:
                    lacking.append(of.id)
            elif held[of.id] < of.version:
                lacking.append(of.id)
            elif held[of.id] == of.version:
                equal.append(of.id)
        for part in chunks(equal, AT_ONCE):
            theirs = stored(self._client, self._source, part, self._patience)
            ours = stored(self._client, self._target, part, self._patience)
            lacking += [of for of in part if of in theirs and of in ours and _later(theirs[of], ours[of])]
        return lacking

    def _copies(self, ids: list[str]) -> list[Action]:
        found = stored(self._client, self._source, ids, self._patience)
        return _actions(list(found.values()), self._encoder, self._kind)

    def _deletes(self, deleted: dict[str, int]) -> list[Action]:
        held = versions(self._client, self._target, list(deleted), self._patience)
        gone = [of for of, version in deleted.items() if of in held and held[of] <= version]
        again = versions(self._client, self._source, gone, self._patience)  # a later change of one version
        return [Action(of, deleted[of], None) for of in gone if again.get(of, -1) < deleted[of]]

    def _write(self, actions: list[Action]) -> int:
        if not actions:
            return 0
        outcomes = write(self._client, self._target, actions, self._patience)
        for of in outcomes:
            if of.refusal:
                raise IndexingError(
                    f"a change of product {of.id} can't be brought to {self._target}: {of.refusal}"
                )
        return sum(of.done for of in outcomes)


def _later(theirs: Stored, ours: Stored) -> bool:
    """Whether a document of equal version was changed again after it was copied."""
    return bool(ours.own.get("changed")) and _shown(theirs) != _shown(ours)


def _shown(of: Stored) -> JsonObject:
    return {name: value for name, value in of.source.items() if name != fields.ATTUNE}


def _actions(documents: list[Stored], encoder: ProductEncoder, kind: str) -> list[Action]:
    ready = {of.id: of.source for of in documents if _fits(of, encoder, kind)}
    others = [shown_product(of.id, of.source) for of in documents if of.id not in ready]
    encoded = (
        dict(zip((p.id for p in others), encoder.encode_products(others), strict=True)) if others else {}
    )
    actions = []
    for of in documents:
        product = shown_product(of.id, of.source)
        if of.id in ready:
            body = document_with(product, stored_vectors(of.source), of.version, changed=True)
        else:
            body = document(product, encoded[of.id], encoder.version, of.version, kind, changed=True)
        actions.append(Action(of.id, of.version, body))
    return actions


def _fits(of: Stored, encoder: ProductEncoder, kind: str) -> bool:
    """Whether a document's vectors are what the target's would be."""
    own = of.own
    floats = any(isinstance(component, float) for component in own.get("vector", []))
    return (
        own.get("model") == encoder.version
        and own.get("hash") == content_hash(shown_product(of.id, of.source))
        and floats == (kind == "float")
    )
