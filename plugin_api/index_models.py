"""Which model an index was made with, asked before the first search brings it to light."""

from collections.abc import Iterator

from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from indexer.alias import META

TIMEOUT_SECONDS = 5.0


def other_models(client: OpenSearch, alias: str, version: str) -> Iterator[str]:
    """Yield a sentence for each index behind `alias` that was made with another model than `version`.

    Says nothing where the alias is missing, or the cluster does not answer: searches tell of that.
    """
    try:
        held = client.indices.get_mapping(index=alias, params={"request_timeout": TIMEOUT_SECONDS})
    except OpenSearchException:
        return
    for index, body in sorted(held.items()):
        noted = body.get("mappings", {}).get("_meta", {}).get(META, {})
        made_with = noted.get("model", version) if isinstance(noted, dict) else version
        if made_with != version:
            yield (
                f"{index} was made with model {made_with}, this is {version}: its searches get their "
                "first-stage hits until it is indexed again, or --model names that model"
            )
