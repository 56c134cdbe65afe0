"""The text of a query, and the clauses that look for it.

They are the only clauses that a search ever changes: products that the vectors add (`QueryText.widen`) stand
beside them, and everything else of the query decides about those products as about all others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import as_list
from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.clauses import (
    MATCH_ALL,
    Path,
    fold_alternatives,
    match_hits,
    replace_at,
    value_at,
)


@dataclass(frozen=True, slots=True)
class TextClause:
    """A clause that looks for the text, and where in the query it stands.

    A `precise` one looks for all words, a phrase or with operators: what lacks them is not wanted. A `spare`
    one is an alternative to another, so that what stands beside that one need not stand beside it.
    """

    path: Path
    precise: bool
    spare: bool = False


@dataclass(frozen=True, slots=True)
class QueryText:
    """The text to rerank by, and where in the query it is looked for.

    `query` is the caller's own, `wrapper` queries unfolded. `clauses` are the clauses beside which other
    products can be added, none where that can't be done: within `nested`, for instance. Where the text is
    `optional`, it only orders what other clauses find, and every product that meets those is a hit already.
    """

    text: str
    query: JsonObject
    clauses: tuple[TextClause, ...] = ()
    optional: bool = False

    @property
    def precise(self) -> bool:
        """Whether the caller wants only what its own words find."""
        return all(clause.precise for clause in self.clauses)

    @property
    def is_prefix(self) -> bool:
        """Whether the last word of the text may be the beginning of one, as while it is typed."""
        queries = [value_at(self.query, clause.path) for clause in self.clauses]
        kinds = [(name, body.get("type")) for query in queries for name, body in query.items()]
        return any("prefix" in name or str(kind).endswith("prefix") for name, kind in kinds)

    @property
    def text_query(self) -> JsonObject:
        """The query for the text alone, without the conditions around it."""
        queries = [value_at(self.query, clause.path) for clause in self.clauses]
        return queries[0] if len(queries) == 1 else {"bool": {"should": queries}}

    def widen(self, keys: Sequence[HitKey]) -> JsonObject:
        """Return the query that finds these products as well, wherever they meet its other clauses."""
        if not keys or self.optional:
            return self.query
        added = {"bool": {"must": [match_hits(keys)], "boost": 0}}
        return self._replace(lambda clause: {"bool": {"should": [clause, added]}})

    def reinforce(self, clauses: Sequence[JsonObject]) -> JsonObject:
        """Return the query that finds the same, and scores what meets these clauses higher."""
        return self._replace(lambda clause: {"bool": {"must": [clause], "should": list(clauses)}})

    def relax(self) -> JsonObject:
        """Return the query for all products that meet its other clauses."""
        return fold_alternatives(self._replace(lambda _: MATCH_ALL))

    def look_for(self, text: str) -> list[JsonObject]:
        """Return the text's clauses, made to look for all words of another text."""
        clauses = (_look_for(value_at(self.query, clause.path), text) for clause in self.clauses)
        return [clause for clause in clauses if clause]

    def _replace(self, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
        query = self.query
        for clause in self.clauses:
            if clause.spare or (clause.precise and not self.precise):
                continue
            query = replace_at(query, clause.path, change(value_at(self.query, clause.path)))
        return query


def _look_for(clause: JsonObject, text: str) -> JsonObject | None:
    ((name, body),) = clause.items()
    if name in ("multi_match", "combined_fields"):
        options = {key: body[key] for key in ("fields", "type", "analyzer", "lenient") if key in body}
        return {name: {**options, "query": text, "operator": "and"}}
    if name in ("query_string", "simple_query_string"):
        fields = [str(field) for field in as_list(body.get("fields", body.get("default_field")))]
        return {
            "multi_match": {
                "query": text,
                "operator": "and",
                "lenient": True,
                **({"fields": fields} if fields else {}),
            }
        }
    if name.startswith("match") and len(body) == 1:
        return {"match": {next(iter(body)): {"query": text, "operator": "and"}}}
    return None
