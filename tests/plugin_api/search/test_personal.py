"""Searches that name their shopper, over the shipped model's own vectors."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from mappings.settings import Settings, ShopperSettings, SidecarSettings
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.search.timing import SearchTiming
from tests.fakes.preview_shop import ALIAS, shipped_model
from tests.fakes.profile_shop import KEY, ShopWithProfiles

PLAIN: dict[str, Any] = {}


@pytest.fixture
def shop() -> ShopWithProfiles:
    return ShopWithProfiles()


def _search(
    shop: ShopWithProfiles, text: str, headers: Mapping[str, str] = PLAIN, key: str = KEY, **options: Any
) -> dict[str, Any]:
    settings = Settings(sidecar=SidecarSettings(deadline_ms=30_000), shoppers=ShopperSettings(key=key))
    body = {"query": {"match": {"title": text}}, "size": 20, "ext": {"attune": options}}
    call = SearchCall(ALIAS, json.dumps(body).encode(), {}, headers)
    answer: dict[str, Any] = Searcher(shop, shipped_model(), settings).answer(call).json()
    assert answer["ext"]["attune"]["rerank_status"] == "reranked"
    return answer


def _ids(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def _scores(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]


def test_what_the_shopper_buys_rises_and_says_why(shop: ShopWithProfiles) -> None:
    plain = _search(shop, "mouse")
    second = _ids(plain)[1]
    shop.remember("anna", second)
    personal = _search(shop, "mouse", user="anna")
    assert _ids(personal)[0] == second
    assert personal["ext"]["attune"]["behaviour"][second]["bought"] > 0
    assert set(_ids(personal)) == set(_ids(plain))


def test_a_history_of_other_things_changes_no_score(shop: ShopWithProfiles) -> None:
    plain = _search(shop, "mouse")
    shop.remember("ben", "nothing of this shop")
    assert _scores(_search(shop, "mouse", user="ben")) == _scores(plain)
    assert _scores(_search(shop, "mouse", user="a stranger")) == _scores(plain)


def test_without_a_strength_a_history_changes_nothing(shop: ShopWithProfiles) -> None:
    plain = _search(shop, "mouse")
    shop.remember("anna", _ids(plain)[-1])
    assert _scores(_search(shop, "mouse", user="anna", user_strength=0)) == _scores(plain)


def test_a_header_of_the_settings_names_the_shopper(shop: ShopWithProfiles) -> None:
    shop.remember("anna", _ids(_search(shop, "mouse"))[1])
    own = ShopperSettings(key=KEY, user_header="X-Customer")
    searcher = Searcher(
        shop, shipped_model(), Settings(sidecar=SidecarSettings(deadline_ms=30_000), shoppers=own)
    )
    body = json.dumps({"query": {"match": {"title": "mouse"}}, "size": 20}).encode()
    for headers, reads in (({"x-customer": "anna"}, 1), ({}, 0), ({"x-customer": "anna", "dnt": "1"}, 0)):
        before = shop.profile_reads
        searcher.answer(SearchCall(ALIAS, body, {}, headers))
        assert shop.profile_reads - before == reads


@pytest.mark.parametrize("header", [("sec-gpc", "1"), ("dnt", "1"), ("x-attune-personal", "off")])
def test_who_opts_out_is_not_looked_up(shop: ShopWithProfiles, header: tuple[str, str]) -> None:
    shop.remember("anna", _ids(_search(shop, "mouse"))[1])
    _search(shop, "mouse", dict([header]), user="anna")
    assert shop.profile_reads == 0


def test_a_search_that_names_nobody_reads_no_profile(shop: ShopWithProfiles) -> None:
    assert "behaviour" not in _search(shop, "mouse")["ext"]["attune"]
    assert shop.profile_reads == 0


def test_products_like_those_viewed_just_now_say_so(shop: ShopWithProfiles) -> None:
    plain = _search(shop, "mouse")
    first = _ids(plain)[0]
    shop.show("carl", first)
    personal = _search(shop, "mouse", user="carl")
    added = personal["ext"]["attune"]["behaviour"]
    assert {name for parts in added.values() for name in parts} == {"history_attention"}
    assert (
        added[first]["history_attention"] == max(parts["history_attention"] for parts in added.values()) > 0
    )
    assert _scores(_search(shop, "mouse", user="carl", user_strength=0)) == _scores(plain)
    shop.show("dora", "nothing of this shop")
    assert _scores(_search(shop, "mouse", user="dora")) == _scores(plain)


def test_what_was_searched_for_before_bears_on_a_search_about_the_same(shop: ShopWithProfiles) -> None:
    plain = _search(shop, "mouse")
    shop.read_texts("carl", "wireless gaming mouse", "garden hose")
    added = _search(shop, "mouse", user="carl")["ext"]["attune"]["behaviour"]
    assert {name for parts in added.values() for name in parts} == {"history_attention"}
    for text in ("garden hose", "mouse", "\u2603"):
        shop.read_texts("dora", text)
        assert _scores(_search(shop, "mouse", user="dora")) == _scores(plain)
    shop.read_texts("carl", "wireless gaming mouse")
    assert _scores(_search(shop, "mouse", user="carl", user_strength=0)) == _scores(plain)


def test_the_usual_price_of_a_type_is_known_from_what_was_bought(shop: ShopWithProfiles) -> None:
    ids = _ids(_search(shop, "mouse"))
    kinds: dict[str, list[str]] = {}
    for product in ids:
        kinds.setdefault(shop.documents[product]["category"], []).append(product)
    bought, near, dear = next(products for products in kinds.values() if len(products) >= 3)[:3]
    for product, price in ((bought, 20.0), (near, 21.0), (dear, 300.0)):
        shop.documents[product]["price"] = price
    shop.remember("anna", bought)
    added = _search(shop, "mouse", user="anna")["ext"]["attune"]["behaviour"]
    assert added[near]["price_level"] > 0 > added[dear]["price_level"]


def test_only_a_personal_search_asks_for_prices_and_in_the_same_requests(shop: ShopWithProfiles) -> None:
    _search(shop, "mouse")
    plain = shop.searches()
    assert "attune.price" not in str(plain)
    shop.remember("anna", _ids(_search(shop, "mouse"))[0])
    before = len(shop.searches())
    _search(shop, "mouse", {"dnt": "1"}, user="anna")
    assert "attune.price" not in str(shop.searches()[before:])
    before = len(shop.searches())
    _search(shop, "mouse", user="anna")
    personal = shop.searches()[before:]
    assert "attune.price" in str(personal)
    assert len(personal) == len(plain)


def _make_popular(shop: ShopWithProfiles, product: str, prior: float = 3.0) -> None:
    shop.documents[product]["attune"]["behaviour.prior"] = prior


def test_what_is_popular_rises_for_everybody_and_says_why(shop: ShopWithProfiles) -> None:
    plain = _search(shop, "mouse")
    second = _ids(plain)[1]
    _make_popular(shop, second)
    popular = _search(shop, "mouse")
    assert _ids(popular)[0] == second
    assert popular["ext"]["attune"]["behaviour"] == {second: {"popularity": 2.0}}  # the setting's bound
    assert _scores(_search(shop, "mouse", popularity=0)) == _scores(plain)
    assert shop.profile_reads == 0


def test_popularity_lifts_no_hit_above_one_that_holds_all_words(shop: ShopWithProfiles) -> None:
    plain = _ids(_search(shop, "wireless gaming mouse"))
    _make_popular(shop, plain[-1])
    assert _ids(_search(shop, "wireless gaming mouse", popularity=4))[0] == plain[0]


def test_an_identifier_is_not_a_question_of_popularity(shop: ShopWithProfiles) -> None:
    plain = _search(shop, "tn-2110")
    for product in shop.documents:
        _make_popular(shop, product)
    assert _scores(_search(shop, "tn-2110")) == _scores(plain)


def test_a_search_without_popularity_asks_for_no_prior(shop: ShopWithProfiles) -> None:
    _search(shop, "mouse", popularity=0)
    assert "attune.behaviour.prior" not in str(shop.searches())


def test_a_cached_ranking_shows_new_counts_at_once(shop: ShopWithProfiles) -> None:
    settings = Settings(sidecar=SidecarSettings(deadline_ms=30_000))
    timing = SearchTiming(settle_seconds=0)
    searcher = Searcher(shop, shipped_model(), settings, timing=timing)
    body = json.dumps({"query": {"match": {"title": "mouse"}}, "size": 20}).encode()

    def ask() -> dict[str, Any]:
        answer: dict[str, Any] = searcher.answer(SearchCall(ALIAS, body)).json()
        return answer

    plain, again = ask(), [ask() for _ in range(3)][-1]
    assert (_ids(again), again["ext"]["attune"]["cached"]) == (_ids(plain), True)
    _make_popular(shop, _ids(plain)[1])
    assert _ids(ask())[0] == _ids(plain)[1]


def test_a_profile_that_cannot_be_read_fails_no_search(shop: ShopWithProfiles) -> None:
    plain = _search(shop, "mouse")
    shop.remember("anna", _ids(plain)[1])
    shop.broken = True
    assert _scores(_search(shop, "mouse", user="anna")) == _scores(plain)
    assert _scores(_search(shop, "mouse", key="", user="anna")) == _scores(plain)


def test_a_purchase_changes_the_very_next_search(shop: ShopWithProfiles) -> None:
    plain = _search(shop, "mouse", user="anna")
    shop.remember("anna", _ids(plain)[1])
    assert _ids(_search(shop, "mouse", user="anna"))[0] == _ids(plain)[1]
