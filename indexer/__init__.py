"""Catalogues, databases and existing indexes become searchable indexes with product vectors.

The jobs as a Python API:

    rebuild_index    a new index from a catalogue or from another index, then the alias moves to it
    apply_changes    upserts, partial updates and deletes on the index in use
    verify_index     the differences of a catalogue and its index
    roll_back        the alias returns to the index before
    attach_index     vectors for the documents of an index that a shop already has
    follow_index     keeps those vectors in step with the shop's own writers
    detach_index     takes them out again

Each takes an `IndexSession`: client, alias, models and settings. The docstring of each job has
an example. Names are imported when they are first used: importing one room does not load the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexer.attach.job import FollowJob, attach_index, detach_index, follow_index
    from indexer.catalogue.field_map import load_field_map
    from indexer.catalogue.guessing import guess_field_map
    from indexer.change.job import ChangeJob, ChangesReport, apply_changes
    from indexer.rebuild.job import RebuildReport, rebuild_index
    from indexer.rebuild.product_source import CatalogueSource, open_index_source
    from indexer.rebuild.rollback import RollbackReport, roll_back
    from indexer.rebuild.verify import VerifyReport, verify_index
    from indexer.sources.change_stream import ChangeStream
    from indexer.sources.files import open_catalogue
    from indexer.store.retry import RetryPolicy
    from indexer.store.session import IndexSession, OneEncoder

_MODULES = {
    "CatalogueSource": "indexer.rebuild.product_source",
    "ChangeJob": "indexer.change.job",
    "ChangeStream": "indexer.sources.change_stream",
    "ChangesReport": "indexer.change.job",
    "FollowJob": "indexer.attach.job",
    "IndexSession": "indexer.store.session",
    "OneEncoder": "indexer.store.session",
    "RebuildReport": "indexer.rebuild.job",
    "RetryPolicy": "indexer.store.retry",
    "RollbackReport": "indexer.rebuild.rollback",
    "VerifyReport": "indexer.rebuild.verify",
    "apply_changes": "indexer.change.job",
    "attach_index": "indexer.attach.job",
    "detach_index": "indexer.attach.job",
    "follow_index": "indexer.attach.job",
    "guess_field_map": "indexer.catalogue.guessing",
    "load_field_map": "indexer.catalogue.field_map",
    "open_catalogue": "indexer.sources.files",
    "open_index_source": "indexer.rebuild.product_source",
    "rebuild_index": "indexer.rebuild.job",
    "roll_back": "indexer.rebuild.rollback",
    "verify_index": "indexer.rebuild.verify",
}
"""Name → the module that has it."""

__all__ = [
    "CatalogueSource",
    "ChangeJob",
    "ChangeStream",
    "ChangesReport",
    "FollowJob",
    "IndexSession",
    "OneEncoder",
    "RebuildReport",
    "RetryPolicy",
    "RollbackReport",
    "VerifyReport",
    "apply_changes",
    "attach_index",
    "detach_index",
    "follow_index",
    "guess_field_map",
    "load_field_map",
    "open_catalogue",
    "open_index_source",
    "rebuild_index",
    "roll_back",
    "verify_index",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'indexer' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
