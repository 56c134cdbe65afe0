"""The same search asked of OpenSearch and of the sidecar, and what must be the same in both answers."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import requests

from plugin_api.search.query.text import parse_query
from plugin_api.search.reasons import Cause
from tests.integration.search.case import JSON, Case, Outcome

Json = dict[str, Any]

OWN = ("took", "ext", "profile", "hits", "status")
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


def widen(case: Case, base: str) -> Case:
    """Return the case's search for OpenSearch itself, with all that the sidecar finds for its text alone.

    The sidecar's answer to the case must be OpenSearch's to this, for one set is meant whatever is asked of
    it.
    """
    body = case.plain_body
    assert isinstance(body, dict)
    given = body.get("query")
    query = parse_query(given)
    if isinstance(query, Cause):
        return case
    text = {"query": query.text_query, "size": 500, "_source": False} if query.clauses else {}
    options = {"ext": {"attune": {"query": query.text, **body.get("ext", {}).get("attune", {})}}}
    params = {name: value for name, value in case.params.items() if name in ("routing",)}
    path = case.path.removesuffix("/template").rstrip("/")
    path = "/products/_search" if "pit" in body else path
    alone = requests.post(f"{base}{path}", json={**text, **options}, params=params, timeout=120).json()
    keys = [(hit["_index"], hit["_id"]) for hit in alone["hits"]["hits"]] if text else []
    params = {name: value for name, value in case.params.items() if name not in _QUERY_IN_URL}
    widened = {**{key: value for key, value in body.items() if key != "ext"}, "query": query.widen(keys)}
    path = case.path.removesuffix("/template")
    return replace(case, body=widened, path=path, params=params, method="POST", headers=_plain(case))


_QUERY_IN_URL = ("q", "df", "default_operator", "analyzer", "lenient", "source", "source_content_type")


def _plain(case: Case) -> Mapping[str, str]:
    return {**JSON, **{name: value for name, value in case.headers.items() if name == "accept"}}


def differences(case: Case, direct: Answer, reranked: Answer, allowed: set[str] | None) -> Iterator[str]:
    """Say whatever in the answers is not as the case has it. `allowed` are ids that may be hits."""
    if case.outcome is Outcome.REFUSED:
        if direct.status < 400 or _anywhere(direct) != _anywhere(reranked):
            yield f"{direct}, but {reranked}"
    elif direct.status != 200 or reranked.status != 200:
        yield f"refused: {direct}, {reranked}"
    elif case.outcome in (Outcome.PLAIN, Outcome.SORTED):
        yield from _plain_answer(case, direct, reranked)
    else:
        yield from _ranked(case, direct.body, reranked.body, allowed)
    if case.outcome is not Outcome.REFUSED:
        yield from _shown(case, direct.body)


def _anywhere(answer: Answer) -> tuple[int, str]:
    """Status and error, less where in the body it stands: Attune writes bodies anew."""
    return answer.status, re.sub(r'"col": \d+|\[1:\d+\]', "", json.dumps(answer.body))


def _plain_answer(case: Case, direct: Answer, reranked: Answer) -> Iterator[str]:
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
        hits = [_bare(hit) for hit in theirs.get("hits", {}).get("hits", [])]
        if hits:
            theirs = {**theirs, "hits": {**theirs["hits"], "hits": hits}}
        theirs = _but(theirs, "took", "_scroll_id", "pit_id")
        ours = _but(ours, "took", "ext", "_scroll_id", "pit_id")
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
    if isinstance(case.plain_body, dict) and "collapse" in case.plain_body:
        yield from _collapsed(case.plain_body["collapse"]["field"], theirs, ours)
        return
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
        if _but(wanted, "_explanation") != _but(found[key], "_score", "_explanation"):
            yield f"hit {key}: {str(wanted)[:1500]}\n{str(found[key])[:1500]}"
            return


def _whole(case: Case, theirs: Json, ours: Json) -> Iterator[str]:
    """Differences where all hits are on the page."""
    own, found = ({_key(hit) for hit in hits["hits"]} for hits in (theirs, ours))
    if ours["max_score"] != (ours["hits"][0]["_score"] if found else None):
        yield f"max_score {ours['max_score']}"
    if own != found:
        yield f"missing {own - found}, too many {found - own}"
    if theirs.get("total") != ours.get("total"):
        yield f"total {theirs.get('total')}, but {ours.get('total')}"


def _collapsed(name: str, theirs: Json, ours: Json) -> Iterator[str]:
    """Differences in the groups of collapsed hits: each has a hit of its own choice."""
    groups = [
        {json.dumps(hit["fields"][name]): hit.get("inner_hits", {}) for hit in hits["hits"]}
        for hits in (theirs, ours)
    ]
    if groups[0].keys() != groups[1].keys():
        yield f"groups {groups[0].keys()}, but {groups[1].keys()}"
    if theirs.get("total") != ours.get("total"):
        yield f"total {theirs.get('total')}, but {ours.get('total')}"
    for value in groups[0].keys() & groups[1].keys():
        totals = [{key: inner["hits"]["total"] for key, inner in group[value].items()} for group in groups]
        if totals[0] != totals[1]:
            yield f"inner hits of {value}: {totals}"


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
