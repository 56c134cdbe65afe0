import json
from collections.abc import Mapping
from typing import Any

import pytest

from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import decoded
from plugin_api.search.query.clauses import required_filters
from plugin_api.search.query.field_types import IndexSchema
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.request import MAX_BODY_BYTES, parse_call, parse_count
from plugin_api.search.query.types import AddWhen, FallbackRequest, RerankRequest, SearchCall
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
    assert (request.text, request.start, request.size) == ("mouse", 0, 10)


def test_url_parameters_win_over_the_body() -> None:
    request = reranked({"query": MOUSE, "from": 1, "size": "2"}, **{"from": "30", "track_total_hits": "true"})
    assert (request.start, request.size, decoded(request.body["track_total_hits"])) == (30, 2, True)


def test_parameters_that_msearch_does_not_take_leave_the_callers_own_hits() -> None:
    request = reranked({"query": MOUSE}, preference="me", routing="a", typed_keys="true", pretty="")
    assert (request.fixed, request.add_when) == (False, AddWhen.ALWAYS)
    request = reranked({"query": MOUSE}, terminate_after="100")
    assert (request.fixed, request.add_when) == (True, AddWhen.NEVER)


@pytest.mark.parametrize(
    ("source", "params", "expected"),
    [
        (None, {}, {"excludes": HIDDEN}),
        (True, {}, {"excludes": HIDDEN}),
        (False, {}, False),
        ("title", {}, {"includes": ["title"]}),
        ("", {}, {"includes": [""], "excludes": HIDDEN}),
        (["title", "attributes.*"], {}, {"includes": ["title", "attributes.*"], "excludes": HIDDEN}),
        ({"includes": ["title"], "excludes": ["tax"]}, {}, {"includes": ["title"], "excludes": ["tax"]}),
        (["title", "attune.model"], {}, {"includes": ["title", "attune.model"], "excludes": HIDDEN}),
        ({"includes": "t*", "excludes": "tax"}, {}, {"includes": "t*", "excludes": ["tax", *HIDDEN]}),
        ({"exclude": ["tax"]}, {}, {"excludes": ["tax", *HIDDEN]}),
        (["title"], {"_source": "false"}, False),
        (["title"], {"_source": "brand,price"}, {"includes": ["brand", "price"]}),
        (None, {"_source_includes": "brand"}, {"includes": ["brand"]}),
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


@pytest.mark.parametrize(
    ("params", "headers", "reason"),
    [
        ({"scroll": "1m"}, {}, Reason.SCROLL),
        ({"filter_path": "hits"}, {}, Reason.FILTER_PATH),
        ({"format": "yaml"}, {}, Reason.OTHER_FORMAT),
        ({}, {"accept": "application/yaml"}, Reason.OTHER_FORMAT),
    ],
)
def test_what_is_answered_in_its_own_way_is_widened_and_goes_on(
    params: dict[str, str], headers: dict[str, str], reason: Reason
) -> None:
    request = parse_call(SearchCall("shop", json.dumps({"query": MOUSE}).encode(), params, headers))
    assert isinstance(request, FallbackRequest)
    assert (request.cause.reason, request.params) == (reason, params)
    assert json.loads(request.body) == {"query": MOUSE, "_source": {"excludes": HIDDEN}}
    assert request.search
    assert (request.search.text, request.search.add_when) == ("mouse", AddWhen.ALWAYS)


def test_an_answer_in_json_is_reranked() -> None:
    call = SearchCall("shop", json.dumps({"query": MOUSE}).encode(), headers={"accept": "*/*"})
    assert isinstance(parse_call(call), RerankRequest)


def test_a_body_in_the_url_is_read() -> None:
    params = {"source": json.dumps({"query": MOUSE, "size": 3}), "source_content_type": "application/json"}
    request = parse_call(SearchCall("shop", b"", params, method="GET"))
    assert isinstance(request, RerankRequest)
    assert (request.text, request.size) == ("mouse", 3)
    assert "source" not in request.params | request.fallback.params


def test_a_body_in_the_url_of_another_type_is_opensearchs_to_read() -> None:
    request = parse_call(SearchCall("shop", b"", {"source": "query: x"}))
    assert isinstance(request, FallbackRequest)
    assert request.params == {"source": "query: x"}


def test_a_search_in_the_url_alone_is_one_for_its_words() -> None:
    request = parse_call(
        SearchCall("shop", b"", {"q": "usb mouse", "df": "title", "_source_excludes": "tax"})
    )
    assert isinstance(request, RerankRequest)
    assert (request.text, request.add_when) == ("usb mouse", AddWhen.ALWAYS)
    assert not request.params
    assert request.fallback.params == {"q": "usb mouse", "df": "title"}
    assert request.query.query == {"query_string": {"query": "usb mouse", "default_field": "title"}}
    assert decoded(request.body["_source"]) == {"excludes": ["tax", *HIDDEN]}
    widened = request.fallback.with_query(request.query.widen([("shop-1", "a")]))
    assert not widened.params
    assert "query_string" in json.dumps(json.loads(widened.body)["query"])


@pytest.mark.parametrize(
    "key", ["collapse", "rescore", "explain", "profile", "stored_fields", "aggs", "highlight", "post_filter"]
)
def test_what_opensearch_does_with_the_whole_set_leaves_it_whole(key: str) -> None:
    request = reranked({"query": MOUSE, key: {}})
    assert (request.fixed, request.add_when) == (False, AddWhen.ALWAYS)


@pytest.mark.parametrize("key", ["min_score", "terminate_after", "ext", "a key of tomorrow"])
def test_what_added_products_can_not_be_asked_leaves_the_callers_own_hits(key: str) -> None:
    request = reranked({"query": MOUSE, key: {"rest": 1}})
    assert (request.fixed, request.add_when) == (True, AddWhen.NEVER)
    sorted_ = fallback({"query": MOUSE, key: {"rest": 1}, "sort": ["price"]})
    assert sorted_.search
    assert sorted_.search.add_when is AddWhen.NEVER


def add_when(query: object, settings: SearchSettings | None = None, **options: object) -> AddWhen:
    """When products are added to a search by relevance; the same for a sorted one, and for a count."""
    body = json.dumps({"query": query, **({"ext": {"attune": options}} if options else {})}).encode()
    by_price = json.dumps({**json.loads(body), "sort": ["price"]}).encode()
    chosen = settings or SearchSettings()
    request = parse_call(SearchCall("shop", body), chosen)
    assert isinstance(request, RerankRequest)
    others = parse_call(SearchCall("shop", by_price), chosen), parse_count(SearchCall("shop", body), chosen)
    for other in others:
        assert isinstance(other, FallbackRequest)
        assert other.search
        assert other.search.add_when is request.add_when
    return request.add_when


WORDS = {"match": {"title": "quiet mouse"}}
ALL_WORDS = {"match": {"title": {"query": "quiet mouse", "operator": "and"}}}


def test_products_are_added_to_words_as_the_setting_says() -> None:
    assert add_when(WORDS) is AddWhen.ALWAYS
    assert add_when(WORDS, SearchSettings(recall="fill")) is AddWhen.FEW_FOUND
    assert add_when(WORDS, SearchSettings(recall="off")) is AddWhen.NEVER


def test_products_are_added_to_a_precise_search_that_finds_nothing() -> None:
    assert add_when(ALL_WORDS) is AddWhen.NOTHING_FOUND
    assert add_when({"match_phrase": {"title": "quiet mouse"}}) is AddWhen.NOTHING_FOUND
    assert add_when(ALL_WORDS, SearchSettings(recall="fill")) is AddWhen.NOTHING_FOUND
    assert add_when(ALL_WORDS, SearchSettings(rescue=False)) is AddWhen.NEVER
    assert add_when(ALL_WORDS, SearchSettings(recall="off")) is AddWhen.NEVER


def test_products_are_never_added_to_a_search_that_is_verbatim() -> None:
    assert add_when(WORDS, verbatim=True) is AddWhen.NEVER
    assert add_when(ALL_WORDS, verbatim=True) is AddWhen.NEVER


@pytest.mark.parametrize("text", ["4006381333931", "LT-017-8492", "8492", "978-3-16-148410-0"])
def test_products_are_never_added_to_an_identifier(text: str) -> None:
    for query in ({"match": {"title": text}}, {"match_phrase": {"title": text}}):
        assert add_when(query) is AddWhen.NEVER


@pytest.mark.parametrize("text", ["sony wh-1000xm4", "hp 8492 toner"])
def test_a_model_number_is_as_precise_as_all_words(text: str) -> None:
    assert add_when({"match": {"title": text}}) is AddWhen.NOTHING_FOUND
    assert add_when({"match": {"title": text}}, SearchSettings(rescue=False)) is AddWhen.NEVER


@pytest.mark.parametrize("text", ["laptop under 500", "1080p tv", "500 gb ssd", "iphone 13"])
def test_a_price_a_measure_or_a_version_is_no_model_number(text: str) -> None:
    assert add_when({"match": {"title": text}}) is AddWhen.ALWAYS


def test_where_words_only_order_all_near_products_are_ranked() -> None:
    assert add_when({"bool": {"filter": [{"term": {"brand": "HP"}}], "should": [WORDS]}}) is AddWhen.ALWAYS


def test_products_can_not_be_added_within_other_documents() -> None:
    assert add_when({"nested": {"path": "offers", "query": WORDS}}) is AddWhen.NEVER


TENANT, STORE = {"term": {"tenant": "acme"}}, {"terms": {"store.keyword": ["berlin"]}}


def required(query: object, always: str = "", *alias_filter: JsonObject) -> tuple[JsonObject, ...]:
    search = json.dumps({"query": query}).encode()
    schema = IndexSchema(alias_filter=alias_filter)
    request = parse_call(SearchCall("shop", search), SearchSettings(always=always), schema)
    assert isinstance(request, RerankRequest)
    return request.required


@pytest.mark.parametrize(
    "query",
    [
        {"bool": {"must": [MOUSE], "filter": [TENANT]}},
        {"bool": {"must": [MOUSE, TENANT]}},
        {"bool": {"must": MOUSE, "filter": {"bool": {"must": TENANT}}}},
        {"function_score": {"query": {"bool": {"must": [MOUSE], "filter": [TENANT]}}}},
        {"bool": {"must": [MOUSE], "filter": [{"constant_score": {"filter": TENANT}}]}},
    ],
)
def test_a_filter_that_always_holds_is_known_by_its_field(query: object) -> None:
    assert required(query, "store, tenant") == (TENANT,)
    assert required(query) == ()


def test_a_filter_that_need_not_hold_is_not_required() -> None:
    for key in ("should", "must_not"):
        assert required({"bool": {"must": [MOUSE], key: [TENANT]}}, "tenant") == ()
    assert required({"bool": {"must": [MOUSE], "filter": [STORE, TENANT]}}, "store") == (STORE,)


def test_an_aliass_own_filter_is_always_required() -> None:
    assert required(MOUSE, "", TENANT) == (TENANT,)
    assert required({"bool": {"must": [MOUSE], "filter": [STORE]}}, "store", TENANT) == (TENANT, STORE)


@pytest.mark.parametrize("malformed", ["tenant", {"term": "tenant"}, {"bool": []}, {"a": {}, "b": {}}, 7])
def test_malformed_filters_are_opensearchs_to_judge(malformed: object) -> None:
    query: Any = {"bool": {"must": [MOUSE], "filter": [malformed, TENANT]}}
    assert required_filters(query, ["tenant"]) == (TENANT,)


def test_types_of_fields_tell_the_text_from_a_condition() -> None:
    query = {"bool": {"must": [{"match": {"model_year": "2024"}}, MOUSE]}}
    asked: list[object] = []

    def types(names: object) -> Mapping[str, list[str]]:
        asked.append(names)
        return {"model_year": ["integer"], "title": ["text"]}

    request = parse_call(SearchCall("shop", json.dumps({"query": query}).encode()), schema=IndexSchema(types))
    assert isinstance(request, RerankRequest)
    assert request.text == "mouse"
    assert asked


def counted(body: object, **params: str) -> FallbackRequest:
    return parse_count(SearchCall("shop", json.dumps(body).encode() if body else b"", params))


def test_a_count_is_of_the_same_text() -> None:
    query = {"bool": {"must": [WORDS], "filter": [TENANT]}}
    request = counted({"query": query})
    assert (request.cause.reason, json.loads(request.body)) == (Reason.COUNT, {"query": query})
    assert request.search
    widened = request.with_query(request.search.query.widen([("shop-1", "a")]))
    assert json.loads(widened.body).keys() == {"query"}
    assert TENANT in json.loads(widened.body)["query"]["bool"]["filter"]


def test_options_of_a_count_are_not_sent() -> None:
    request = counted({"query": WORDS, "ext": {"attune": {"verbatim": True}}})
    assert json.loads(request.body) == {"query": WORDS}
    assert request.search
    assert request.search.add_when is AddWhen.NEVER
    with pytest.raises(BadRequest, match="verbtim"):
        counted({"query": WORDS, "ext": {"attune": {"verbtim": True}}})


def test_a_count_without_a_text_goes_on_as_it_came() -> None:
    assert counted(None).search is None
    for body in (b"nope", b'{"query":  {"match_all": {}} }'):
        request = parse_count(SearchCall("shop", body))
        assert (request.body, request.verbatim, request.search) == (body, True, None)


def test_a_search_in_a_point_in_time_is_widened_within_it() -> None:
    request = fallback({"query": MOUSE, "pit": {"id": "x"}, "sort": ["price"]})
    assert request.cause.reason is Reason.POINT_IN_TIME
    assert request.search
    assert request.search.pit == "x"


def test_what_is_not_to_be_changed_is_not_widened() -> None:
    assert fallback({"query": MOUSE, "ext": {"attune": {"rerank": False}}}).search is None
    assert fallback({"query": MOUSE, "from": -1}).search is None


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
    assert request.add_when is AddWhen.NEVER  # what else may join the category is not known
    of_all = reranked({"ext": {"attune": {"query": "quiet mouse"}}})
    assert (of_all.query.optional, of_all.add_when) == (True, AddWhen.ALWAYS)
    instead = reranked({"query": MOUSE, "ext": {"attune": {"query": "quiet mouse"}}})
    assert (instead.text, instead.add_when) == ("quiet mouse", AddWhen.ALWAYS)
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


def test_hits_without_an_id_are_told_apart_by_attunes_own() -> None:
    request = reranked({"query": MOUSE, "stored_fields": "_none_", "docvalue_fields": ["_id"]})
    assert (request.hides_ids, request.add_when) == (True, AddWhen.ALWAYS)
    assert not reranked({"query": MOUSE, "stored_fields": ["title"]}).hides_ids
    assert reranked({"query": MOUSE}, stored_fields="_none_").fixed


@pytest.mark.parametrize("first", ["_score", {"_score": "desc"}, {"_score": {"order": "desc"}}])
def test_a_sort_that_breaks_ties_of_the_relevance_goes_with_the_search(first: object) -> None:
    request = reranked({"query": MOUSE, "sort": [first, {"price": "asc"}]})
    assert request.add_when is AddWhen.ALWAYS
    assert decoded(request.body["sort"]) == [first, {"price": "asc"}]


def test_doc_values_asked_for_by_name_are_known() -> None:
    request = reranked(
        {"query": MOUSE, "docvalue_fields": [{"field": "attune.model"}, "price"], "fields": ["*"]}
    )
    assert request.docvalue_names == {"attune.model", "price"}


def test_keyword_query_is_one_that_gets_reranked() -> None:
    only = {"term": {"brand.keyword": "HP"}}
    assert reranked({"query": keyword_query("usb mouse")}).text == "usb mouse"
    request = reranked({"query": keyword_query("usb mouse", (only,))})
    assert (request.text, request.add_when) == ("usb mouse", AddWhen.ALWAYS)
    assert only in request.query.widen([("shop-1", "a")])["bool"]["filter"]


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
