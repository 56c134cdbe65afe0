"""Products that few have bought yet borrow the neighbours of bought ones that are like them."""

from collections.abc import Iterator, Mapping, Sequence, Set
from urllib.parse import quote

from mappings import fields
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import dumps
from plugin_api.shoppers.cluster import ClusterRequests, ShopperStoreError
from plugin_api.shoppers.product_counts import POPULARITY, read_hit_vectors
from reranker.behaviour.likeness import LENDERS, weigh_likeness
from reranker.encoders.codec import quantise_vector
from reranker.types import Floats

MAX_NEW = 50_000
"""New products that may borrow, at most: each takes a search of some milliseconds."""

_SEARCHED = 40
_AT_ONCE = 100


def borrow_neighbours(
    requests: ClusterRequests, alias: str, new: Sequence[str], lenders: Set[str]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each new product that has a vector with the weights of the lenders like it, the nearest first.

    The lenders' counts must be in the index: only products with a popularity are searched. Raises
    ShopperStoreError, and ModelError for vectors that can't be read.
    """
    for begin in range(0, min(len(new), MAX_NEW), _AT_ONCE):
        vectors = _read_vectors(requests, alias, new[begin : begin + _AT_ONCE])
        if not vectors:
            continue
        lines = b"".join(b"{}\n" + dumps(_search_near(vector)) + b"\n" for vector in vectors.values())
        _, answer = requests.ask("POST", f"/{quote(alias, safe='')}/_msearch", lines)
        for product, response in zip(vectors, answer["responses"], strict=True):
            if "error" in response:
                raise ShopperStoreError(
                    f"products like {product} can't be searched: {response['error']['reason']}"
                )
            near = {
                hit["_id"]: weigh_likeness(2 * hit["_score"] - 1)  # OpenSearch's score is (1 + cosine) / 2
                for hit in response["hits"]["hits"]
                if hit["_id"] in lenders and hit["_id"] != product
            }
            yield product, dict(list(near.items())[:LENDERS])


def _read_vectors(requests: ClusterRequests, alias: str, products: Sequence[str]) -> Mapping[str, Floats]:
    body = {
        "query": {"ids": {"values": list(products)}},
        "size": len(products),
        "_source": False,
        "docvalue_fields": [fields.TOKENS],
    }
    hits = requests.ask("POST", f"/{quote(alias, safe='')}/_search", body)[1]["hits"]["hits"]
    vectors = zip((hit["_id"] for hit in hits), read_hit_vectors(hits), strict=True)
    return {product: vector for product, vector in vectors if vector is not None}


def _search_near(vector: Floats) -> JsonObject:
    bought = {"exists": {"field": POPULARITY}}
    near = {"vector": quantise_vector(vector), "k": _SEARCHED, "filter": bought}
    return {
        "query": {"knn": {fields.VECTOR: near}},
        "size": _SEARCHED,
        "_source": False,
        "track_total_hits": False,
    }
