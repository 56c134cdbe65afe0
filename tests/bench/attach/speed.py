"""How fast a shop's index is attached, beside `attune index`, and how well its own searches are ranked."""

import json
import tempfile
import time
from pathlib import Path

from opensearchpy import OpenSearch

from mappings.types import JsonObject
from tests.bench.attach.shop import ALIAS, INDEX, create_shop, flatten, read_documents, run
from tests.bench.inputs import JUDGEMENTS

TEMPLATE: JsonObject = {
    "query": {
        "multi_match": {
            "query": "{{text}}",
            "fields": ["name^3", "maker.name^2", "body", "specs"],
            "type": "cross_fields",
        }
    }
}
"""The shop's own search."""


def measure_speed(client: OpenSearch, products: int) -> dict[str, float]:
    """Return products a second of `attune index` and of `attune attach`, of the same texts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "catalogue.jsonl"
        documents = list(read_documents(products))
        file.write_text("".join(json.dumps(flatten(key, source)) + "\n" for key, source in documents))
        started = time.perf_counter()
        run("index", str(file), "--alias", ALIAS, "--json")
        indexing = time.perf_counter() - started
    create_shop(client, documents)
    started = time.perf_counter()
    run("attach", INDEX, "--json")
    attaching = time.perf_counter() - started
    return {
        "products": len(documents),
        "index_per_second": round(len(documents) / indexing, 1),
        "attach_per_second": round(len(documents) / attaching, 1),
        "ratio": round(indexing / attaching, 3),
    }


def measure_relevance() -> JsonObject:
    """Return nDCG@10 of both indexes' own keyword search, and of Attune over it.

    Both hold the same products, and both are ranked by the shipped model. It learnt from these judgements:
    `tests.bench.relevance` has figures of queries that it never saw.
    """
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "search.json"
        template.write_text(json.dumps(TEMPLATE))
        own = ("--query-template", str(template))
        return {name: _evaluate(index, *more) for name, index, more in (
            ("foreign_mapping", INDEX, own), ("own_mapping", ALIAS, ()),
        )}  # fmt: skip


def _evaluate(index: str, *more: str) -> dict[str, float]:
    which = ("--system", "attune", "--system", "bm25")
    printed = run("evaluate", "--judgements", str(JUDGEMENTS), "--alias", index, *which, "--json", *more)
    systems = json.loads(printed)["whole_catalogue"]["systems"]
    return {of["name"]: round(of["measures"]["ndcg@10"]["mean"], 4) for of in systems}
