"""Rendering answers in OpenSearch's own shape, with what became of reranking under `ext.attune`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec
from msgspec import Raw

from mappings import fields
from plugin_api.opensearch.connection import Headers
from plugin_api.opensearch.raw_json import RawObject, dumps, raw_object
from plugin_api.search.query.request import RerankRequest
from plugin_api.search.retrieval.candidates import FirstStage
from plugin_api.search.retrieval.fusion import Fused
from plugin_api.search.retrieval.slim_hits import STORED, Key

RERANKED, SKIPPED, FAILED, TIMEOUT, MISMATCH = "reranked", "skipped", "failed", "timeout", "model_mismatch"
SHED = "shed"
STATES = (RERANKED, SKIPPED, FAILED, TIMEOUT, MISMATCH, SHED)

STATUS_HEADER, REASON_HEADER = "x-attune-rerank-status", "x-attune-rerank-reason"
"""Where the report also stands, for answers with no room for it in their body."""

JSON_TYPE = "application/json; charset=UTF-8"
OF_THE_BODY = frozenset({"content-length", "content-type", "content-encoding"})
REASON_BYTES = 300

Hits = Mapping[Key, RawObject]
"""Whole hits as they came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: its body is whole, or comes in chunks. Names of headers are in lower case."""

    status: int
    body: bytes | Iterator[bytes]
    headers: Headers = (("content-type", JSON_TYPE),)

    def json(self) -> Any:
        """Read the body to its end and parse it."""
        whole = self.body if isinstance(self.body, bytes) else b"".join(self.body)
        return msgspec.json.decode(whole)


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds spent encoding the query, waiting for candidates, scoring them and fetching the page."""

    encode: float = 0.0
    search: float = 0.0
    score: float = 0.0
    fetch: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What became of reranking: one of STATES, the reason (empty when reranked), and the costs.

    `kept` where the window was ranked by an earlier search (`ranked_windows`).
    """

    rerank_status: str
    model: str
    reason: str = ""
    window: int = 0
    took_ms: Took = Took()
    kept: bool = False

    @property
    def headers(self) -> Headers:
        """The state and the reason as headers."""
        shown = self.reason.encode("ascii", "replace").decode()[:REASON_BYTES]
        printable = "".join(letter if letter.isprintable() else " " for letter in shown)
        return ((STATUS_HEADER, self.rerank_status), *(((REASON_HEADER, printable),) if printable else ()))


@dataclass(frozen=True, slots=True)
class Scored:
    """One hit of the window with the model's probability that the product answers the query."""

    fused: Fused
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order of everything down to the end of the page, best first, and how many hits vectors added.

    `shell` and `headers` are of OpenSearch's answer, as in FirstStage.
    """

    hits: tuple[tuple[Key, float], ...]
    added: int
    shell: RawObject
    headers: Headers

    def page(self, request: RerankRequest) -> tuple[tuple[Key, float], ...]:
        """The part that was asked for."""
        return self.hits[request.start : request.start + request.size]


def error_answer(status: int, kind: str, reason: str) -> Answer:
    """An error in OpenSearch's shape."""
    cause = {"type": kind, "reason": reason}
    return Answer(status, dumps({"error": {"root_cause": [cause], **cause}, "status": status}))


def with_report(body: RawObject, report: Report) -> RawObject:
    """The body with `ext.attune` added to whatever else is under `ext`."""
    shown = {key: value for key, value in asdict(report).items() if key not in ("reason", "kept") or value}
    ext = raw_object(body["ext"]) if "ext" in body else {}
    return {**body, "ext": Raw(dumps({**ext, fields.ATTUNE: shown}))}


def ranking(first: FirstStage, window: Sequence[Scored]) -> Ranking:
    """The window by probability, then the caller's other hits in their own order.

    Below the window a score is the window's lowest divided by 2, 3, 4 …, so that scores never rise down the
    list, on any page.
    """
    ranked = sorted(window, key=lambda scored: scored.score, reverse=True)
    inside = {scored.fused.hit.key for scored in ranked}
    rest = [hit.key for hit in first.own if hit.key not in inside]
    lowest = ranked[-1].score if ranked else 0.0
    hits = [(scored.fused.hit.key, scored.score) for scored in ranked]
    hits += [(key, lowest / divisor) for divisor, key in enumerate(rest, start=2)]
    added = sum(scored.fused.added for scored in ranked)
    return Ranking(tuple(hits), added, first.shell, first.headers)


def ranked_answer(
    order: Ranking, whole: Hits, request: RerankRequest, report: Report, took_ms: int
) -> Answer:
    """The page, its hits as they came but for `_score`.

    An exact total grows by the hits that only k-NN found: they push as many of the caller's down, which a
    pager that stops at the total would otherwise never reach.
    """
    hits = [_rendered(whole[key], score, request) for key, score in order.page(request) if key in whole]
    around: dict[str, Any] = dict(raw_object(order.shell["hits"]))
    around["max_score"] = order.hits[0][1] if order.hits else None
    if "total" in around and order.added:
        around["total"] = _grown(msgspec.json.decode(around["total"]), order.added)
    shell = {**order.shell, "took": Raw(dumps(took_ms)), "hits": Raw(dumps({**around, "hits": hits}))}
    return Answer(200, dumps(with_report(shell, report)), json_headers(order.headers, report))


def with_status(answer: Answer) -> Answer:
    """The answer with the `status` that OpenSearch writes into those to templates."""
    try:
        body = raw_object(answer.body) if isinstance(answer.body, bytes) else None
    except ValueError:  # no answer of OpenSearch's
        body = None
    return answer if body is None else replace(answer, body=dumps({**body, "status": Raw(b"200")}))


def json_headers(headers: Headers, report: Report) -> Headers:
    """Headers of OpenSearch's answer for a body that is written anew, and the report's."""
    kept = tuple((name, value) for name, value in headers if name not in OF_THE_BODY)
    return (("content-type", JSON_TYPE), *kept, *report.headers)


def _grown(total: object, added: int) -> object:
    if isinstance(total, int):
        return total + added
    if isinstance(total, dict) and total.get("relation") == "eq":
        return {**total, "value": total["value"] + added}
    return total


def _rendered(hit: RawObject, score: float, request: RerankRequest) -> dict[str, Any]:
    """The hit as it came, less what was asked for on Attune's own behalf."""
    rendered: dict[str, Any] = {**hit, "_score": score}
    if "fields" in hit and not request.widens:
        asked = request.asked
        values = raw_object(hit["fields"])
        shown = {name: value for name, value in values.items() if name not in STORED or name in asked}
        if shown:
            rendered["fields"] = shown
        else:
            del rendered["fields"]
    return rendered
