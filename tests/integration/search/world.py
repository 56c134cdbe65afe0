"""What the cases of SEARCH.md search in, beside the sample: more indexes, aliases, a template, pipelines."""

import json
from collections.abc import Iterator

import requests

from tests.integration.search.case import CHEAP, LAPTOP, NDJSON
from tests.integration.stack import text_settings

VARIANTS = 60
"""Products that the index `variants` has too, under the same ids."""

SOME = {"size": VARIANTS, "query": {"bool": {"must": {"match_all": {}}, "should": LAPTOP}}}

SAID = ("fits my laptop", "broke at once", "fine")

EXTRA_FIELDS = {
    "said": {"type": "text"},
    "offers": {"type": "nested", "properties": {"seller": {"type": "text"}, "price": {"type": "double"}}},
    "popularity": {"type": "rank_feature"},
    "begin": {"type": "completion"},
    "offered": {"type": "date"},
    "place": {"type": "geo_point"},
    "alert": {"type": "percolator"},
    "kind": {"type": "join", "relations": {"product": "review"}},
}


def build(base: str) -> None:
    """Make them all: `variants` with fields of every kind, `plain` without Attune's, `shut`, aliases."""
    (sample,) = _call("GET", f"{base}/products").values()
    index = sample["settings"]["index"]
    mappings = sample["mappings"]
    _call(
        "PUT",
        f"{base}/variants",
        {
            "settings": {
                "index": {
                    "knn": True,
                    "number_of_shards": 2,
                    "number_of_replicas": 0,
                    **text_settings(index),
                }
            },
            "mappings": {**mappings, "properties": {**mappings["properties"], **EXTRA_FIELDS}},
        },
    )
    found = _call("POST", f"{base}/products/_search", SOME)
    _bulk(base, "variants", _variants(found["hits"]["hits"]))
    _call("PUT", f"{base}/variants/_doc/alert?refresh=true", {"alert": {"match": {"title": "laptop"}}})
    _bulk(
        base,
        "plain",
        [({"_id": str(n)}, {"title": title}) for n, title in enumerate(("laptop", "laptop bag"))],
    )
    _bulk(base, "shut", [({"_id": "1"}, {"title": "laptop"})])
    _call("POST", f"{base}/shut/_close")
    actions = [
        {"add": {"index": "variants", "alias": "cheap", "filter": CHEAP}},
        {"add": {"index": "variants", "alias": "routed", "routing": "b"}},
    ]
    _call("POST", f"{base}/_aliases", {"actions": actions})
    source = (
        '{"query": {"bool": {"must": [{"match": {"title": "{{text}}"}}],'
        ' "filter": [{"term": {"brand.keyword": "{{brand}}"}}]}}, "size": 200}'
    )
    for name, pipeline in PIPELINES.items():  # of which each image knows its own kinds
        requests.put(f"{base}/_search/pipeline/{name}", json=pipeline, timeout=120)
    _call("PUT", f"{base}/_scripts/by_text", {"script": {"lang": "mustache", "source": source}})


PIPELINES = {
    "cheap_only": {"request_processors": [{"filter_query": {"query": CHEAP}}]},
    "fused": {"phase_results_processors": [{"normalization-processor": {}}]},
}


def _variants(
    hits: list[dict[str, dict[str, object]]],
) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    for number, hit in enumerate(hits):
        price = 10.0 * (number % 15)
        more = {
            "offers": [
                {"seller": "Laptop World" if number % 2 else "Stand Shop", "price": price},
                {"seller": "Bag Shop", "price": price + 5},
            ],
            "price": price,
            "popularity": number + 1,
            "begin": [hit["_source"]["title"]],
            "offered": f"2026-01-{number % 28 + 1:02}",
            "kind": "product",
            "place": {"lat": 52.5 + number / 1000, "lon": 13.4},
        }
        routing = "ab"[number % 2]
        yield {"_id": hit["_id"], "routing": routing}, {**hit["_source"], **more}
        review = {"name": "review", "parent": hit["_id"]}
        yield {"_id": f"review-{number}", "routing": routing}, {"said": SAID[number % 3], "kind": review}


def _bulk(base: str, index: str, documents: object) -> None:
    lines = "".join(f"{json.dumps({'index': meta})}\n{json.dumps(body)}\n" for meta, body in documents)  # type: ignore[attr-defined]
    answer = requests.post(
        f"{base}/{index}/_bulk?refresh=true", data=lines.encode(), headers=NDJSON, timeout=120
    )
    assert not answer.json()["errors"], answer.text[:2000]


def _call(method: str, url: str, body: object = None) -> dict[str, dict]:  # type: ignore[type-arg]
    answer = requests.request(method, url, json=body, timeout=120)
    assert answer.ok, answer.text[:2000]
    return answer.json()  # type: ignore[no-any-return]
