"""Whether a text search's parts agree: one result set by relevance, by price, collapsed, counted, paged,
filtered.

Random searches are asked of a running sidecar. For each, its total and its hits must be the same whichever
way they are requested; after a click on a facet's bucket the total must be the bucket's count; pages must
join; every hit must meet every filter; and nonsense, unknown barcodes and scripts that the model can't read
must find nothing. Prints JSON: searches, and those that break an agreement, by kind. A search of which some
answer was OpenSearch's own, because reranking failed or was late, counts as that alone.

    python -m tests.bench.agreements --url http://localhost:8080 --index products --searches 1000
"""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click
import requests

from mappings.types import JsonObject
from plugin_api.search.query.keyword_query import keyword_query
from tests.bench.inputs.searches import list_ids, make_sample_query, send_search

FACET = "brand.keyword"
_MOST = 400
"""Hits of the largest result set whose members are compared."""
_PAGED = 40
_LETTERS = "bcdfghjklmnpqrstvwxz"
_FOREIGN = ("ноутбук", "беспроводная мышь", "клавиатура", "حاسوب محمول", "سماعات", "עכבר אלחוטי", "หูฟังไร้สาย")
_FIELDS = ["title^3", "brand^2", "category^2", "description"]


@dataclass(frozen=True)
class RandomSearch:
    """A query, the conditions that each hit must meet, and whether nothing may be found."""

    query: JsonObject
    brand: str = ""
    most: float = 0.0
    is_nonsense: bool = False

    def narrow(self, brand: str) -> JsonObject:
        """Return the query after a click on a brand."""
        return {"bool": {"must": [self.query], "filter": [{"term": {FACET: brand}}]}}


class Agreements:
    """Asks a sidecar random searches over an Attune index, and names the agreements that they break."""

    def __init__(self, url: str, index: str, seed: int = 1) -> None:
        self._session, self._base, self._random = requests.Session(), f"{url}/{index}", random.Random(seed)
        self._failures: set[str] = set()
        sample = self._ask({"size": 2000, "query": make_sample_query(seed)})
        self._products = [hit["_source"] for hit in sample["hits"]["hits"]]

    def count_broken(self, searches: int) -> Counter[str]:
        """Return how many searches break each agreement."""
        broken: Counter[str] = Counter()
        for _ in range(searches):
            self._failures = set()
            kinds = set(self.find_broken(self.make()))
            broken.update(self._failures or kinds)
        return broken

    def make(self) -> RandomSearch:
        """Return a random search: words of products, misspelt ones, numbers, or nonsense."""
        product, pick = self._random.choice(self._products), self._random
        words = str(product.get("title", "")).split() or ["cable"]
        kind = pick.choice(("words", "words", "words", "typo", "category", "nonsense"))
        if kind == "nonsense":
            letters = " ".join("".join(pick.choices(_LETTERS, k=pick.randint(5, 9))) for _ in range(2))
            text = pick.choice((letters, f"9{pick.randrange(10**11, 10**12)}", pick.choice(_FOREIGN)))
            return RandomSearch(pick.choice(self._shapes(text)), is_nonsense=True)
        text = " ".join(pick.sample(words, min(len(words), pick.randint(1, 3))))
        if kind == "typo" and len(text) > 4:
            place = pick.randrange(1, len(text) - 1)
            text = text[:place] + text[place + 1 :]
        if kind == "category" and product.get("category"):
            text = str(product["category"]).split(">")[-1].strip()
        query = pick.choice(self._shapes(text))
        filters: list[JsonObject] = []
        brand = str(product.get("brand") or "") if pick.random() < 0.3 else ""
        most = float(product.get("price") or 0) * 2 if pick.random() < 0.3 else 0.0
        filters += [{"term": {FACET: brand}}] if brand else []
        filters += [{"range": {"price": {"lte": most}}}] if most else []
        if filters:
            query = {"bool": {"must": [query], "filter": filters}}
        return RandomSearch(query, brand, most)

    def _shapes(self, text: str) -> list[JsonObject]:
        many: JsonObject = {"query": text, "fields": _FIELDS}
        escaped = "".join(letter if letter.isalnum() else " " for letter in text) or "cable"
        return [
            keyword_query(text),
            {"match": {"title": text}},
            {"match": {"title": {"query": text, "operator": "and"}}},
            {"match_phrase": {"title": text}},
            {"multi_match": {**many, "type": "cross_fields"}},
            {"multi_match": {**many, "minimum_should_match": "75%"}},
            {"query_string": {"query": escaped, "fields": _FIELDS}},
            {"bool": {"should": [{"match": {"title": text}}, {"match": {"description": text}}]}},
            {"bool": {"must": [{"match": {"title": text}}, {"match": {"available": True}}]}},
            {"bool": {"must": [{"multi_match": many}], "should": [{"match": {"brand": "HP"}}]}},
            {"dis_max": {"queries": [{"match": {"title": text}}, {"match_phrase": {"title": text}}]}},
            {"function_score": {"query": {"multi_match": many}, "weight": 2}},
            {"constant_score": {"filter": {"match": {"title": text}}}},
        ]

    def find_broken(self, search: RandomSearch) -> Iterator[str]:
        """Yield the names of the agreements that a search breaks."""
        query = {"query": search.query, "track_total_hits": True}
        facets = {"brands": {"terms": {"field": FACET, "size": 5}}}
        first = self._ask({**query, "size": _PAGED, "_source": ["brand", "price"], "aggs": facets})
        total = _total(first)
        if first["ext"]["attune"].get("reason_code") == "no_text":
            return
        if search.is_nonsense and total:
            yield "nonsense finds something"
        if first["ext"]["attune"]["rerank_status"] != "reranked":
            if not search.is_nonsense:
                yield f"not reranked: {first['ext']['attune'].get('reason_code')}"
            return
        by_price = self._ask({**query, "size": 0, "sort": [{"price": "asc"}]})
        collapsed = self._ask({**query, "size": 5, "collapse": {"field": FACET}})
        counted = self._session.post(f"{self._base}/_count", json={"query": search.query}, timeout=60).json()
        for name, other in (
            ("total by price", _total(by_price)),
            ("total collapsed", _total(collapsed)),
            ("total counted", counted.get("count")),
        ):
            if other != total:
                yield name
        for bucket in first["aggregations"]["brands"]["buckets"][:2]:
            narrowed = {"query": search.narrow(bucket["key"]), "track_total_hits": True, "size": 1}
            if _total(self._ask(narrowed)) != bucket["doc_count"]:
                yield "facet after the click"
        for hit in first["hits"]["hits"]:
            source = hit["_source"]
            if search.brand and source.get("brand") != search.brand:
                yield "filter by brand"
            if search.most and not float(source.get("price", 0)) <= search.most:
                yield "filter by price"
        if total <= _MOST:
            yield from self._compare_sets(query, total)
        yield from self._compare_pages(query, list_ids(first))

    def _compare_sets(self, query: JsonObject, total: int) -> Iterator[str]:
        by_relevance = list_ids(self._ask({**query, "size": _MOST + 50, "_source": False}))
        by_price = list_ids(
            self._ask({**query, "size": _MOST + 50, "_source": False, "sort": [{"price": "desc"}]})
        )
        if len(by_relevance) != total or set(by_relevance) != set(by_price):
            yield "set by price"

    def _compare_pages(self, query: JsonObject, first: Sequence[str]) -> Iterator[str]:
        size = self._random.randint(3, 17)
        pages: list[str] = []
        for start in range(0, len(first), size):
            pages += list_ids(self._ask({**query, "from": start, "size": size, "_source": False}))
        if pages[: len(first)] != list(first):
            yield "pages"
        deep = list_ids(self._ask({**query, "from": 90, "size": 40, "_source": False}))
        if len(set(deep)) != len(deep) or set(deep) & set(first):
            yield "deep page"

    def _ask(self, body: JsonObject) -> JsonObject:
        answer = send_search(self._session, self._base, body)
        report = answer.get("ext", {}).get("attune", {})
        if (status := report.get("rerank_status")) in ("failed", "timeout", "shed"):
            self._failures.add(f"{status}: {report.get('reason_code')}")
        return answer


def _total(answer: JsonObject) -> int:
    total: int = answer["hits"]["total"]["value"]
    return total


@click.command(help=__doc__)
@click.option("--url", default="http://localhost:8080", show_default=True, help="The sidecar.")
@click.option("--index", default="products", show_default=True, help="Index or alias of the catalogue.")
@click.option("--searches", default=1000, show_default=True, help="Random searches.")
@click.option("--seed", default=1, show_default=True, help="Seed of the random searches.")
def main(url: str, index: str, searches: int, seed: int) -> None:
    """Print how many of the random searches break an agreement, by kind."""
    broken = Agreements(url, index, seed).count_broken(searches)
    click.echo(json.dumps({"searches": searches, "broken": dict(broken)}, indent=2))


if __name__ == "__main__":
    main()
