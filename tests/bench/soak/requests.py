"""The requests of the soak, and what a right answer to each of them is."""

import http.client
import itertools
import json
import select
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mappings.types import JsonObject
from plugin_api.search.query.keyword_query import keyword_query
from tests.bench.inputs import queries

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
SOURCE = ["title", "brand", "price"]
TRIES = 50
"""For a first reranked answer: the first searches of a cold node are late."""

Hits = tuple[tuple[str, str], ...]
"""Id and `_source` of each hit, in order."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `searches` is how many reranked searches it holds; 0 for what is passed through."""

    kind: str
    method: str
    target: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    searches: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What is right: each search's hits reranked and in OpenSearch's own order, or the reply itself."""

    reply: Reply
    reranked: tuple[Hits, ...] = ()
    own: tuple[Hits, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a request, in a word; `wrong` says what is wrong with it, if anything."""

    outcome: str
    wrong: str = ""


class Client:
    """One kept connection, opened again when it breaks, or when the other side has closed it while idle."""

    def __init__(self, url: str, seconds: float = 60.0) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=seconds)

    def send(self, ask: Ask) -> Reply:
        """Raises OSError and http.client.HTTPException where the connection breaks."""
        if self._connection.sock is not None and select.select([self._connection.sock], [], [], 0)[0]:
            self.close()
        try:
            self._connection.request(ask.method, ask.target, ask.body or None, dict(ask.headers))
            response = self._connection.getresponse()
            return Reply(response.status, response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()


def mix(alias: str, ids: Sequence[str]) -> dict[str, list[Ask]]:
    """All requests, by kind; `ids` are of products that there are."""
    texts = queries()
    pairs = list(itertools.pairwise(texts))[::7]
    cheap: JsonObject = {"range": {"price": {"lte": 100}}}
    asks = [
        *(_search("search", alias, _body(text)) for text in texts[:60]),
        *(_search("filter", alias, _body(text, (cheap,))) for text in texts[:30]),
        *(_search("page 2", alias, {**_body(text), "from": 10}) for text in texts[:20]),
        *(_search("end of the window", alias, {**_body(text), "from": 95}) for text in texts[:10]),
        *(_msearch(alias, [_body(text) for text in pair]) for pair in pairs[:12]),
        *(Ask("document", "GET", f"/{alias}/_doc/{id_}") for id_ in ids),
        Ask("head", "HEAD", "/"),
        Ask("cat", "GET", f"/_cat/count/{alias}?h=count"),
        Ask("count", "POST", f"/{alias}/_count", b'{"query":{"match_all":{}}}', tuple(JSON.items())),
        Ask("error", "POST", f"/{alias}/_search", b'{"query":{"nonsense":{}}}', tuple(JSON.items())),
        Ask("error", "POST", f"/{alias}/_search", b'{"query":', tuple(JSON.items())),
        Ask("error", "GET", f"/{alias}-none/_search"),
        Ask("error", "GET", f"/{alias}/_doc/none-of-them"),
        Ask("error", "PUT", "/_No_Such_Index"),
    ]
    return {kind: [ask for ask in asks if ask.kind == kind] for kind in dict.fromkeys(a.kind for a in asks)}


def expected(ask: Ask, sidecar: Client, direct: Client) -> Expected:
    """What is right for a request, asked while nothing else goes on. Raises ValueError where unclear."""
    own = direct.send(ask)
    if not ask.searches:
        through = sidecar.send(ask)
        if (through.status, _timeless(through.body)) != (own.status, _timeless(own.body)):
            raise ValueError(f"{ask.method} {ask.target}: {through} is not {own}")
        return Expected(own)
    for _ in range(TRIES):
        reply = sidecar.send(ask)
        answers = _answers(ask, reply)
        if all(_status(answer) == "reranked" for answer in answers):
            return Expected(reply, tuple(map(_hits, answers)), tuple(map(_hits, _answers(ask, own))))
    raise ValueError(f"{ask.method} {ask.target} is not reranked: {reply.body[:500]!r}")


def judge(ask: Ask, right: Expected, reply: Reply, broken: bool) -> Verdict:
    """Say what became of a request; while something is `broken`, OpenSearch's refusals are right as well."""
    if broken and reply.status in (429, 503):
        return Verdict(f"refused {reply.status}", "" if ask.method == "HEAD" else _misshapen(reply))
    if reply.status != right.reply.status:
        return Verdict(f"status {reply.status}", f"status {reply.status}: {reply.body[:300]!r}")
    if not ask.searches:
        same = _timeless(reply.body) == _timeless(right.reply.body)
        return Verdict("passed" if same else "other", "" if same else f"other bytes: {reply.body[:300]!r}")
    try:
        answers = _answers(ask, reply)
        verdicts = [
            _judged(answer, reranked, own, broken)
            for answer, reranked, own in zip(answers, right.reranked, right.own, strict=True)
        ]
    except (ValueError, KeyError, TypeError) as error:
        return Verdict("unreadable", f"{error!r}: {reply.body[:300]!r}")
    worst = next((verdict for verdict in verdicts if verdict.wrong), None)
    return worst or next((v for v in verdicts if v.outcome != "reranked"), verdicts[0])


def _judged(answer: JsonObject, reranked: Hits, own: Hits, broken: bool) -> Verdict:
    if "error" in answer:
        code = int(answer.get("status", 0))
        known = broken and code in (429, 503)
        return Verdict(f"refused {code}", "" if known else f"an error: {str(answer)[:300]}")
    status, hits = _status(answer), _hits(answer)
    if status == "reranked":
        return Verdict(status, "" if hits == reranked else f"another order: {_apart(hits, reranked)}")
    reason = answer["ext"]["attune"].get("reason", "")
    if not reason:
        return Verdict(status, "no reason is given")
    return Verdict(status, "" if hits == own else f"not OpenSearch's order ({reason}): {_apart(hits, own)}")


def _apart(hits: Hits, right: Hits) -> str:
    return f"{[id_ for id_, _ in hits]} instead of {[id_ for id_, _ in right]}"


def _misshapen(reply: Reply) -> str:
    """Why a refusal has not OpenSearch's error shape; empty where it has."""
    try:
        body = json.loads(reply.body)
        error = body["error"]
        good = (
            body["status"] == reply.status
            and error["type"]
            and "reason" in error
            and error["root_cause"] is not None
        )
    except (ValueError, KeyError, TypeError):
        good = False
    return "" if good else f"an error of another shape: {reply.body[:300]!r}"


def _answers(ask: Ask, reply: Reply) -> list[JsonObject]:
    body = json.loads(reply.body)
    return list(body["responses"]) if ask.kind == "msearch" else [body]


def _status(answer: JsonObject) -> str:
    return str(answer["ext"]["attune"]["rerank_status"])


def _hits(answer: JsonObject) -> Hits:
    return tuple((hit["_id"], json.dumps(hit["_source"], sort_keys=True)) for hit in answer["hits"]["hits"])


def _timeless(body: bytes) -> object:
    """A body less how long it took and what counts shards' states, where it is a JSON object."""
    try:
        found = json.loads(body)
    except ValueError:
        return body
    return {k: v for k, v in found.items() if k != "took"} if isinstance(found, dict) else found


def _body(text: str, filters: tuple[JsonObject, ...] = ()) -> JsonObject:
    return {"query": keyword_query(text, filters), "_source": SOURCE}


def _search(kind: str, alias: str, body: Mapping[str, Any]) -> Ask:
    return Ask(kind, "POST", f"/{alias}/_search", json.dumps(body).encode(), tuple(JSON.items()), 1)


def _msearch(alias: str, bodies: Sequence[JsonObject]) -> Ask:
    def lines() -> Iterator[str]:
        for body in bodies:
            yield "{}\n"
            yield json.dumps(body) + "\n"

    return Ask(
        "msearch", "POST", f"/{alias}/_msearch", "".join(lines()).encode(), tuple(LINES.items()), len(bodies)
    )
