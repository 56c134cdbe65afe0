"""Asks OpenSearch and the sidecar the same query and compares the two rankings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import OpenSearchException, TransportError

from mappings import fields
from mappings.errors import AttuneError
from mappings.types import JsonObject
from plugin_api.clients.rules import WARNING
from plugin_api.commands.demo.queries import DemoQuery
from plugin_api.search.query.keyword_query import keyword_query

_SHOWN = 5
COMPARED_HITS = 1000
"""Number of keyword hits in which the rank of a hit is looked up."""

_RUNS = 3
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class AttuneHit:
    """A hit of Attune's ranking. `keyword_rank` is None below the first COMPARED_HITS keyword hits."""

    title: str
    keyword_rank: int | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueryComparison:
    """Both rankings of one query.

    Times are milliseconds as a client measures them; `rerank_ms` is part of `attune_ms`. `reason` says why
    the hits are not reranked, and is empty when they are.
    """

    query: str
    shows: str
    keyword: tuple[str, ...]
    attune: tuple[AttuneHit, ...]
    keyword_ms: float
    attune_ms: float
    rerank_ms: float
    reason: str


def compare_query(
    direct: OpenSearch, sidecar: OpenSearch, index: str, query: DemoQuery, minimum_match: str = ""
) -> QueryComparison:
    """Send both clients the same `_search`. The times are the medians of _RUNS runs, after one to warm up.

    Raises AttuneError when either does not answer.
    """
    words = keyword_query(query.text, (), minimum_match)
    body: JsonObject = {"query": words, "size": _SHOWN, "_source": [fields.TITLE]}
    ext: JsonObject = {"ext": {fields.ATTUNE: {"client": query.client}}} if query.client else {}
    with one_line_errors():
        ranked = direct.search(index=index, body={"query": words, "size": COMPARED_HITS, "_source": False})
        ranks = {hit["_id"]: rank for rank, hit in enumerate(ranked["hits"]["hits"], start=1)}
        keyword_ms, keyword = _timed(direct, index, body)
        attune_ms, attune = _timed(sidecar, index, {**body, **ext})
    report = attune["ext"][fields.ATTUNE]
    took = report["took_ms"]
    return QueryComparison(
        query=query.text,
        shows=query.shows,
        keyword=tuple(_title(hit) for hit in keyword["hits"]["hits"]),
        attune=tuple(
            AttuneHit(_title(hit), ranks.get(hit["_id"]), _warnings(hit)) for hit in attune["hits"]["hits"]
        ),
        keyword_ms=round(keyword_ms, 1),
        attune_ms=round(attune_ms, 1),
        rerank_ms=round(took["encode"] + took["score"], 1),
        reason=report.get("reason", ""),
    )


def serves_index(sidecar: OpenSearch, alias: str, index: str) -> bool:
    """Return whether a sidecar's `alias` is this index: its OpenSearch may be another one."""
    try:
        hits = sidecar.search(index=alias, body={"size": 1, "_source": False})["hits"]["hits"]
    except OpenSearchException:
        return False
    return bool(hits) and hits[0]["_index"] == index


def _timed(client: OpenSearch, index: str, body: JsonObject) -> tuple[float, JsonObject]:
    """Return the milliseconds and the response of the median run.

    Each run has another timeout, which makes it a new search to the sidecar, so that its cache is not used.
    """
    client.search(index=index, body=body)
    runs: list[tuple[float, JsonObject]] = []
    for seconds in range(_TIMEOUT_SECONDS, _TIMEOUT_SECONDS + _RUNS):
        began = time.perf_counter()
        answer: JsonObject = client.search(index=index, body={**body, "timeout": f"{seconds}s"})
        runs.append(((time.perf_counter() - began) * 1000, answer))
    return sorted(runs, key=lambda run: run[0])[_RUNS // 2]


def _title(hit: JsonObject) -> str:
    return str(hit["_source"].get(fields.TITLE, hit["_id"]))


def _warnings(hit: JsonObject) -> tuple[str, ...]:
    return tuple(hit.get("fields", {}).get(WARNING, ()))


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Make a search that fails an AttuneError of one line."""
    try:
        yield
    except NoConnection as error:
        raise AttuneError(f"a search was not answered: {error.error}; run the demo again") from error
    except TransportError as error:
        raise AttuneError(f"a search was refused: {error.status_code} {error.error}") from error
