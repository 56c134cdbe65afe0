"""What a search can ask for, as data: each case is run on real OpenSearch, and is a row of SEARCH.md.

The lists themselves are in `cases_of_*.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}

Versions = tuple[str, ...]
BOTH = ("3.5.0", "2.19.1")

WHOLE = 200
"""Hits asked for, so that every hit of the caller's own query is on the page."""

LAPTOP = {"match": {"title": "laptop"}}
TARGUS = {"term": {"brand.keyword": "Targus"}}
CHEAP = {"range": {"price": {"lt": 100}}}
ALL = {"match_all": {}}


class Outcome(Enum):
    """What becomes of a search."""

    WIDENED = "reranked; vectors add hits"
    REORDERED = "reranked; the caller's own hits only"
    SORTED = "in OpenSearch's order; vectors add hits"
    PLAIN = "as OpenSearch answers"
    REFUSED = "OpenSearch's error"


@dataclass(frozen=True)
class Case:
    """One search, what becomes of it, and what its answer must have.

    `reason` is the sidecar's own. `shows` names parts that the answer must have, as OpenSearch alone answers
    them: `aggregations`, or `hit.highlight` for a part of hits. `allowed` is what every hit must satisfy,
    those that vectors add too. `lacks` names parts that no hit may have.
    """

    group: str
    feature: str
    outcome: Outcome
    body: object = None
    path: str = "/products/_search"
    method: str = "POST"
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    reason: str = ""
    shows: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    allowed: object = None
    versions: Versions = BOTH
    parsed: bool = True
    """Whether OpenSearch can read it at all: it refuses a whole list for one search that it can't."""
    text: str = ""
    """What a query is reranked by, where that is what the case is about."""
    searched: object = None
    """The search as a body, where it is sent in another form: a template, the URL, gzip."""

    @property
    def data(self) -> bytes:
        """The body as it is sent."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        return json.dumps(self.body).encode()

    @property
    def plain_body(self) -> object:
        """The search as a body."""
        return self.body if self.searched is None else self.searched

    @property
    def pages(self) -> bool:
        """Whether the answer is a page from further down than the top."""
        body = self.body if isinstance(self.body, dict) else {}
        return bool(body.get("from") or self.params.get("from"))


def asking(query: object, **more: object) -> dict[str, object]:
    """A body whose answer holds every hit of the query, small ones."""
    return {"query": query, "size": WHOLE, "_source": ["title"], **more}


def asked(group: str, feature: str, outcome: Outcome, query: object = LAPTOP, **more: object) -> Case:
    """A case whose body is a query and one thing more: what is no field of Case goes into the body."""
    names = Case.__dataclass_fields__
    body = asking(query, **{name: value for name, value in more.items() if name not in names})
    return Case(group, feature, outcome, body, **{k: v for k, v in more.items() if k in names})  # type: ignore[arg-type]


def in_url(
    group: str, feature: str, outcome: Outcome, reason: str = "", versions: Versions = BOTH, **params: str
) -> Case:
    return Case(group, feature, outcome, asking(LAPTOP), params=params, reason=reason, versions=versions)
