"""The record of a check-up in the metadata of an index's mapping, where its searches read it."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from opensearchpy import OpenSearch

from indexer.store.alias import META
from indexer.store.opensearch_errors import translate_errors
from mappings.settings import TUNING, UNTUNED, TunedSettings
from mappings.types import JsonObject
from plugin_api.tuning.report import TuningReport


def record_tuning(client: OpenSearch, index: str, report: TuningReport) -> list[str]:
    """Record a report in every index behind an index or alias; return their names.

    A running sidecar uses its settings within a minute. Raises IndexingError, ClusterDown.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return _change(client, index, lambda metadata: {**metadata, TUNING: {"at": at, **report.as_json()}})


def forget_tuning(client: OpenSearch, index: str) -> list[str]:
    """Take the records out again; return the names of the indexes. Raises as `record_tuning` does."""
    return _change(client, index, lambda metadata: {k: v for k, v in metadata.items() if k != TUNING})


def read_tunings(client: OpenSearch, index: str) -> dict[str, TunedSettings]:
    """Return what is chosen for each index behind an index or alias. Raises as `record_tuning` does."""
    tunings = {}
    for name, meta in _read_metas(client, index).items():
        record = meta.get(META, {}).get(TUNING)
        try:
            settings = record.get("settings", {}) if isinstance(record, dict) else {}
            tunings[name] = msgspec.convert(settings, TunedSettings)
        except msgspec.ValidationError:  # searches do without it as well
            tunings[name] = UNTUNED
    return tunings


def read_tuned_template(client: OpenSearch, index: str) -> JsonObject | None:
    """Return the shop's own search that the last check-up of an index or alias was given; None for none.

    Raises as `record_tuning` does.
    """
    with translate_errors(f"looking up {index}"):
        if not client.indices.exists(index=index):
            return None
    metas = _read_metas(client, index).values()
    records = [record for meta in metas if isinstance(record := meta.get(META, {}).get(TUNING), dict)]
    templates = [template for record in records if isinstance(template := record.get("template"), dict)]
    return templates[0] if templates else None


def _change(client: OpenSearch, index: str, change: Callable[[JsonObject], JsonObject]) -> list[str]:
    metas = _read_metas(client, index)
    for name, meta in metas.items():
        body = {"_meta": {**meta, META: change(meta.get(META, {}))}}
        with translate_errors(f"writing the metadata of {name}"):
            client.indices.put_mapping(index=name, body=body)
    return list(metas)


def _read_metas(client: OpenSearch, index: str) -> dict[str, JsonObject]:
    with translate_errors(f"looking up {index}"):
        answer = client.indices.get_mapping(index=index)
    return {name: body["mappings"].get("_meta", {}) for name, body in sorted(answer.items())}
