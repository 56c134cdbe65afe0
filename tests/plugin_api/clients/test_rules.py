import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.domains import ClientRule, load_domain
from mappings.errors import BadRequest
from plugin_api.clients.rules import WARNING, ClientRules, ShownPart, load_client_rules
from plugin_api.opensearch.raw_json import decoded, raw_object
from plugin_api.search.calls.client_search import restrict_call
from plugin_api.search.query.request import parse_call
from plugin_api.search.query.types import SearchCall

FINANCE = ClientRules(load_domain("finance").rules)
RISK, HORIZON = (rule.field.removeprefix("attributes.") for rule in FINANCE.rules)


def meets(condition: dict[str, Any], attributes: dict[str, Any]) -> bool:
    """Whether OpenSearch would find a product with these attributes by a filter."""
    ((kind, body),) = condition.items()
    if kind == "terms":
        ((field, values),) = body.items()
        own = attributes.get(field.removeprefix("attributes."), [])
        return bool(set(own if isinstance(own, list) else [own]) & set(values))
    if kind == "exists":
        return body["field"].removeprefix("attributes.") in attributes
    assert kind == "bool"
    must_not = not any(meets(each, attributes) for each in body.get("must_not", ()))
    return must_not and (not body.get("should") or any(meets(each, attributes) for each in body["should"]))


@given(
    st.floats(0, 8, allow_nan=False),
    st.floats(-1, 60, allow_nan=False),
    st.dictionaries(st.sampled_from([RISK, HORIZON]), st.integers(-2, 60).map(str)),
)
def test_nothing_above_the_risk_class_or_horizon_passes(
    risk: float, horizon: float, attributes: dict[str, str]
) -> None:
    filters = FINANCE.apply({"risk": risk, "horizon": horizon}).filters
    suitable = (
        attributes.keys() == {RISK, HORIZON}
        and 1 <= int(attributes[RISK]) <= min(risk, 7)
        and 0 <= int(attributes[HORIZON]) <= min(horizon, 50)
    )
    assert all(meets(each, attributes) for each in filters) == suitable


@pytest.mark.parametrize(
    "client",
    [{}, {"horizon": 3}, {"risk": "3"}, {"risk": True}, {"risk": float("nan")}, {"risk": 3, "age": 4}, 3, [],
     {"risk": 3, "show": "all"}],
)  # fmt: skip
def test_a_client_that_cannot_be_read_is_refused(client: object) -> None:
    with pytest.raises(BadRequest, match=r"ext\.attune\.client"):
        FINANCE.apply(client)


def restrict(body: dict[str, Any], params: dict[str, str] | None = None) -> dict[str, Any]:
    call = restrict_call(SearchCall.of("funds", json.dumps(body).encode(), params), FINANCE, {})
    result: dict[str, Any] = json.loads(call.body)
    return result


CLIENT = {"ext": {"attune": {"client": {"risk": 2}, "window": 9}}}


def test_the_clients_filter_stands_around_the_query() -> None:
    changed = restrict({"query": {"match": {"title": "fund"}}, **CLIENT})
    assert changed["query"]["bool"]["must"] == [{"match": {"title": "fund"}}]
    assert changed["query"]["bool"]["filter"] == [{"terms": {"attributes.risk class": ["1", "2"]}}]
    assert changed["ext"] == {"attune": {"window": 9}}


def test_a_query_in_the_url_is_no_way_around_it() -> None:
    call = SearchCall.of("funds", json.dumps(CLIENT).encode(), {"q": "crypto", "df": "title", "size": "3"})
    changed = restrict_call(call, FINANCE, {})
    assert changed.params == {"size": "3"}
    query = json.loads(changed.body)["query"]["bool"]
    assert query["must"] == [{"query_string": {"query": "crypto", "default_field": "title"}}]
    assert query["filter"]


def test_a_body_in_the_url_is_read() -> None:
    params = {"source": json.dumps(CLIENT), "source_content_type": "application/json"}
    changed = restrict_call(SearchCall.of("funds", b"", params), FINANCE, {})
    assert json.loads(changed.body)["query"]["bool"]["must"] == [{"match_all": {}}]


@pytest.mark.parametrize(
    "aggregations", [{"all": {"global": {}}}, {"a": {"terms": {}, "aggs": {"b": {"global": {}}}}}]
)
@pytest.mark.parametrize("key", ["aggs", "aggregations"])
def test_aggregations_over_everything_are_refused(key: str, aggregations: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="global"):
        restrict({key: aggregations, **CLIENT})


def test_a_search_that_names_no_client_goes_on_byte_for_byte() -> None:
    call = SearchCall.of("funds", b'{"query":  {"match": {"title": "fund"}}}')
    assert restrict_call(call, FINANCE, {}) is call


def test_what_breaks_a_rule_comes_last_and_marked() -> None:
    query = FINANCE.apply({"risk": 2, "show": "marked"}).restrict({"match_all": {}})
    (named,) = [clause["bool"]["_name"] for clause in query["bool"]["should"]]
    hits = [{"_id": "a", "matched_queries": [named, "own"]}, {"_id": "b"}, {"_id": "c", "fields": {"x": [1]}}]
    body = raw_object(json.dumps({"took": 1, "hits": {"total": {"value": 3}, "hits": hits}}))
    shown: Any = decoded(FINANCE.mark(body)["hits"])
    assert [hit["_id"] for hit in shown["hits"]] == ["b", "c", "a"]
    assert shown["hits"][-1]["fields"] == {WARNING: ["risk class above the client's 2"]}
    assert shown["hits"][-1]["matched_queries"] == ["own"]
    assert shown["hits"][1] == hits[2]


def test_a_domain_without_rules_marks_nothing() -> None:
    body = raw_object(b'{"hits": {"hits": [{"_id": "a", "matched_queries": ["attune.rule.x"]}]}}')
    assert ClientRules().mark(body) is body


def test_a_shop_refuses_a_search_that_names_a_client() -> None:
    with pytest.raises(BadRequest, match="needs a domain with rules"):
        parse_call(SearchCall.of("shop", json.dumps(CLIENT).encode()))


def test_a_query_may_say_what_its_client_is() -> None:
    rules = ClientRules(
        (
            ClientRule("age", "a", "at_most", "x", (0, 99), pattern=r"(\d+) years old|(\d+)岁"),
            ClientRule("without", "t", "lacks", "x", pattern="no ([a-z ]+)|没有([一-龥]+)", split=" or |和"),
        )
    )
    assert rules.read_client("cough in a 4 years old, no fever or chills") == {
        "age": 4,
        "without": ["fever", "chills"],
    }
    assert rules.read_client("3岁 没有发烧和咳嗽") == {"age": 3, "without": ["发烧", "咳嗽"]}
    assert rules.read_client("cough") == {}
    (lacks,) = rules.apply({"without": ["fever"]}).filters
    assert lacks == {"bool": {"must_not": [{"match_phrase": {"t": "fever"}}]}}


def test_values_have_other_words() -> None:
    rule = ClientRule("history", "h", "none_of", "x", values={"pregnancy": "pregnant|怀孕"})
    (condition,) = ClientRules((rule,)).apply({"history": "Pregnant"}).filters
    assert condition == {"bool": {"must_not": [{"terms": {"h": ["pregnant", "pregnancy"]}}]}}


def test_what_is_lacking_is_known_by_its_other_words() -> None:
    (lacks,) = load_client_rules("medicine").apply({"without": ["发烧"]}).filters
    assert {"match_phrase": {"title": "fever"}} in lacks["bool"]["must_not"]
    assert not load_client_rules("shop")


def test_what_is_absent_is_dropped_before_concepts_are_sought() -> None:
    rules = load_client_rules("medicine")
    assert rules.drop_absent("headache, no fever or chills").split() == ["headache,"]
    assert "fever" not in rules.drop_absent("denies any fever, has a cough")
    assert "发烧" not in rules.drop_absent("头痛 没有发烧")
    assert rules.drop_absent("headache") == "headache"


@pytest.mark.parametrize("part", ShownPart)
def test_a_search_for_marked_products_has_two_parts(part: ShownPart) -> None:
    applied = FINANCE.apply({"risk": 2, "horizon": 3, "show": "marked"}, part)
    query = applied.restrict({"match_all": {}})["bool"]
    assert ("filter" in query) == (part is not ShownPart.REQUESTED)
    assert ("should" in query) == (part is not ShownPart.SUITING)
    if part is ShownPart.BREAKING:
        (breaks,) = query["filter"]
        assert breaks["bool"]["minimum_should_match"] == 1
        assert breaks["bool"]["should"] == query["should"]
