"""Searches that are broken in many ways, the same ones for the same seed."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

DEPTHS = (10, 100, 400, 1_100, 10_000, 100_000)
NUMBERS = (
    b"1e400",
    b"-1e400",
    b"9" * 5000,
    b"-0",
    b"0.1e-400",
    b"NaN",
    b"Infinity",
    b"01",
    b"+1",
    b"1.",
    b"0x1",
)
WORDS = (
    "wireless mouse",
    "usb cable 2m",
    "",
    " ",
    "é\u0301",
    "\U0001f600",
    "\x00",
    "a" * 70_000,
    "\ud800",
    "购买手机",
)

SEARCHES: tuple[dict[str, Any], ...] = (
    {"query": {"match": {"title": "wireless mouse"}}, "size": 5},
    {"query": {"match": {"title": {"query": "mouse", "operator": "and"}}}, "from": 5, "size": 3},
    {"query": {"multi_match": {"query": "usb cable", "fields": ["title^2"]}}, "track_total_hits": True},
    {
        "query": {
            "bool": {
                "must": [{"match": {"title": "lamp"}}],
                "filter": [{"range": {"price": {"gte": 1, "lt": 100}}}, {"term": {"brand.keyword": "HP"}}],
                "must_not": [{"exists": {"field": "url"}}],
            }
        },
        "aggs": {"brands": {"terms": {"field": "brand.keyword", "size": 3}}},
    },
    {"query": {"query_string": {"query": "laptop AND hp"}}, "highlight": {"fields": {"title": {}}}},
    {"query": {"dis_max": {"queries": [{"match": {"title": "tv"}}, {"match_phrase": {"title": "hd tv"}}]}}},
    {"query": {"match": {"title": "phone"}}, "sort": ["_score"], "collapse": {"field": "brand.keyword"}},
    {"query": {"match": {"title": "phone"}}, "ext": {"attune": {"window": 20, "vector_weight": 0.5}}},
    {"query": {"match_all": {}}, "ext": {"attune": {"query": "camera", "rerank": True}}, "min_score": 0.1},
    {"query": {"match": {"title": "phone"}}, "post_filter": {"term": {"available": True}}, "timeout": "1s"},
    {"query": {"match": {"title": "phone"}}, "rescore": {"query": {"rescore_query": {"match_all": {}}}}},
    {"suggest": {"text": "moose", "s": {"term": {"field": "title"}}}, "explain": True, "profile": True},
)  # fmt: skip

PARAMETERS = (
    "size", "from", "q", "_source", "timeout", "typed_keys", "rest_total_hits_as_int", "filter_path",
    "pretty", "scroll", "preference", "routing", "sort", "search_type", "track_total_hits", "format",
    "max_concurrent_searches", "explain",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One request, and what was done to it."""

    kind: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def cases(seed: int, index: str) -> Iterator[Case]:
    """Yield cases without end."""
    randomly = random.Random(seed)
    while True:
        yield _case(randomly, index)


def _case(randomly: random.Random, index: str) -> Case:
    listed = randomly.random() < 0.35
    breaker = randomly.choice(BREAKERS)
    body = breaker(randomly, _list(randomly, index) if listed else _text(_search(randomly)))
    types = ("application/json",) * 8 + ("application/x-ndjson", "application/x-ndjson", "text/plain", "")
    headers = {"Content-Type": randomly.choice(types)}
    if randomly.random() < 0.1:
        coding = randomly.choice(("gzip", "gzip", "deflate", "br", "identity"))
        headers["Content-Encoding"] = coding
        if coding == "gzip":
            body = gzip.compress(body)[: randomly.choice((None, None, 5, -3))]
    path = "/_msearch" if listed else "/_search"
    if randomly.random() < 0.8:
        path = f"/{index}{path}"
    if randomly.random() < 0.05:
        path += "/template"
    named = {
        randomly.choice(PARAMETERS): str(_scalar(randomly))
        for _ in range(randomly.choice((0, 0, 0, 1, 1, 2)))
    }
    query = "&".join(
        f"{name}={quote(value.encode('utf-8', 'replace'))[:3000]}" for name, value in named.items()
    )
    method = randomly.choice(("POST", "POST", "POST", "GET"))
    return Case(breaker.__name__, method, path + (f"?{query}" if query else ""), headers, body)


def _search(randomly: random.Random) -> dict[str, Any]:
    return json.loads(json.dumps(randomly.choice(SEARCHES)))  # type: ignore[no-any-return]


def _text(value: object) -> bytes:
    return json.dumps(value).encode()


def _list(randomly: random.Random, index: str) -> bytes:
    lines = []
    for _ in range(randomly.choice((1, 2, 3, 8))):
        lines.append(
            _text(
                randomly.choice(({}, {"index": index}, {"index": [index], "preference": "x"}, {"index": 5}))
            )
        )
        lines.append(_text(_search(randomly)))
    return b"\n".join(lines) + randomly.choice((b"\n", b"\n", b""))


def _scalar(randomly: random.Random) -> object:
    return randomly.choice(
        (
            None,
            True,
            False,
            -1,
            0,
            10**6,
            2**63,
            10**400,
            1.5,
            "1",
            "",
            [],
            {},
            [[]],
            {"a": {}},
            randomly.choice(WORDS),
        )
    )


def untouched(_randomly: random.Random, body: bytes) -> bytes:
    """As it is."""
    return body


def flipped(randomly: random.Random, body: bytes) -> bytes:
    """Some bits flipped."""
    changed = bytearray(body)
    for _ in range(randomly.choice((1, 2, 10))):
        changed[randomly.randrange(len(changed))] ^= 1 << randomly.randrange(8)
    return bytes(changed)


def truncated(randomly: random.Random, body: bytes) -> bytes:
    """Cut off somewhere."""
    return body[: randomly.randrange(len(body))]


def spliced(randomly: random.Random, body: bytes) -> bytes:
    """A part of it somewhere else as well."""
    start, end, at = sorted(randomly.randrange(len(body)) for _ in range(3))
    return body[:at] + body[start:end] * randomly.choice((1, 2, 50)) + body[at:]


def nested(randomly: random.Random, body: bytes) -> bytes:
    """Deep nesting in place of a value, or of everything, closed or not."""
    depth = randomly.choice(DEPTHS)
    opening, closing = randomly.choice(
        (
            (b"[", b"]"),
            (b'{"a":', b"}"),
            (b'{"bool":{"must":', b"}}"),
            (b'{"query":', b"}"),
            (b'{"bool":{"must":[', b"]}}"),
        )
    )
    deep = opening * depth + b"1" + closing * randomly.choice((depth, depth, depth - 1, 0))
    if randomly.random() < 0.3:
        return deep
    at = body.find(b":", randomly.randrange(len(body))) + 1
    return body[:at] + deep + b"," + body[at:] if randomly.random() < 0.3 else body[:at] + deep + b"}"


def numbers(randomly: random.Random, body: bytes) -> bytes:
    """A number that is none, or too large, in place of one."""
    at = [place for place in range(len(body)) if body[place : place + 1].isdigit()]
    if not at:
        return body.replace(b": ", b": " + randomly.choice(NUMBERS), 1)
    place = randomly.choice(at)
    return body[:place] + randomly.choice(NUMBERS) + body[place + 1 :]


def retyped(randomly: random.Random, body: bytes) -> bytes:
    """A value of another kind somewhere in each line."""
    lines = []
    for line in body.split(b"\n"):
        value = json.loads(line) if line else None
        lines.append(_text(_replaced(randomly, value)) if line else line)
    return b"\n".join(lines)


def _replaced(randomly: random.Random, value: Any) -> Any:
    if randomly.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return _scalar(randomly)
    if isinstance(value, list):
        return [*value[:-1], _replaced(randomly, value[-1])]
    key = randomly.choice(list(value))
    name = key if randomly.random() < 0.8 else str(_scalar(randomly))[:100]
    return {**value, name: _replaced(randomly, value[key])}


def grown(randomly: random.Random, body: bytes) -> bytes:
    """Random queries of the query language, many clauses, or the same key twice."""
    return randomly.choice(
        (
            lambda: _text({"query": _query(randomly, 5), "size": randomly.choice((0, 3, 10_001))}),
            lambda: _text(
                {"query": {"bool": {"should": [{"match": {"title": f"w{n}"}} for n in range(2000)]}}}
            ),
            lambda: body.replace(b"{", b'{"query": {"match_all": {}}, "size": 1, ', 1),
            lambda: _text({"query": {"match": {"title": " ".join(f"word{n}" for n in range(5000))}}}),
        )
    )()


def _query(randomly: random.Random, depth: int) -> Any:
    words = randomly.choice(WORDS)[:2000]
    leaf = randomly.choice(
        (
            {"match": {"title": words}},
            {"match_phrase": {"title": words}},
            {
                "multi_match": {
                    "query": words,
                    "fields": ["*"],
                    "type": randomly.choice(("phrase", "cross_fields", 5)),
                }
            },
            {"query_string": {"query": words}},
            {"simple_query_string": {"query": words, "fields": ["title"]}},
            {"term": {"title": _scalar(randomly)}},
            {"ids": {"values": [1, "2", None]}},
            {"nonsense": {}},
        )
    )
    if depth == 0 or randomly.random() < 0.3:
        return leaf
    inner = [_query(randomly, depth - 1) for _ in range(randomly.choice((1, 2)))]
    return randomly.choice(
        (
            {"bool": {randomly.choice(("must", "should", "filter", "must_not")): inner}},
            {"dis_max": {"queries": inner, "tie_breaker": 0.3}},
            {"constant_score": {"filter": inner[0], "boost": 2}},
            {"function_score": {"query": inner[0], "functions": [{"weight": 2}]}},
            {"boosting": {"positive": inner[0], "negative": leaf, "negative_boost": 0.5}},
            {"nested": {"path": "attributes", "query": inner[0]}},
        )
    )


def noise(randomly: random.Random, _body: bytes) -> bytes:
    """Bytes of any kind."""
    return randomly.choice(
        (
            b"",
            b"\n",
            b"\n\n\n",
            b"\xef\xbb\xbf{}",
            b"\xff\xfe{\x00}\x00",
            randomly.randbytes(500),
            b"null",
            b'"a"',
            b"[]",
            b"{}{}",
        )
    )


BREAKERS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    untouched, flipped, flipped, truncated, spliced, nested, numbers, retyped, retyped, grown, grown, noise,
)  # fmt: skip
