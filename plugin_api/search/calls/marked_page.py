"""Page through what suits a client and, behind all of it, what does not.

A search that shows marked products is answered by two: one for what meets the rules, and one for the rest.
So no page shows a marked product before one that suits, whatever page it is and however it is sorted.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Raw

from mappings.errors import BadRequest
from plugin_api.opensearch.raw_json import RawObject, decoded, dumps, raw_object, raw_objects
from plugin_api.search.answer import Answer
from plugin_api.search.query.types import SearchCall

_AROUND = ("aggs", "aggregations", "suggest", "profile")
"""Body keys that are answered once, for both parts together."""

_REFUSED = ("search_after", "slice", "collapse")
"""Body keys by which pages can't be told apart, or that hide what suits behind what does not."""

_DEFAULTS = {"from": 0, "size": 10}


@dataclass(frozen=True)
class MarkedPage:
    """A page of a search that shows marked products.

    `suiting` and `breaking` are the search for what meets the rules and for what does not; `both` is for all
    of it, with marks.
    """

    suiting: SearchCall
    breaking: SearchCall
    both: SearchCall

    def fetch(self, search: Callable[[SearchCall], Answer]) -> Answer:
        """Return the page. An answer that is an error is returned as it is. Raises BadRequest."""
        start, size = (_read_number(self.both, name) for name in _DEFAULTS)
        suiting = search(_ask(self.suiting, start, size))
        if suiting.status != 200:
            return suiting
        shell = raw_object(suiting.read())
        total = _read_total(shell)
        remaining = size - min(max(total - start, 0), size)
        breaking = search(_ask(self.breaking, max(start - total, 0), remaining))
        if breaking.status != 200:
            return breaking
        others = raw_object(breaking.read())
        if _asks_around(self.both):
            around = search(_ask(self.both, 0, 0, keeps_around=True))
            if around.status != 200:
                return around
            body = raw_object(around.read())
            shell |= {name: body[name] for name in (*_AROUND, "aggregations") if name in body}
        return replace(suiting, body=dumps(_join(shell, others)))


def check_marked(call: SearchCall) -> None:
    """Raise BadRequest for a search whose pages can't show marked products last."""
    body = raw_object(call.body) if call.body.strip() else {}
    refused = [name for name in _REFUSED if name in body]
    if "scroll" in call.params:
        refused.append("scroll")
    if refused:
        raise BadRequest(
            f"a search that shows marked products can't have {refused[0]}: page through it by from and size"
        )


def _ask(call: SearchCall, start: int, size: int, keeps_around: bool = False) -> SearchCall:
    body = raw_object(call.body)
    if not keeps_around:
        body = {name: value for name, value in body.items() if name not in _AROUND}
    body |= {"from": Raw(dumps(start)), "size": Raw(dumps(size)), "track_total_hits": Raw(b"true")}
    params = {n: v for n, v in call.params.items() if n not in (*_DEFAULTS, "track_total_hits")}
    return replace(call, body=dumps(body), params=params)


def _asks_around(call: SearchCall) -> bool:
    body = raw_object(call.body)
    return any(name in body for name in _AROUND)


def _read_number(call: SearchCall, name: str) -> int:
    body = raw_object(call.body)
    value: Any = call.params.get(name, decoded(body.get(name), _DEFAULTS[name]))
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise BadRequest(f"{name} must be a whole number of 0 or more, not {value!r:.40}")
    return number


def _read_total(body: RawObject) -> int:
    total: Any = decoded(raw_object(body["hits"]).get("total"), 0)
    return int(total["value"] if isinstance(total, dict) else total)


def _join(suiting: RawObject, breaking: RawObject) -> RawObject:
    """Return the answer with the hits of both parts, and their totals added."""
    around, others = raw_object(suiting["hits"]), raw_object(breaking["hits"])
    hits = [*raw_objects(around["hits"]), *raw_objects(others["hits"])]
    number = _read_total(suiting) + _read_total(breaking)
    is_plain = not isinstance(decoded(around.get("total")), dict)
    total = number if is_plain else {"value": number, "relation": "eq"}
    best = around if bytes(around.get("max_score", b"null")) != b"null" else others
    joined: RawObject = {**around, "total": Raw(dumps(total)), "hits": Raw(dumps(hits))}
    if "max_score" in best:
        joined["max_score"] = best["max_score"]
    return {**suiting, "hits": Raw(dumps(joined))}
