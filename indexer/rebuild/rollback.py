"""Going back to the index that searches used before, without losing what changed since."""

from dataclasses import dataclass

from opensearchpy import OpenSearch

from indexer.rebuild.job import REBUILD, WRITING, settled
from indexer.store.alias import Aliases, MadeIndex
from indexer.store.catch_up import CatchUp, Since
from indexer.store.encoder import ProductEncoders
from indexer.store.jobs_index import open_jobs
from indexer.store.lock import locked
from indexer.store.retry import Patience
from indexer.store.scan import refresh
from mappings.errors import IndexingError
from mappings.settings import IndexSettings


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """What was done: the alias points at `index`, and `left` stays; `brought` changes came along."""

    index: str
    left: str
    alias: str
    model: str
    brought: int


def roll_back(
    client: OpenSearch,
    alias: str,
    to: str,
    models: ProductEncoders,
    settings: IndexSettings,
    patience: Patience,
) -> RollbackReport:
    """Point the alias at the index before the live one, or at the index `to`.

    Changes that came to the live index since are brought to it first. Raises IndexingError where there is no
    such index, ModelMismatch where its model is not at hand to encode changes, and JobRunning while a rebuild
    is at work.
    """
    aliases = Aliases(client, alias, patience)
    aliases.check()
    jobs = open_jobs(client, patience)
    with locked(jobs, alias, REBUILD) as lock:
        live = settled(aliases)
        target = _target(aliases, live, to)
        encoder = models.of(target.model)
        kind = str(target.note.get("vectors") or settings.vectors)

        since = Since(target.version, target.versioned)
        with CatchUp(
            client, jobs, alias, live or target, target.name, since, encoder, kind, patience
        ) as to_come:
            brought = to_come.bring() if live else 0
            with locked(jobs, alias, WRITING, wait=True) as writing:
                brought += to_come.bring() if live else 0
                refresh(client, target.name, patience)
                lock.check()
                writing.check()
                aliases.point(target.name)
    return RollbackReport(target.name, live.name if live else "", alias, target.model, brought)


def _target(aliases: Aliases, live: MadeIndex | None, to: str) -> MadeIndex:
    others = [of for of in aliases.made() if of.complete and (live is None or of.name != live.name)]
    if to:
        found = [of for of in others if of.name == to]
        why = f"{to} is no other complete index that Attune made for {aliases.alias}"
    else:
        before = [of for of in others if live and of.name == live.replaced]
        found = before or [of for of in others if live is None or of.name < live.name]
        why = f"there is no index before {live.name if live else 'any'}"
    if not found:
        known = ", ".join(of.name for of in others) or "none"
        raise IndexingError(
            f"{why}: there are {known}. The setting index.keep_previous says how many are kept"
        )
    return found[-1]
