"""Which model an index was made with, asked before the first search brings it to light."""

from collections.abc import Iterator, Sequence

from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from indexer.store.alias import META

TIMEOUT_SECONDS = 5.0


def other_models(client: OpenSearch, alias: str, versions: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each index behind `alias` that was made with none of the models `versions`.

    Yields nothing where the alias is missing, or the answer is not OpenSearch's: searches tell of that.
    """
    try:
        mappings = client.indices.get_mapping(index=alias, params={"request_timeout": TIMEOUT_SECONDS})
    except OpenSearchException:
        return
    for index, mapping in sorted(mappings.items()) if isinstance(mappings, dict) else ():
        made_with = _value(mapping, "mappings", "_meta", META, "model")
        if made_with and made_with not in versions:
            yield (
                f"{index} was made with model {made_with}, this is {', '.join(versions)}: its searches get "
                "their first-stage hits until it is indexed again, or model.others names that model"
            )


def find_index_models(client: OpenSearch) -> set[str]:
    """Return the versions of the models that indexes of the cluster were made with.

    Raises OpenSearchException where the cluster does not answer.
    """
    recorded = f"*.mappings._meta.{META}.model,*.mappings._meta.{META}.attached.model"
    mappings = client.indices.get_mapping(
        index="*", params={"filter_path": recorded, "request_timeout": TIMEOUT_SECONDS}
    )
    versions = [
        _value(mapping, "mappings", "_meta", META, *path)
        for mapping in mappings.values()
        for path in (("model",), ("attached", "model"))
    ]
    return {version for version in versions if isinstance(version, str)}


def _value(document: object, *path: str) -> object:
    """Return what stands at a path of keys; None where it is not there."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document
