"""Which model an index was made with, asked before the first search brings it to light."""

from collections.abc import Iterator, Sequence

from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from indexer.store.alias import META

TIMEOUT_SECONDS = 5.0


def other_models(client: OpenSearch, alias: str, versions: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each index behind `alias` that was made with none of the models `versions`.

    Says nothing where the alias is missing, or the cluster does not answer: searches tell of that.
    """
    try:
        held = client.indices.get_mapping(index=alias, params={"request_timeout": TIMEOUT_SECONDS})
    except OpenSearchException:
        return
    for index, body in sorted(held.items()):
        noted = body.get("mappings", {}).get("_meta", {}).get(META, {})
        made_with = noted.get("model") if isinstance(noted, dict) else None
        if made_with and made_with not in versions:
            yield (
                f"{index} was made with model {made_with}, this is {', '.join(versions)}: its searches get "
                "their first-stage hits until it is indexed again, or model.others names that model"
            )
