import json

import pytest

from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import decoded
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.request import MAX_BODY_BYTES, parse_call
from plugin_api.search.query.types import FallbackRequest, RerankRequest, SearchCall
from plugin_api.search.reasons import Reason

MOUSE = {"match": {"title": "mouse"}}
HIDDEN = ["attune", "attune.*"]


def reranked(body: object, **params: str) -> RerankRequest:
    request = parse_call(SearchCall("shop", json.dumps(body).encode(), params))
    assert isinstance(request, RerankRequest), request
    return request


def fallback(body: object, **params: str) -> FallbackRequest:
    request = parse_call(SearchCall("shop", json.dumps(body).encode(), params))
    assert isinstance(request, FallbackRequest), request
    return request


def test_page_defaults_to_ten_from_the_top() -> None:
    request = reranked({"query": MOUSE})
    assert (request.text, request.start, request.size, request.allows_vector_hits) == ("mouse", 0, 10, True)


def test_url_parameters_win_over_the_body() -> None:
    request = reranked({"query": MOUSE, "from": 1, "size": "2"}, **{"from": "30", "track_total_hits": "true"})
    assert (request.start, request.size, decoded(request.body["track_total_hits"])) == (30, 2, True)


def test_parameters_that_msearch_does_not_take_leave_the_callers_own_hits() -> None:
    assert reranked(
        {"query": MOUSE}, preference="me", routing="a", typed_keys="true", pretty=""
    ).allows_vector_hits
    assert not reranked({"query": MOUSE}, terminate_after="100").allows_vector_hits


@pytest.mark.parametrize(
    ("source", "params", "expected"),
    [
        (None, {}, {"excludes": HIDDEN}),
        (True, {}, {"excludes": HIDDEN}),
        (False, {}, False),
        ("title", {}, {"includes": ["title"], "excludes": HIDDEN}),
        (["title", "attune.model"], {}, {"includes": ["title", "attune.model"], "excludes": HIDDEN}),
        ({"includes": "t*", "excludes": "tax"}, {}, {"includes": "t*", "excludes": ["tax", *HIDDEN]}),
        ({"exclude": ["tax"]}, {}, {"excludes": ["tax", *HIDDEN]}),
        (["title"], {"_source": "false"}, False),
        (["title"], {"_source": "brand,price"}, {"includes": ["brand", "price"], "excludes": HIDDEN}),
        (None, {"_source_includes": "brand"}, {"includes": ["brand"], "excludes": HIDDEN}),
        (None, {"_source_excludes": "tax"}, {"excludes": ["tax", *HIDDEN]}),
    ],
)
def test_own_fields_never_come_with_the_source(
    source: object, params: dict[str, str], expected: object
) -> None:
    body = {"query": MOUSE} if source is None else {"query": MOUSE, "_source": source}
    request = reranked(body, **params)
    assert decoded(request.body["_source"]) == expected
    assert json.loads(request.fallback.body)["_source"] == expected
    assert not request.fallback.params


@pytest.mark.parametrize(
    ("asked", "params", "source"),
    [
        ({"stored_fields": ["title"]}, {}, None),
        ({"stored_fields": []}, {}, None),
        ({}, {"stored_fields": ""}, {"excludes": HIDDEN}),
        ({"stored_fields": ["_source"]}, {}, {"excludes": HIDDEN}),
        ({"stored_fields": ["title"], "_source": True}, {}, {"excludes": HIDDEN}),
        ({"script_fields": {"one": {"script": "1"}}}, {}, None),
        ({"script_fields": {}}, {}, {"excludes": HIDDEN}),
        ({}, {"stored_fields": "title"}, None),
        ({}, {"stored_fields": "title,_source"}, {"excludes": HIDDEN}),
    ],
)
def test_no_source_comes_where_opensearch_would_send_none(
    asked: dict[str, object], params: dict[str, str], source: object
) -> None:
    request = reranked({"query": MOUSE, **asked}, **params)
    assert decoded(request.body.get("_source")) == source
    assert json.loads(request.fallback.body).get("_source") == source


def test_post_filter_binds_neighbours() -> None:
    only = {"term": {"brand": "HP"}}
    assert reranked({"query": MOUSE, "post_filter": only}).conditions == (only,)


@pytest.mark.parametrize(
    ("body", "params", "reason"),
    [
        ({"query": MOUSE, "sort": ["price"]}, {}, "its own sort"),
        ({"query": MOUSE, "sort": ["price", "_score"]}, {}, "its own sort"),
        ({"query": MOUSE, "search_after": [1]}, {}, "its own search_after"),
        ({"query": MOUSE, "size": 0}, {}, "no hits were requested"),
        ({"query": MOUSE, "from": -1}, {}, "from or size"),
        ({"query": MOUSE, "size": "ten"}, {}, "from or size"),
        ({"query": MOUSE, "size": True}, {}, "from or size"),
        ({"query": MOUSE, "from": None}, {}, "from or size"),
        ({"query": MOUSE}, {"size": "-5"}, "from or size"),
        ({}, {}, "no text"),
    ],
)
def test_what_is_not_reranked_goes_on_as_it_came(
    body: dict[str, object], params: dict[str, str], reason: str
) -> None:
    request = fallback(body, **params)
    assert reason in request.cause.sentence
    assert request.params == params
    assert json.loads(request.body) == {**body, "_source": {"excludes": HIDDEN}}


@pytest.mark.parametrize(
    "body", [b"nope", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"from": ' + b"9" * 5000 + b"}"]
)
def test_unreadable_bodies_go_on_untouched(body: bytes) -> None:
    request = parse_call(SearchCall("shop", body))
    assert isinstance(request, FallbackRequest)
    assert request.body == body
    assert request.cause.sentence


@pytest.mark.parametrize("name", ["scroll", "filter_path", "format", "source"])
def test_what_can_not_be_put_together_again_goes_on_byte_for_byte(name: str) -> None:
    body = b'{"query": {"match": {"title": "mouse"}} }'
    request = parse_call(SearchCall("shop", body, {name: "x"}))
    assert isinstance(request, FallbackRequest)
    assert (request.body, request.params, request.verbatim) == (body, {name: "x"}, True)
    assert request.cause.sentence


def test_an_answer_that_is_no_json_goes_on_byte_for_byte() -> None:
    body = json.dumps({"query": MOUSE}).encode()
    request = parse_call(SearchCall("shop", body, headers={"accept": "application/yaml"}))
    assert isinstance(request, FallbackRequest)
    assert (request.body, request.verbatim, request.cause.reason) == (body, True, Reason.OTHER_FORMAT)
    assert isinstance(parse_call(SearchCall("shop", body, headers={"accept": "*/*"})), RerankRequest)


def test_a_search_in_the_url_alone_is_reordered() -> None:
    request = parse_call(SearchCall("shop", b"", {"q": "title:mouse", "_source_excludes": "tax"}))
    assert isinstance(request, RerankRequest)
    assert (request.text, request.allows_vector_hits, request.params) == (
        "mouse",
        False,
        {"q": "title:mouse"},
    )
    assert decoded(request.body["_source"]) == {"excludes": ["tax", *HIDDEN]}


@pytest.mark.parametrize("key", ["collapse", "min_score", "rescore", "explain", "profile", "stored_fields"])
def test_what_vectors_could_break_leaves_the_callers_own_hits(key: str) -> None:
    assert not reranked({"query": MOUSE, key: 1}).allows_vector_hits


@pytest.mark.parametrize("sort", ["_score", ["_score"], {"_score": "desc"}, [{"_score": {"order": "desc"}}]])
def test_a_sort_by_relevance_is_what_reranking_improves(sort: object) -> None:
    assert "sort" not in reranked({"query": MOUSE, "sort": sort}).body


def test_options_take_the_settings_place() -> None:
    options = reranked(
        {"query": MOUSE, "ext": {"attune": {"window": 7, "vector_weight": 1, "click_weight": 0}, "other": {}}}
    )
    assert decoded(options.body["ext"]) == {"other": {}}
    settings = options.options.over(SearchSettings())
    assert (settings.window, settings.vector_weight_head, settings.click_weight) == (7, 1.0, 0.0)
    assert settings.keyword_weight == SearchSettings().keyword_weight


def test_a_text_given_apart_replaces_the_querys() -> None:
    only = {"term": {"brand": "HP"}}
    request = reranked({"query": {"bool": {"filter": only}}, "ext": {"attune": {"query": "quiet mouse"}}})
    assert request.text == "quiet mouse"
    assert reranked({"ext": {"attune": {"query": "quiet mouse"}}}).allows_vector_hits
    unranked = fallback({"query": MOUSE, "ext": {"attune": {"rerank": False}}})
    assert unranked.cause.reason == Reason.NOT_REQUESTED


@pytest.mark.parametrize(
    ("options", "named"),
    [({"windw": 5}, "windw"), ({"window": 0}, "window"), ({"window": "5"}, "window"), (7, "object")],
)
def test_options_that_are_none_are_refused_by_name(options: object, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        reranked({"query": MOUSE, "ext": {"attune": options}})


def test_numbers_keep_their_digits() -> None:
    body = b'{"query":{"match":{"title":"mouse"}},"min_score":1.00000000000000000001,"sort":["price"]}'
    request = parse_call(SearchCall("shop", body))
    assert b"1.00000000000000000001" in (request.body if isinstance(request, FallbackRequest) else b"")


def test_hits_without_an_id_are_reordered_by_the_id_that_attune_gave_them() -> None:
    assert not reranked({"query": MOUSE, "stored_fields": "_none_"}).allows_vector_hits
    assert not reranked({"query": MOUSE}, stored_fields="_none_").allows_vector_hits


@pytest.mark.parametrize("first", ["_score", {"_score": "desc"}, {"_score": {"order": "desc"}}])
def test_a_sort_that_breaks_ties_of_the_relevance_goes_with_the_search(first: object) -> None:
    request = reranked({"query": MOUSE, "sort": [first, {"price": "asc"}]})
    assert request.allows_vector_hits
    assert decoded(request.body["sort"]) == [first, {"price": "asc"}]


def test_doc_values_asked_for_by_name_are_known() -> None:
    request = reranked(
        {"query": MOUSE, "docvalue_fields": [{"field": "attune.model"}, "price"], "fields": ["*"]}
    )
    assert request.docvalue_names == {"attune.model", "price"}


def test_keyword_query_is_one_that_gets_reranked() -> None:
    only = {"term": {"brand.keyword": "HP"}}
    assert reranked({"query": keyword_query("usb mouse")}).text == "usb mouse"
    assert reranked({"query": keyword_query("usb mouse", (only,))}).conditions == (only,)


def by_words(text: str) -> JsonObject:
    words: JsonObject = keyword_query(text)["dis_max"]["queries"][0]["multi_match"]
    return words


def test_keyword_query_finds_identifiers_above_words() -> None:
    by_identifier = keyword_query("LT-017")["dis_max"]["queries"][1]["match"]["identifiers"]
    assert by_identifier["query"] == "LT-017"
    assert by_identifier["boost"] > 10


@pytest.mark.parametrize(
    ("text", "words"), [("buy laptop", "laptop"), ("购买新款手机", "手机"), ("buy", "buy")]
)
def test_keyword_query_leaves_intent_words_out(text: str, words: str) -> None:
    assert by_words(text)["query"] == words


def test_half_of_the_pairs_of_chinese_characters_are_enough() -> None:
    assert by_words("降噪耳机")["minimum_should_match"] == "2<50%"
    assert by_words("new phone")["minimum_should_match"] == "2<67%"


def test_a_search_larger_than_ranking_reads_goes_on_once_as_it_came() -> None:
    body = json.dumps({"query": {"match": {"title": "mouse " * (MAX_BODY_BYTES // 6 + 1)}}}).encode()
    request = parse_call(SearchCall("shop", body))
    assert isinstance(request, FallbackRequest)
    assert (request.body, request.verbatim) == (body, True)
    assert request.cause.reason is Reason.BODY_TOO_LARGE


def test_a_blank_text_of_the_options_is_none() -> None:
    assert reranked({"query": MOUSE, "ext": {"attune": {"query": " " * 2000}}}).text == "mouse"


def test_weights_that_are_lost_in_rounding_are_refused() -> None:
    weights = dict.fromkeys(("relevance_weight", "click_weight", "purchase_weight"), 1e-320)
    with pytest.raises(BadRequest, match="weights"):
        reranked({"query": MOUSE, "ext": {"attune": weights}})
