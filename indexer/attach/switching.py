"""Put the filled copy of an index in its place, under the same names."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from indexer.attach.attachment import Attachment
from indexer.attach.copying import NO_PIPELINES, IndexCopier, copy_key, create_copy, select_final_settings
from indexer.attach.demanded_fields import end_copying
from indexer.attach.shards import dump_positions, parse_positions
from indexer.attach.shop_index import ShopIndex, get_shop_indexes, put_metadata
from indexer.attach.updater import AttachReport, IndexUpdater
from indexer.store.alias import make_index_name
from indexer.store.index_settings import put_settings, wait_for_replicas
from indexer.store.jobs_index import JobsIndex, now_ms
from indexer.store.lock import Lock
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession
from mappings.errors import AttuneError, IndexingError
from mappings.fields import ATTUNE
from mappings.types import JsonObject

_ROUNDS = 10
"""Rounds of catching up after which the rest is left to the moment in which writes are refused."""

_FEW = 100
"""Documents that are copied in a fraction of a second."""

_REPLICA_SECONDS = 60
"""How long the copy's replicas are waited for before searches move to it."""

_ALIAS_OPTIONS = ("filter", "index_routing", "search_routing", "is_write_index", "is_hidden")


@dataclass(frozen=True, slots=True)
class Switch:
    """An index that took another one's place: what was kept of that, and how long writes were refused."""

    index: str
    kept: str
    seconds: float


def replace_by_copy(
    session: IndexSession,
    jobs: JobsIndex,
    source: ShopIndex,
    attachment: Attachment,
    report: AttachReport,
    lock: Lock,
) -> Switch:
    """Copy an index, encode the copy, and let it take the place of the index under all of its names.

    A killed job is continued by the next one. Raises IndexingError, ClusterDown, ModelError and JobStopped;
    the index stays in its place then.
    """
    if jobs.load(copy_key(source)):  # a job may have been killed while writes were refused
        _allow_writes(session, source, session.retry)
    copy = create_copy(session, jobs, source, attachment)
    copier = IndexCopier(session, jobs, source, copy)
    updater = IndexUpdater(session, jobs, copy, attachment)
    try:
        for _ in range(_ROUNDS):
            copied = copier.catch_up(lock)
            updater.catch_up(copier.positions(), report, lock)
            if copied <= _FEW:
                break
        updater.catch_up(copier.positions(), report, lock)  # its own writes need no second look
        updater.save()
    finally:
        updater.close()
    return _take_over(session, jobs, copier, lock)


def restore_original(session: IndexSession, jobs: JobsIndex, copy: ShopIndex, lock: Lock) -> Switch:
    """Put the index that a copy took the place of back in it, with all that was written since.

    Raises IndexingError where there is none, ClusterDown and JobStopped; the copy stays in its place then.
    """
    finish_switch(session, jobs, copy, lock)
    attachment = copy.attachment
    originals = get_shop_indexes(session, attachment.copied_from) if attachment else []
    if not originals:
        raise IndexingError(
            f"index {copy.name} is not a copy of one that is still there: `attune detach` takes its vectors "
            "out"
        )
    (original,) = originals
    client = session.client
    _allow_writes(session, original, session.retry)
    _allow_writes(session, copy, session.retry)
    properties = copy.mappings.get("properties", {}) | end_copying(copy.mappings)
    own = {name: field for name, field in properties.items() if name != ATTUNE}
    session.retry.call(
        f"preparing index {original.name}",
        lambda: client.indices.put_mapping(index=original.name, body={"properties": own}),
    )
    put_settings(client, original.name, NO_PIPELINES, session.retry)
    jobs.save(copy_key(copy), {"copy": original.name, "shards": {}})
    copier = IndexCopier(session, jobs, copy, original)
    for _ in range(_ROUNDS):
        if copier.catch_up(lock) <= _FEW:
            break
    return _take_over(session, jobs, copier, lock)


def _take_over(session: IndexSession, jobs: JobsIndex, copier: IndexCopier, lock: Lock) -> Switch:
    """Copy the last changes while writes are refused, and move the names."""
    source, copy = copier.source, copier.copy
    copier.delete_missing(copier.positions(), lock)
    _make_ready(session, source, copy)
    began = time.monotonic()
    with _writes_refused(session, source):
        copier.catch_up(lock)
        copier.check_complete()
        upto = copier.positions()
        previous = _clone(session, source) if session.alias == source.name else source.name
        jobs.save(copy_key(copy), {"source": previous, "upto": dump_positions(upto)})
        lock.check()
        _move_names(session, source, copy)
    seconds = round(time.monotonic() - began, 3)
    finish_switch(session, jobs, copy, lock)
    jobs.forget(copy_key(source))
    return Switch(copy.name, previous, seconds)


def finish_switch(session: IndexSession, jobs: JobsIndex, copy: ShopIndex, lock: Lock) -> None:
    """Delete from a copy that took an index's place what was deleted there, if that is still to be done."""
    state = jobs.load(copy_key(copy))
    if not state or "upto" not in state:
        return
    source = get_shop_indexes(session, state["source"])
    if source:
        positions = parse_positions(state["upto"])
        IndexCopier(session, jobs, source[0], copy).delete_missing(positions.values(), lock)
    attachment = copy.attachment
    if attachment and attachment.copied_from != state["source"]:
        put_metadata(session, copy, replace(attachment, copied_from=state["source"]))
    jobs.forget(copy_key(copy))


@contextmanager
def _writes_refused(session: IndexSession, source: ShopIndex) -> Iterator[None]:
    """Let OpenSearch refuse writes to an index, for good where the block ends well.

    What was being written is complete when the block begins.
    """
    client = session.client
    session.retry.call(
        f"blocking writes to {source.name}",
        lambda: client.indices.add_block(index=source.name, block="write"),
    )
    try:
        yield
    except BaseException:
        with suppress(AttuneError):
            _allow_writes(session, source, RetryPolicy(30))
        raise


def _allow_writes(session: IndexSession, source: ShopIndex, retry: RetryPolicy) -> None:
    retry.call(
        f"allowing writes to {source.name}",
        lambda: session.client.indices.put_settings(index=source.name, body={"index.blocks.write": None}),
    )


def _make_ready(session: IndexSession, source: ShopIndex, copy: ShopIndex) -> None:
    """Give the copy the settings of an index that is in use, and wait for its replicas."""
    put_settings(session.client, copy.name, select_final_settings(source), session.retry)
    wait_for_replicas(session.client, copy.name, _REPLICA_SECONDS, session.retry)


def _clone(session: IndexSession, source: ShopIndex) -> str:
    """Clone an index that refuses writes; return the clone's name. It refuses them too.

    Its replicas are filled afterwards: writes would be refused for as long as that takes.
    """
    client, name = session.client, make_index_name(f"attune-before-{source.name}", now_ms())
    replicas = source.settings.get("number_of_replicas")  # a clone gets the default
    body = {"settings": {"index": {"number_of_replicas": replicas}}}
    session.retry.call(
        f"cloning {source.name}",
        lambda: client.indices.clone(index=source.name, target=name, body=body),
    )
    return name


def _move_names(session: IndexSession, source: ShopIndex, copy: ShopIndex) -> None:
    """Move every alias of an index to its copy, and the index's own name where that is what the shop uses."""
    is_bare = session.alias == source.name
    actions: list[JsonObject] = [{"remove_index": {"index": source.name}}] if is_bare else []
    if is_bare:
        actions.append({"add": {"index": copy.name, "alias": source.name, "is_write_index": True}})
    for alias, options in source.aliases.items():
        given = {name: options[name] for name in _ALIAS_OPTIONS if name in options}
        actions.append({"add": {"index": copy.name, "alias": alias, **given}})
        if not is_bare:
            actions.append({"remove": {"index": source.name, "alias": alias}})

    def move() -> None:
        current = {index.name for index in get_shop_indexes(session, session.alias)}
        if copy.name not in current:  # an earlier attempt's answer may be lost
            session.client.indices.update_aliases(body={"actions": actions})

    session.retry.call(f"moving the names of {source.name} to {copy.name}", move)
