import json
from typing import Any

import pytest

from indexer.catalogue.thesaurus import Thesaurus
from mappings.domains import Concept
from mappings.types import JsonObject
from plugin_api.search.calls.concept_search import ConceptSearch, load_concept_search
from plugin_api.search.query.purity import is_pure
from plugin_api.search.query.request import parse_call
from plugin_api.search.query.types import RerankRequest, SearchCall

CONCEPTS = ConceptSearch(
    Thesaurus((
        Concept("rye", ("rye bread", "黑麦面包"), ("bread",)),
        Concept("bread", ("bread", "loaf"), ("food",)),
        Concept("food", ("food",)),
    )),
    weight=2.0,
    decay=0.5,
)  # fmt: skip


def list_terms(clause: JsonObject) -> dict[str, float]:
    terms = [query["term"]["attune.concepts"] for query in clause["dis_max"]["queries"]]
    return {term["value"]: term["boost"] for term in terms}


def reinforce(text: str, body: JsonObject | None = None, **params: str) -> Any:
    given = body or {"query": {"match": {"title": text}}}
    call = SearchCall.of("shop", json.dumps(given).encode(), params)
    request = parse_call(call)
    search = request if isinstance(request, RerankRequest) else request.search
    assert search
    changed = CONCEPTS.reinforce(call, search, text)
    return None if changed is call else (changed, json.loads(changed.body)["query"])


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("fresh rye bread", [{"rye": 2.0, "bread": 1.0, "food": 0.5}]),
        ("黑麦面包", [{"rye": 2.0, "bread": 1.0, "food": 0.5}]),
        ("a loaf, other food", [{"bread": 2.0, "food": 1.0}, {"food": 2.0}]),
        ("loaf of bread", [{"bread": 2.0, "food": 1.0}]),
        ("butter", []),
    ],
)
def test_a_phrase_counts_by_the_nearest_concept_that_is_shared(
    text: str, terms: list[dict[str, float]]
) -> None:
    assert [list_terms(clause) for clause in CONCEPTS.build_clauses(text)] == terms


def test_concepts_stand_beside_the_words_within_the_conditions_of_the_search() -> None:
    words: JsonObject = {"match": {"title": "rye bread"}}
    filters = [{"term": {"brand": "x"}}]
    call, query = reinforce("rye bread", {"query": {"bool": {"must": [words], "filter": filters}}, "size": 3})
    (inner,) = query["bool"]["must"]
    assert inner["bool"]["must"] == [words]
    assert [list_terms(clause) for clause in inner["bool"]["should"]] == [
        {"rye": 2.0, "bread": 1.0, "food": 0.5}
    ]
    assert query["bool"]["filter"] == filters
    again = parse_call(call)
    assert isinstance(again, RerankRequest)
    assert again.text == "rye bread"
    assert is_pure(query)


def test_a_query_in_the_url_is_reinforced() -> None:
    call, query = reinforce("loaf", {"size": 3}, q="loaf", df="title")
    assert call.params == {}
    assert query["bool"]["must"] == [{"query_string": {"query": "loaf", "default_field": "title"}}]


def test_what_names_no_concept_or_wants_its_words_verbatim_goes_on_as_it_came() -> None:
    assert reinforce("butter") is None
    verbatim = {"query": {"match": {"title": "loaf"}}, "ext": {"attune": {"verbatim": True}}}
    assert reinforce("loaf", verbatim) is None


def test_a_domain_without_a_weight_has_no_concepts() -> None:
    assert not load_concept_search("shop")
    assert not load_concept_search("finance")
