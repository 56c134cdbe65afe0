"""Cases of the query DSL: where a text is found, and what becomes of each kind of query."""

import base64
import json

from tests.integration.search.case import CHEAP, LAPTOP, TARGUS, Case, Outcome, asking

WORDS, CONDITIONS = "Queries with a text", "Queries without one"
STAND = {"match": {"title": "stand"}}
TYPED = "laptop lock"
FIELDS = ["title^3", "brand", "description"]
WRAPPED = base64.b64encode(json.dumps(LAPTOP).encode()).decode()
POPULAR = {"field_value_factor": {"field": "price", "modifier": "log1p", "missing": 1}}


def widened(feature: str, query: object, text: str = "laptop", **more: object) -> Case:
    return Case(WORDS, feature, Outcome.WIDENED, asking(query), text=text, **more)  # type: ignore[arg-type]


def reordered(feature: str, query: object, text: str = "laptop", **more: object) -> Case:
    return Case(WORDS, feature, Outcome.REORDERED, asking(query), text=text, **more)  # type: ignore[arg-type]


def bare(kind: str, body: object, path: str = "/products/_search", **more: object) -> Case:
    reason = f"the query has no text to rerank by, only {kind}"
    query = asking({kind: body})
    return Case(CONDITIONS, f"`{kind}`", Outcome.PLAIN, query, path, reason=reason, **more)  # type: ignore[arg-type]


MULTI = {"query": TYPED, "fields": FIELDS}
SPAN = {"span_term": {"title": "laptop"}}
CLOSE = {"nested": {"path": "offers", "query": {"range": {"offers.price": {"lt": 60}}}}}
HYBRID = {"hybrid": {"queries": [LAPTOP, {"match": {"description": "laptop"}}]}}

QUERIES = (
    widened("`match`", LAPTOP),
    reordered("`match` of all words", {"match": {"title": {"query": TYPED, "operator": "and"}}}, TYPED),
    widened("`match` with options", {"match": {"title": {"query": TYPED, "lenient": True}}}, TYPED),
    widened("`match` with fuzziness", {"match": {"title": {"query": "labtop", "fuzziness": 1}}}, "labtop"),
    *(
        widened(f"`multi_match`, `{kind}`", {"multi_match": {**MULTI, "type": kind}}, TYPED)
        for kind in ("best_fields", "most_fields", "cross_fields")
    ),
    *(
        reordered(
            f"`multi_match`, `{kind}`", {"multi_match": {"query": "laptop", "fields": FIELDS, "type": kind}}
        )
        for kind in ("phrase", "phrase_prefix", "bool_prefix")
    ),
    Case(
        WORDS,
        "`combined_fields` (OpenSearch 3)",
        Outcome.WIDENED,
        asking({"combined_fields": {"query": TYPED, "fields": ["title", "description"]}}),
        text=TYPED,
        versions=("3.5.0",),
    ),
    reordered("`match_phrase`", {"match_phrase": {"title": "laptop stand"}}, "laptop stand"),
    widened("a phrase that nothing has", {"match_phrase": {"title": "laptop computer"}}, "laptop computer"),
    reordered("`match_phrase_prefix`", {"match_phrase_prefix": {"title": "laptop st"}}, "laptop st"),
    reordered("`match_bool_prefix`", {"match_bool_prefix": {"title": "laptop st"}}, "laptop st"),
    widened("`query_string` of words", {"query_string": {"query": TYPED, "fields": FIELDS}}, TYPED),
    reordered(
        "`query_string` with syntax",
        {"query_string": {"query": 'title:laptop AND (stand OR "lock") AND NOT brand:HP'}},
        "laptop stand lock",
    ),
    widened(
        "`simple_query_string` of words", {"simple_query_string": {"query": TYPED, "fields": FIELDS}}, TYPED
    ),
    reordered(
        "`simple_query_string` with syntax",
        {"simple_query_string": {"query": '+laptop -lock | "usb stick"', "fields": FIELDS}},
        "laptop usb stick",
    ),
    widened(
        "`bool`: `must`, `filter`", {"bool": {"must": [LAPTOP], "filter": [TARGUS, CHEAP]}}, allowed=TARGUS
    ),
    widened(
        "`bool`: `must_not`",
        {"bool": {"must": LAPTOP, "must_not": TARGUS}},
        allowed={"bool": {"must_not": [TARGUS]}},
    ),
    widened(
        "`bool`: `should` beside `must` raises scores only", {"bool": {"must": LAPTOP, "should": [TARGUS]}}
    ),
    widened("`bool`: words in `should`", {"bool": {"should": [LAPTOP, STAND]}}, "laptop stand"),
    widened(
        "`bool`: `minimum_should_match`",
        {"bool": {"must": LAPTOP, "should": [TARGUS, CHEAP], "minimum_should_match": 2}},
        allowed={"bool": {"filter": [TARGUS, CHEAP]}},
    ),
    widened(
        "`bool` within `bool`",
        {"bool": {"filter": [CHEAP], "must": [{"bool": {"must": [LAPTOP], "filter": [TARGUS]}}]}},
        allowed={"bool": {"filter": [TARGUS, CHEAP]}},
    ),
    widened(
        "`bool`: conditions without words in `must`",
        {
            "bool": {
                "must": [
                    LAPTOP,
                    {"exists": {"field": "price"}},
                    {"terms": {"brand.keyword": ["HP", "Targus"]}},
                ]
            }
        },
        allowed={"terms": {"brand.keyword": ["HP", "Targus"]}},
    ),
    widened(
        "`bool`: a second text in `must` is a condition",
        {"bool": {"must": [{"match": {"brand": "Targus"}}, LAPTOP]}},
        allowed={"match": {"brand": "Targus"}},
    ),
    widened(
        "`bool`: a match on a number, boolean or keyword is a condition",
        {"bool": {"must": [{"match": {"brand.keyword": "Targus"}}, LAPTOP]}},
        allowed=TARGUS,
    ),
    widened("`dis_max`", {"dis_max": {"queries": [LAPTOP, {"match": {"description": "laptop"}}]}}),
    widened("`constant_score`", {"constant_score": {"filter": LAPTOP}}),
    widened("`function_score`", {"function_score": {"query": LAPTOP, "functions": [POPULAR]}}),
    widened(
        "`script_score`",
        {"script_score": {"query": LAPTOP, "script": {"source": "_score * 2"}}},
    ),
    widened("`boosting`", {"boosting": {"positive": LAPTOP, "negative": TARGUS, "negative_boost": 0.2}}),
    widened(
        "`wrapper`",
        {"bool": {"must": {"wrapper": {"query": WRAPPED}}, "filter": {"script": {"script": "true"}}}},
    ),
    reordered(
        "`nested`",
        {"nested": {"path": "offers", "query": {"match": {"offers.seller": "laptop world"}}}},
        "laptop world",
        path="/variants/_search",
    ),
    reordered(
        "`has_child`",
        {"has_child": {"type": "review", "query": {"match": {"said": "fits laptop"}}}},
        "fits laptop",
        path="/variants/_search",
    ),
    widened(
        "`bool`: a text beside `nested`",
        {
            "bool": {
                "must": [
                    LAPTOP,
                    CLOSE,
                ]
            }
        },
        path="/variants/_search",
        allowed=CLOSE,
    ),
    widened(
        "`bool`: a text beside `rank_feature`",
        {"bool": {"must": LAPTOP, "should": {"rank_feature": {"field": "popularity"}}}},
        path="/variants/_search",
    ),
    widened(
        "`bool`: a text beside `knn`",
        {"bool": {"must": LAPTOP, "should": {"knn": {"attune.vector": {"vector": [1] * 384, "k": 5}}}}},
    ),
    reordered("`hybrid` (neural-search)", HYBRID, versions=("2.19.1",), params={"search_pipeline": "fused"}),
    bare("match_all", {}),
    bare("parent_id", {"type": "review", "id": "13166"}, "/variants/_search"),
    bare("match_none", {}),
    bare("term", {"brand.keyword": "HP"}),
    bare("terms", {"brand.keyword": ["HP", "Targus"]}),
    bare(
        "terms_set",
        {"facets": {"terms": ["product colour=Black"], "minimum_should_match_script": {"source": "1"}}},
    ),
    bare("range", {"price": {"lt": 100}}),
    bare("exists", {"field": "price"}),
    bare("ids", {"values": ["13166"]}),
    bare("prefix", {"title": "lap"}),
    bare("wildcard", {"title": "lap*"}),
    bare("regexp", {"title": "lapto.*"}),
    bare("fuzzy", {"title": "labtop"}),
    bare("intervals", {"title": {"match": {"query": "laptop lock"}}}),
    bare("script", {"script": "doc['price'].size() > 0 && doc['price'].value < 50"}),
    bare(
        "more_like_this", {"fields": ["title"], "like": "laptop lock", "min_term_freq": 1, "min_doc_freq": 1}
    ),
    bare(
        "distance_feature", {"field": "offered", "origin": "2026-01-01", "pivot": "7d"}, "/variants/_search"
    ),
    bare("rank_feature", {"field": "popularity"}, "/variants/_search"),
    bare("knn", {"attune.vector": {"vector": [1] * 384, "k": 5}}),
    bare("span_term", {"title": "laptop"}),
    bare("span_near", {"clauses": [SPAN, {"span_term": {"title": "lock"}}], "slop": 9}),
    bare("span_first", {"match": SPAN, "end": 3}),
    bare("span_or", {"clauses": [SPAN]}),
    bare("span_not", {"include": SPAN, "exclude": {"span_term": {"title": "lock"}}}),
    bare("span_containing", {"big": SPAN, "little": SPAN}),
    bare("span_within", {"big": SPAN, "little": SPAN}),
    bare("span_multi", {"match": {"prefix": {"title": {"value": "lap"}}}}),
    bare("field_masking_span", {"query": SPAN, "field": "title"}),
    bare("geo_distance", {"distance": "10km", "place": {"lat": 52.5, "lon": 13.4}}, "/variants/_search"),
    bare(
        "geo_bounding_box",
        {"place": {"top_left": {"lat": 53, "lon": 13}, "bottom_right": {"lat": 52, "lon": 14}}},
        "/variants/_search",
    ),
    bare("percolate", {"field": "alert", "document": {"title": "laptop"}}, "/variants/_search"),
    Case(
        CONDITIONS,
        "a `bool` of filters alone",
        Outcome.PLAIN,
        asking({"bool": {"filter": [LAPTOP, TARGUS]}}),
        reason="the query has no text to rerank by, only bool",
    ),
    Case(CONDITIONS, "no query", Outcome.PLAIN, {"size": 5}, reason="the query has no text to rerank by"),
    Case(
        CONDITIONS,
        "an empty text",
        Outcome.PLAIN,
        asking({"match": {"title": " "}}),
        reason="the query has no text to rerank by, only match",
    ),
    Case(
        CONDITIONS,
        "a type that OpenSearch does not know",
        Outcome.REFUSED,
        asking({"semantic": {"title": "laptop"}}),
        parsed=False,
    ),
    Case(
        CONDITIONS,
        "a type that Attune does not know",
        Outcome.PLAIN,
        asking({"template": {"match": {"title": "laptop"}}}),
        reason="a query of type template is not reranked",
        versions=("3.5.0",),
    ),
)
