import json

import pytest

from plugin_api.request import PlainRequest, RerankRequest, SearchCall, keyword_query, parse_call

MOUSE = {"match": {"title": "mouse"}}
HIDDEN = ["attune", "attune.*"]


def reranked(body: object, **params: str) -> RerankRequest:
    request = parse_call(SearchCall("shop", json.dumps(body).encode(), params))
    assert isinstance(request, RerankRequest), request
    return request


def plain(body: object, **params: str) -> PlainRequest:
    request = parse_call(SearchCall("shop", json.dumps(body).encode(), params))
    assert isinstance(request, PlainRequest), request
    return request


def test_page_defaults_to_ten_from_the_top() -> None:
    request = reranked({"query": MOUSE})
    assert (request.text, request.start, request.size, request.header) == ("mouse", 0, 10, {"index": "shop"})


def test_url_parameters_win_over_the_body() -> None:
    request = reranked({"query": MOUSE, "from": 1, "size": "2"}, **{"from": "30", "track_total_hits": "true"})
    assert (request.start, request.size, request.body["track_total_hits"]) == (30, 2, True)


def test_each_url_parameter_goes_where_msearch_takes_it() -> None:
    request = reranked({"query": MOUSE}, preference="me", routing="a", typed_keys="true", pretty="")
    assert request.header == {"index": "shop", "preference": "me", "routing": "a"}
    assert request.params == {"typed_keys": "true"}


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
    assert request.body["_source"] == expected
    assert json.loads(request.plain.body)["_source"] == expected
    assert not request.plain.params


def test_post_filter_binds_neighbours() -> None:
    only = {"term": {"brand": "HP"}}
    assert reranked({"query": MOUSE, "post_filter": only}).conditions == (only,)


@pytest.mark.parametrize(
    ("body", "params", "reason"),
    [
        ({"query": MOUSE, "sort": ["price"]}, {}, "its own sort"),
        ({"query": MOUSE, "search_after": [1]}, {}, "its own search_after"),
        ({"query": MOUSE, "collapse": {"field": "brand"}}, {}, "its own collapse"),
        ({"query": MOUSE, "size": 0}, {}, "no hits were asked for"),
        ({"query": MOUSE, "from": -1}, {}, "from or size"),
        ({"query": MOUSE, "size": "ten"}, {}, "from or size"),
        ({"query": MOUSE, "size": True}, {}, "from or size"),
        ({"query": MOUSE}, {"scroll": "1m"}, "the parameter scroll"),
        ({"query": MOUSE}, {"size": "-5"}, "from or size"),
        ({}, {}, "no text"),
    ],
)
def test_what_is_not_reranked_goes_on_as_it_came(
    body: dict[str, object], params: dict[str, str], reason: str
) -> None:
    request = plain(body, **params)
    assert reason in request.reason
    assert request.params == params
    assert json.loads(request.body) == {**body, "_source": {"excludes": HIDDEN}}


@pytest.mark.parametrize(
    "body", [b"nope", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"from": ' + b"9" * 5000 + b"}"]
)
def test_unreadable_bodies_go_on_untouched(body: bytes) -> None:
    request = parse_call(SearchCall("shop", body))
    assert isinstance(request, PlainRequest)
    assert request.body == body
    assert request.reason


def test_a_search_in_the_url_alone_keeps_its_empty_body() -> None:
    request = parse_call(SearchCall("shop", b"", {"q": "mouse", "_source_excludes": "tax"}))
    assert isinstance(request, PlainRequest)
    assert request.body == b""
    assert request.params == {"q": "mouse", "_source_excludes": "tax,attune,attune.*"}


def test_own_fields_asked_for_by_name_are_known() -> None:
    request = reranked(
        {"query": MOUSE, "docvalue_fields": [{"field": "attune.model"}, "price"], "fields": ["*"]}
    )
    assert request.asked == {"attune.model"}


def test_keyword_query_is_one_that_gets_reranked() -> None:
    only = {"term": {"brand.keyword": "HP"}}
    assert reranked({"query": keyword_query("usb mouse")}).text == "usb mouse"
    assert reranked({"query": keyword_query("usb mouse", (only,))}).conditions == (only,)


@pytest.mark.parametrize(
    ("text", "words"), [("buy laptop", "laptop"), ("购买新款手机", "手机"), ("buy", "buy")]
)
def test_keyword_query_leaves_intent_words_out(text: str, words: str) -> None:
    assert keyword_query(text)["multi_match"]["query"] == words


def test_half_of_the_pairs_of_chinese_characters_are_enough() -> None:
    assert keyword_query("降噪耳机")["multi_match"]["minimum_should_match"] == "2<50%"
    assert keyword_query("new phone")["multi_match"]["minimum_should_match"] == "2<75%"
