"""Reading the query DSL: which words the shopper typed, and what every hit must satisfy besides."""

from dataclasses import dataclass

from mappings.types import JsonObject

MAX_TEXT = 2000
"""Characters of the text that are read; more than any query encoder takes in."""

WORD_TYPES = ("best_fields", "most_fields", "cross_fields")
"""Types of multi_match that look for words. Others look for phrases or prefixes: vectors can't."""

CONDITIONS = frozenset({
    "bool", "constant_score", "exists", "fuzzy", "geo_bounding_box", "geo_distance", "geo_polygon",
    "geo_shape", "has_child", "has_parent", "ids", "intervals", "match", "match_all", "match_bool_prefix",
    "match_none", "match_phrase", "match_phrase_prefix", "multi_match", "nested", "prefix", "query_string",
    "range", "regexp", "simple_query_string", "term", "terms", "terms_set", "wildcard",
})  # fmt: skip
"""Queries that a k-NN filter can apply as they are. Anything else is the caller's own ranking."""


@dataclass(frozen=True, slots=True)
class QueryText:
    """The text to rerank by, and the conditions that k-NN candidates have to meet as well."""

    text: str
    conditions: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class Unranked:
    """Why a request goes to OpenSearch as it came."""

    reason: str


def read_query(query: object) -> QueryText | Unranked:
    """Find the text in match and multi_match, also within bool; the rest of a bool becomes conditions."""
    reading = _Reading()
    if query is not None:
        reading.read(query)
    if reading.refusal:
        return Unranked(reading.refusal)
    text = " ".join(dict.fromkeys(reading.texts))[:MAX_TEXT]
    return (
        QueryText(text, tuple(reading.conditions)) if text else Unranked("the query has no text to rerank by")
    )


class _Reading:
    """Walks a query once, collecting texts and conditions, or the reason why it can't be reranked."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.conditions: list[JsonObject] = []
        self.refusal = ""

    def read(self, clause: object) -> None:
        name, body = _named(clause)
        text = _text(name, body)
        if text:
            self.texts.append(text)
        elif name == "bool":
            self._read_bool(body)
        else:
            self._add_condition(clause)

    def _read_bool(self, body: object) -> None:
        if not isinstance(body, dict):
            self.refusal = "the bool query is malformed"
            return
        must, filters, should, must_not = (
            _clauses(body.get(key)) for key in ("must", "filter", "should", "must_not")
        )
        before = len(self.texts)
        for clause in must:
            self.read(clause)
        # Whatever is in filter and must_not goes on: if k-NN refuses it, the first stage stands.
        self.conditions += filters
        if must_not:
            self.conditions.append({"bool": {"must_not": must_not}})
        # Words in should beside words in must are a boost of the caller's, not what the shopper typed.
        texts = [_text(*_named(clause)) for clause in should]
        if len(self.texts) == before:
            self.texts += [text for text in texts if text]
        others = [clause for clause, text in zip(should, texts, strict=True) if not text]
        for clause in others:
            if _named(clause)[0] not in CONDITIONS:
                self._refuse(clause)
        needed = body.get("minimum_should_match", 0 if must or filters else 1)
        if others and needed not in (0, "0"):
            self.conditions.append({"bool": {"should": should, "minimum_should_match": needed}})

    def _add_condition(self, clause: object) -> None:
        if isinstance(clause, dict) and _named(clause)[0] in CONDITIONS:
            self.conditions.append(clause)
        else:
            self._refuse(clause)

    def _refuse(self, clause: object) -> None:
        name = _named(clause)[0]
        reason = f"a query of type {name} is not reranked" if name else "the query is malformed"
        self.refusal = self.refusal or reason


def _named(clause: object) -> tuple[str, object]:
    """(query type, body) of a clause; ("", None) where it is no object with one key."""
    if isinstance(clause, dict) and len(clause) == 1:
        name, body = next(iter(clause.items()))
        return str(name), body
    return "", None


def _text(name: str, body: object) -> str:
    """Words that a match or multi_match looks for, else an empty string."""
    if not isinstance(body, dict):
        return ""
    query: object = None
    if name == "match" and len(body) == 1:
        query = next(iter(body.values()))
        if isinstance(query, dict):
            query = query.get("query")
    elif name == "multi_match" and body.get("type", WORD_TYPES[0]) in WORD_TYPES:
        query = body.get("query")
    return " ".join(query.split()) if isinstance(query, str) else ""


def _clauses(value: object) -> list[JsonObject]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]  # type: ignore[list-item]  # OpenSearch judges the shape
