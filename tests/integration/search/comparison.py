"""The same search asked of OpenSearch and of the sidecar, and what must be the same in both answers."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import requests

from tests.integration.search.case import JSON, Case, Outcome

Json = dict[str, Any]

OWN = ("took", "ext", "profile", "hits")
"""Parts of an answer that are compared on their own, or never the same twice."""


@dataclass(frozen=True)
class Answer:
    """One answer, or one of a list's. `body` is its text where it is no JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]


def ask(base: str, case: Case) -> Answer:
    """Ask one case."""
    url = f"{base}{case.path}" + (f"?{urlencode(case.params)}" if case.params else "")
    reply = requests.request(case.method, url, data=case.data, headers=dict(case.headers), timeout=120)
    json_type = reply.headers.get("content-type", "").startswith("application/json") and reply.content
    return Answer(reply.status_code, reply.json() if json_type else reply.text, reply.headers)


def without_options(body: object) -> object:
    """The body less `ext.attune`, which OpenSearch does not take."""
    if not isinstance(body, dict) or "attune" not in body.get("ext", {}):
        return body
    return {key: value for key, value in body.items() if key != "ext"}


def differences(case: Case, direct: Answer, reranked: Answer, allowed: set[str] | None) -> Iterator[str]:
    """Say whatever in the answers is not as the case has it. `allowed` are ids that may be hits."""
    if case.outcome is Outcome.REFUSED:
        if direct.status < 400 or _anywhere(direct) != _anywhere(reranked):
            yield f"{direct}, but {reranked}"
    elif direct.status != 200 or reranked.status != 200:
        yield f"refused: {direct}, {reranked}"
    elif case.outcome is Outcome.PLAIN:
        yield from _plain(case, direct, reranked)
    else:
        yield from _ranked(case, direct.body, reranked.body, allowed)
    if case.outcome is not Outcome.REFUSED:
        yield from _shown(case, direct.body)


def _anywhere(answer: Answer) -> tuple[int, str]:
    """Status and error, less where in the body it stands: Attune writes bodies anew."""
    return answer.status, re.sub(r'"col": \d+|\[1:\d+\]', "", json.dumps(answer.body))


def _plain(case: Case, direct: Answer, reranked: Answer) -> Iterator[str]:
    headers = reranked.headers
    if headers:
        if (
            headers["x-attune-rerank-status"] == "reranked"
            or headers["x-attune-rerank-reason"] != case.reason
        ):
            yield f"{headers['x-attune-rerank-status']}: {headers.get('x-attune-rerank-reason')}"
        if direct.headers["content-type"] != headers["content-type"]:
            yield f"content type {headers['content-type']}"
    theirs, ours = direct.body, reranked.body
    if isinstance(theirs, str):
        theirs, ours = ([line for line in text.splitlines() if "took" not in line] for text in (theirs, ours))
    else:
        report = ours.get("ext", {}).get("attune")
        if report and report.get("reason") != case.reason:
            yield f"{report}"
        hits = [_bare(hit) for hit in theirs["hits"]["hits"]] if report else theirs["hits"]["hits"]
        theirs = {**_but(theirs, "took", "_scroll_id"), "hits": {**theirs["hits"], "hits": hits}}
        ours = _but(ours, "took", "ext", "_scroll_id")
    if theirs != ours:
        yield f"answers differ: {str(theirs)[:1500]}\n{str(ours)[:1500]}"


def _ranked(case: Case, direct: Json, reranked: Json, allowed: set[str] | None) -> Iterator[str]:
    report = reranked["ext"]["attune"]
    if report["rerank_status"] != "reranked":
        yield f"{report}"
        return
    if _but(direct, *OWN) != _but(reranked, *OWN) or direct.keys() - reranked.keys():
        yield f"around the hits: {str(_but(direct, *OWN))[:1500]}\n{str(_but(reranked, *OWN))[:1500]}"
    theirs, ours = direct["hits"], reranked["hits"]
    scores = [hit["_score"] for hit in ours["hits"]]
    if scores != sorted(scores, reverse=True) or not all(0 <= score <= 1 for score in scores):
        yield f"scores {scores}"
    own, found = ({_key(hit): hit for hit in hits["hits"]} for hits in (theirs, ours))
    if len(found) != len(scores):
        yield "a hit comes twice"
    if case.pages:
        if len(own) != len(found):
            yield f"a page of {len(found)}, not {len(own)}"
    else:
        yield from _whole(case, theirs, ours)
    strangers = {id_ for _, id_ in found} - allowed if allowed is not None else set()
    if strangers:
        yield f"not allowed: {strangers}"
    for key in own.keys() & found.keys():
        wanted = _bare(own[key], "_score")
        if "sort" in wanted:  # by score, then by what breaks ties
            wanted["sort"] = [found[key]["_score"], *wanted["sort"][1:]]
        if wanted != _but(found[key], "_score"):
            yield f"hit {key}: {str(wanted)[:1500]}\n{str(found[key])[:1500]}"
            return


def _whole(case: Case, theirs: Json, ours: Json) -> Iterator[str]:
    """Differences where all hits are on the page."""
    own, found = ({_key(hit) for hit in hits["hits"]} for hits in (theirs, ours))
    if ours["max_score"] != (ours["hits"][0]["_score"] if found else None):
        yield f"max_score {ours['max_score']}"
    if own - found:
        yield f"missing {own - found}"
    added = len(found - own)
    if bool(added) != (case.outcome is Outcome.WIDENED and bool(own)):
        yield f"{added} added to {len(own)}"
    total = theirs.get("total")
    if isinstance(total, int):
        total += added
    elif total and total["relation"] == "eq":
        total = {**total, "value": total["value"] + added}
    if total != ours.get("total"):
        yield f"total {total}, but {ours.get('total')}"


def _shown(case: Case, answer: Json) -> Iterator[str]:
    """What the case is about but OpenSearch's own answer does not have, so that nothing would be proved."""
    for name in case.shows:
        key = name.removeprefix("hit.")
        if not (answer.get(key) if key == name else any(hit.get(key) for hit in answer["hits"]["hits"])):
            yield f"no {name}"
    for name in case.lacks:
        if any(name in hit for hit in answer["hits"]["hits"]):
            yield f"{name} in a hit"


def same_order(case: Case, base: str, answer: Json) -> bool:
    """Whether naming the case's text apart, in `ext.attune`, changes neither the order nor the scores."""
    assert isinstance(case.body, dict)
    body = {**case.body, "ext": {"attune": {"query": case.text}}}
    url = f"{base}{case.path}"
    again = requests.post(url, json=body, params=dict(case.params), headers=JSON, timeout=120).json()
    return [_scored(hit) for hit in again["hits"]["hits"]] == [_scored(hit) for hit in answer["hits"]["hits"]]


def _scored(hit: Json) -> tuple[str, float]:
    return hit["_id"], hit["_score"]


def _key(hit: Json) -> tuple[str, str]:
    return hit["_index"], hit["_id"]


def _bare(hit: Json, *names: str) -> Json:
    """The hit less what is named, and without Attune's own fields in its source."""
    bare = _but(hit, *names)
    return {**bare, "_source": _but(bare["_source"], "attune")} if "_source" in bare else bare


def _but(answer: Json, *names: str) -> Json:
    return {key: value for key, value in answer.items() if key not in names}
