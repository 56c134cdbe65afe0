"""Rendering answers in OpenSearch's own shape, with what became of reranking under `ext.attune`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mappings import fields
from mappings.types import Hit, JsonObject
from plugin_api.candidates import FOUND, FirstStage, Fused, hit_key
from plugin_api.request import RerankRequest

RERANKED, SKIPPED, FAILED, TIMEOUT, MISMATCH = "reranked", "skipped", "failed", "timeout", "model_mismatch"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and its JSON body."""

    status: int
    body: JsonObject


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds spent encoding the query, waiting for candidates and scoring them."""

    encode: float = 0.0
    search: float = 0.0
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What became of reranking: one of the five states, the reason (empty when reranked), and the costs."""

    rerank_status: str
    model: str
    reason: str = ""
    window: int = 0
    took_ms: Took = Took()


@dataclass(frozen=True, slots=True)
class Scored:
    """One hit of the window with the model's probability that the product answers the query."""

    fused: Fused
    score: float


def error_answer(status: int, kind: str, reason: str) -> Answer:
    """An error in OpenSearch's shape."""
    cause = {"type": kind, "reason": reason}
    return Answer(status, {"error": {"root_cause": [cause], **cause}, "status": status})


def with_report(body: JsonObject, report: Report) -> JsonObject:
    """The body with `ext.attune` added to whatever else is under `ext`."""
    shown = {key: value for key, value in asdict(report).items() if key != "reason" or value}
    return {**body, "ext": {**body.get("ext", {}), fields.ATTUNE: shown}}


def first_stage_answer(first: FirstStage, request: RerankRequest, report: Report) -> Answer:
    """The caller's own hits as OpenSearch ordered and scored them."""
    page = (*first.keyword, *first.below)[request.start : request.start + request.size]
    hits = [_rendered(hit, hit.score, request) for hit in page]
    return Answer(
        200, with_report({**first.response, "hits": {**first.response["hits"], "hits": hits}}, report)
    )


def ranked_answer(
    first: FirstStage, window: Sequence[Scored], request: RerankRequest, report: Report
) -> Answer:
    """The window by probability, then the caller's other hits in their own order.

    Below the window `_score` is the window's lowest divided by 2, 3, 4 …, so that scores never rise down
    the list, on any page. An exact total grows by the hits that only k-NN found: they push as many of the
    caller's down, which a pager that stops at the total would otherwise never reach.
    """
    ranked = sorted(window, key=lambda scored: scored.score, reverse=True)
    inside = {hit_key(scored.fused.hit) for scored in ranked}
    rest = [hit for hit in (*first.keyword, *first.below) if hit_key(hit) not in inside]
    lowest = ranked[-1].score if ranked else 0.0
    everything = [(scored.fused.hit, scored.score) for scored in ranked]
    everything += [(hit, lowest / divisor) for divisor, hit in enumerate(rest, start=2)]
    page = everything[request.start : request.start + request.size]
    hits = [_rendered(hit, score, request) for hit, score in page]
    shell: JsonObject = {
        **first.response["hits"],
        "max_score": ranked[0].score if ranked else None,
        "hits": hits,
    }
    if "total" in shell:
        shell["total"] = _grown(shell["total"], sum(scored.fused.added for scored in ranked))
    return Answer(200, with_report({**first.response, "hits": shell}, report))


def _grown(total: object, added: int) -> object:
    if isinstance(total, int):
        return total + added
    if isinstance(total, dict) and total.get("relation") == "eq":
        return {**total, "value": total["value"] + added}
    return total


def _rendered(hit: Hit, score: float, request: RerankRequest) -> JsonObject:
    """The hit as it came, less what was asked for on Attune's own behalf."""
    raw = {**hit.raw, "_score": score}
    if "fields" in raw:
        asked = request.asked
        raw["fields"] = {
            name: values
            for name, values in raw["fields"].items()
            if not name.startswith(f"{fields.ATTUNE}.") or name in asked
        }
    if FOUND in raw.get("matched_queries", ()):
        raw["matched_queries"] = [name for name in raw["matched_queries"] if name != FOUND]
    return {key: value for key, value in raw.items() if value or key not in ("fields", "matched_queries")}
