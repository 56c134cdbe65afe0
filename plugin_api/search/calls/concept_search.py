"""Seek what a query names by its concepts, beside its words.

A domain's thesaurus says which concepts a text names. A product that has one of them, or one of the same
kind, scores higher, the more the rarer the concept is and the fewer levels it is above: each phrase counts by
the best concept that it shares with the product (Resnik 1995, over the thesaurus of the domain). Only scores
change; which products are found is up to the words.
"""

from dataclasses import dataclass, field, replace

from msgspec import Raw

from indexer.catalogue.thesaurus import Thesaurus, load_thesaurus
from mappings import fields
from mappings.domains import load_domain
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import dumps, raw_object
from plugin_api.search.query.types import QUERY_PARAMETERS, SearchCall, TextSearch

_MOST_PHRASES = 30
"""Phrases of a query that are sought by their concepts: OpenSearch refuses more than 1,024 clauses."""


@dataclass(frozen=True)
class ConceptSearch:
    """The concepts of a domain. Falsy where none count.

    A concept counts `weight`, and for each level that a broader one is above, `decay` times less.
    """

    thesaurus: Thesaurus = field(default_factory=Thesaurus)
    weight: float = 0.0
    decay: float = 1.0

    def __bool__(self) -> bool:
        return bool(self.weight and self.thesaurus.concepts)

    def build_clauses(self, text: str) -> list[JsonObject]:
        """Return a clause for each phrase of a text that names a concept."""
        clauses: dict[tuple[str, ...], JsonObject] = {}
        for concepts in self.thesaurus.find_phrases(text):
            levels: dict[str, int] = {}
            for concept in concepts:
                for name, level in self.thesaurus.list_broader(concept).items():
                    levels[name] = min(level, levels.get(name, level))
            alternatives: list[JsonObject] = [
                {"term": {fields.CONCEPTS: {"value": name, "boost": self.weight * self.decay**level}}}
                for name, level in levels.items()
            ]
            clauses.setdefault(tuple(sorted(levels)), {"dis_max": {"queries": alternatives}})
        return list(clauses.values())[:_MOST_PHRASES]

    def reinforce(self, call: SearchCall, search: TextSearch, text: str) -> SearchCall:
        """Return the call of a search whose words are sought together with the concepts of a text."""
        clauses = [] if search.options.verbatim else self.build_clauses(text)
        if not clauses:
            return call
        body = raw_object(call.body) if call.body.strip() else {}
        params = {name: value for name, value in call.params.items() if name not in QUERY_PARAMETERS}
        query = Raw(dumps(search.query.reinforce(clauses)))
        return replace(call, body=dumps({**body, "query": query}), params=params)


def load_concept_search(name: str) -> ConceptSearch:
    """Return the concepts of a domain. Raises SettingsError and CatalogueError where they can't be read."""
    domain = load_domain(name)
    if not domain.concept_weight:
        return ConceptSearch()
    return ConceptSearch(load_thesaurus(name), domain.concept_weight, domain.concept_decay)
