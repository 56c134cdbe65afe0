"""The rules of a domain by one client's values: filters for what may be shown, and marks for what may not."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import Any

from msgspec import Raw

from mappings import fields
from mappings.domains import ClientRule, load_domain, read_concepts
from mappings.errors import BadRequest
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import RawObject, as_list, decoded, dumps, raw_object, raw_objects

SHOW = "show"
"""Key of a client that asks for what the rules would withhold."""

MARKED = "marked"

_MARK = "attune.rule."
"""How the names of clauses begin by which hits are marked."""


_READ = 1000
"""Characters of a query that are read for what it says of its client."""

_MOST_VALUES = 100
"""Values of one rule that a client may have."""


class ShownPart(Enum):
    """What of a search is shown: what its client asks for, or of a search that shows marked products those
    that suit alone, or those that break a rule alone.
    """

    REQUESTED = auto()
    SUITING = auto()
    BREAKING = auto()


@dataclass(frozen=True)
class AppliedRules:
    """Rules with one client's values: `filters` that every shown product meets, or `marks` for those that
    break a rule, as named clauses of no score. Where one is `required`, only what breaks a rule is shown.
    """

    filters: tuple[JsonObject, ...] = ()
    marks: tuple[JsonObject, ...] = ()
    required: bool = False

    def restrict(self, query: object) -> JsonObject:
        """Return the query with the filters, or with the clauses that mark hits."""
        if self.filters:
            return {"bool": {"must": [query], "filter": list(self.filters)}}
        if self.required:
            breaks = {"bool": {"should": list(self.marks), "minimum_should_match": 1}}
            return {"bool": {"must": [query], "filter": [breaks], "should": list(self.marks)}}
        return {"bool": {"must": [query], "should": list(self.marks)}}


@dataclass(frozen=True)
class ClientRules:
    """The rules of a domain. Falsy where it has none: then no search may name a client."""

    rules: tuple[ClientRule, ...] = ()
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """The words of the domain's own thesaurus that mean the same, by each of them: for `lacks`."""
    notice: str = ""
    """What everybody must know of the answers."""

    def __bool__(self) -> bool:
        return bool(self.rules)

    def apply(self, client: object, part: ShownPart = ShownPart.REQUESTED) -> AppliedRules:
        """Return the rules with a client's values. Raises BadRequest for a client that can't be read."""
        if not isinstance(client, dict):
            raise BadRequest(f"ext.attune.client must be an object, not {client!r:.40}")
        values = {name: value for name, value in client.items() if name != SHOW}
        known = [rule.name for rule in self.rules]
        if unknown := sorted(values.keys() - set(known)):
            raise BadRequest(f"ext.attune.client has no {unknown[0]}; it may have {', '.join(known)}, {SHOW}")
        if client.get(SHOW, MARKED) != MARKED:
            raise BadRequest(f'ext.attune.client.{SHOW} must be "{MARKED}", not {client[SHOW]!r:.40}')
        if lacking := [rule.name for rule in self.rules if rule.required and rule.name not in values]:
            raise BadRequest(f"ext.attune.client needs {' and '.join(lacking)}")
        built = [
            (rule, _build_filter(rule, values[rule.name], self.synonyms))
            for rule in self.rules
            if rule.name in values
        ]
        if SHOW not in client or part is ShownPart.SUITING:
            return AppliedRules(filters=tuple(allowed for _, allowed in built))
        return AppliedRules(
            marks=tuple(
                {"bool": {"must_not": [allowed], "boost": 0, "_name": _name_mark(rule, values[rule.name])}}
                for rule, allowed in built
            ),
            required=part is ShownPart.BREAKING,
        )

    def read_client(self, text: str) -> dict[str, object]:
        """Return what a query says of its client, by the patterns of the rules."""
        said: dict[str, object] = {}
        for rule, pattern in self._patterns:
            values = [next(filter(None, match.groups()), "") for match in pattern.finditer(text[:_READ])]
            if not values:
                continue
            if rule.test in ("at_most", "at_least"):
                said[rule.name] = int(values[0])
            else:
                parts = (part for value in values for part in _split(rule, value))
                said[rule.name] = list(dict.fromkeys(part.casefold() for part in parts))[:_MOST_VALUES]
        return said

    def drop_absent(self, text: str) -> str:
        """Return a query without what it says to be absent, by the patterns of `lacks` rules."""
        for rule, pattern in self._patterns:
            if rule.test == "lacks":
                text = pattern.sub(" ", text[:_READ])
        return text

    def mark(self, body: RawObject) -> RawObject:
        """Return an answer whose marked hits stand last on its page, each with its warnings in `fields`."""
        if not self or "hits" not in body or _MARK.encode() not in bytes(body["hits"]):
            return body
        around = raw_object(body["hits"])
        unmarked: list[RawObject] = []
        marked: list[RawObject] = []
        for hit in raw_objects(around["hits"]):
            shown = _mark_hit(hit)
            (unmarked if shown is hit else marked).append(shown)
        return {**body, "hits": Raw(dumps({**around, "hits": [*unmarked, *marked]}))}

    @cached_property
    def _patterns(self) -> tuple[tuple[ClientRule, re.Pattern[str]], ...]:
        return tuple((rule, re.compile(rule.pattern, re.IGNORECASE)) for rule in self.rules if rule.pattern)


def load_client_rules(name: str) -> ClientRules:
    """Return the rules of a domain. Raises SettingsError where it can't be read."""
    domain = load_domain(name)
    if not domain.rules:
        return ClientRules(notice=domain.page.notice)
    synonyms: dict[str, tuple[str, ...]] = {}
    for concept in read_concepts(domain.thesaurus_file) if domain.thesaurus_file else ():
        synonyms |= {word.casefold(): concept.words for word in concept.words}
    return ClientRules(domain.rules, synonyms, domain.page.notice)


WARNING = f"{fields.ATTUNE}.warning"
"""Name under `fields` of a hit's warnings."""


def _build_filter(rule: ClientRule, value: object, synonyms: Mapping[str, tuple[str, ...]]) -> JsonObject:
    """Return the filter for products that a client with this value may be shown."""
    if rule.test == "lacks":
        given = list(_list_values(rule, value))
        same = dict.fromkeys(word for each in given for word in (each, *synonyms.get(each, ())))
        phrases = [{"match_phrase": {rule.field: word}} for word in same]
        return {"bool": {"must_not": phrases}}
    if rule.test == "none_of":
        return {"bool": {"must_not": [{"terms": {rule.field: list(_list_values(rule, value))}}]}}
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRequest(f"ext.attune.client.{rule.name} must be a number, not {value!r:.40}")
    numbers = range(rule.range[0], rule.range[1] + 1)
    allowed = [n for n in numbers if (n <= value if rule.test == "at_most" else n >= value)]
    terms: JsonObject = {"terms": {rule.field: [str(n) for n in allowed]}}
    if rule.missing == "refuse":
        return terms
    without: JsonObject = {"bool": {"must_not": [{"exists": {"field": rule.field}}]}}
    return {"bool": {"should": [terms, without], "minimum_should_match": 1}}


def _list_values(rule: ClientRule, value: object) -> Iterator[str]:
    """Yield a client's values as the catalogue spells them: also those that they are another word for."""
    given = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in given) or len(given) > _MOST_VALUES:
        raise BadRequest(
            f"ext.attune.client.{rule.name} must be a text or a list of up to {_MOST_VALUES} texts"
        )
    for each in given:
        spelt = " ".join(str(each).casefold().split())
        yield spelt
        for name, others in rule.values.items():
            if spelt in {other.strip().casefold() for other in others.split("|")}:
                yield name


def _split(rule: ClientRule, value: str) -> list[str]:
    return [part.strip() for part in re.split(rule.split, value) if part.strip()] if rule.split else [value]


def _name_mark(rule: ClientRule, value: object) -> str:
    shown: Any = ", ".join(map(str, value)) if isinstance(value, list) else value
    return _MARK + rule.says.replace("{client}", str(shown))


def _mark_hit(hit: RawObject) -> RawObject:
    """Return a hit with its warnings, itself where it has none."""
    names = [str(name) for name in as_list(decoded(hit.get("matched_queries")))]
    warnings = [name.removeprefix(_MARK) for name in names if name.startswith(_MARK)]
    if not warnings:
        return hit
    others = [name for name in names if not name.startswith(_MARK)]
    shown: Mapping[str, Raw] = raw_object(hit["fields"]) if "fields" in hit else {}
    rest = {name: value for name, value in hit.items() if name != "matched_queries"}
    return {
        **rest,
        "fields": Raw(dumps({**shown, WARNING: warnings})),
        **({"matched_queries": Raw(dumps(others))} if others else {}),
    }
