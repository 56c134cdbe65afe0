import base64
import math
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from mappings.settings import SearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.sidecar.app import create_app
from reranker.encoders.codec import unpack_products
from reranker.fusion import FEATURES, HEADS, build_scorer_inputs
from reranker.understanding import learn_vocabulary
from tests.fakes.preview_products import PRODUCTS
from tests.fakes.preview_shop import ALIAS, INDEX, PreviewShop, shipped_model, stocked_shop
from tests.fakes.shop import VERSION, StandInModel

WEIGHTS = np.array([1.0, 0.5, 0.5]) / 2  # the settings'
QUERIES = [
    ("wireless mouse", "mouse-m185"),
    ("notebook for gaming", "laptop-game"),
    ("something to carry my laptop in", "laptop-bag"),
]


@pytest.fixture
def shop() -> PreviewShop:
    return stocked_shop()


@pytest.fixture
def web(shop: PreviewShop) -> FlaskClient:
    # All that is near is a hit, so that each product of the tests has a score in the list.
    settings = Settings(sidecar=SidecarSettings(deadline_ms=30_000), search=SearchSettings(floor=0.0))
    others = [StandInModel()]
    return create_app(settings, shop, shipped_model(), others).test_client()  # type: ignore[list-item]


def explained(web: FlaskClient, query: str, product_id: str, **more: Any) -> JsonObject:
    body = {"index": ALIAS, "id": product_id, "query": query, **more}
    answer = web.post("/_attune/explain", json=body)
    assert answer.status_code == 200, answer.text
    found: JsonObject = answer.json or {}
    return found


def listed(web: FlaskClient, query: JsonObject, **options: Any) -> dict[str, float]:
    """Product → log-odds of the score that a search shows."""
    body = {"query": query, "size": 100, "ext": {"attune": options}}
    answer = web.post(f"/{ALIAS}/_search", json=body).json
    assert answer is not None
    assert answer["ext"]["attune"]["rerank_status"] == "reranked"
    return {hit["_id"]: _log_odds(hit["_score"]) for hit in answer["hits"]["hits"]}


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def shown_by(found: JsonObject, text: str) -> float:
    """Return the log-odds that a search for `text` shows where it ranks by what was found."""
    scale, (slope, shift) = found["scale"], shipped_model().encode_query(text).scale
    assert 0 < scale["slope"] <= slope
    assert scale["shift"] == shift
    return float(scale["slope"] * found["log_odds"] + shift)


@pytest.mark.parametrize(("query", "product_id"), QUERIES)
@pytest.mark.parametrize(
    "options",
    [{}, {"keyword_weight": 0.5, "window": 10}, {"relevance_weight": 0.0, "click_weight": 2.0}],
    ids=["settings", "window and keywords", "heads"],
)
def test_the_score_is_the_one_that_the_search_shows(
    web: FlaskClient, query: str, product_id: str, options: JsonObject
) -> None:
    found = explained(web, query, product_id, options=options)
    assert found["as_ranked"]
    shown = listed(web, keyword_query(query), **options)[product_id]
    assert _log_odds(found["score"]) == pytest.approx(shown, abs=2e-3)
    assert shown_by(found, query) == pytest.approx(shown, abs=2e-3)
    assert found["log_odds"] == pytest.approx(found["model_log_odds"] + found["evidence"]["log_odds"])


@pytest.mark.parametrize(
    ("query", "product_id", "numbers"),
    [("logitech m185", "mouse-m185", 1), ("logitech m185", "mouse-mx", 0), ("mouse-m185", "mouse-m185", 1)],
)
def test_a_model_number_counts_as_in_the_search(
    web: FlaskClient, query: str, product_id: str, numbers: int
) -> None:
    found = explained(web, query, product_id)
    assert found["evidence"]["numbers"] == numbers
    shown = listed(web, keyword_query(query))
    if product_id in shown:
        assert _log_odds(found["score"]) == pytest.approx(shown[product_id], abs=2e-3)
    assert next(iter(shown)) == "mouse-m185"


@pytest.mark.parametrize(("query", "product_id"), QUERIES)
def test_taking_a_feature_away_moves_the_score_as_it_says(
    web: FlaskClient, shop: PreviewShop, query: str, product_id: str
) -> None:
    model = shipped_model()
    stored = base64.b64decode(shop.documents[product_id]["attune"]["tokens"])
    batch = unpack_products([stored], model.dimension, model.config.token_width)
    inputs = build_scorer_inputs(
        model.encode_query(query), batch, model.scorer.temperature, model.scorer.idf_table
    )
    whole = float(model.scorer.logits(inputs)[0] @ WEIGHTS)
    found = explained(web, query, product_id)
    assert found["model_log_odds"] == pytest.approx(whole, abs=1e-3)
    places = {name: slice(i, i + 1) for i, name in enumerate(FEATURES)}
    places["interaction"] = slice(len(FEATURES), None)
    assert {feature["name"] for feature in found["features"]} == places.keys()
    for feature in found["features"]:
        at = places[feature["name"]]
        without = inputs.copy()
        without[0, at] = model.scorer.mean[at]
        moved = whole - float(model.scorer.logits(without)[0] @ WEIGHTS)
        assert feature["log_odds"] == pytest.approx(moved, abs=1e-3), feature["name"]
    assert max(abs(feature["log_odds"]) for feature in found["features"]) > 0.1


@pytest.mark.parametrize("product_id", ["mouse-m185", "battery", "mouse-mx"])
def test_searching_without_keyword_evidence_moves_the_score_as_it_says(
    web: FlaskClient, product_id: str
) -> None:
    query = keyword_query("wireless mouse")
    found = explained(web, "wireless mouse", product_id)
    without = explained(web, "wireless mouse", product_id, options={"keyword_weight": 0.0})
    for each, options in ((found, {}), (without, {"keyword_weight": 0.0})):
        shown = listed(web, query, **options)[product_id]
        assert shown_by(each, "wireless mouse") == pytest.approx(shown, abs=2e-3)
    evidence = found["evidence"]
    assert evidence["log_odds"] == pytest.approx(found["log_odds"] - without["log_odds"], abs=2e-3)
    assert evidence["log_odds"] != 0
    assert bool(evidence["keyword_rank"]) == (product_id != "mouse-mx")


def test_searching_without_a_word_moves_the_score_as_it_says(web: FlaskClient) -> None:
    model_alone = {"keyword_weight": 0.0}
    found = explained(web, "wireless mouse", "mouse-m185", options=model_alone)
    assert [word["text"] for word in found["words"]] == ["wireless", "mouse"]
    for word, rest in zip(found["words"], ("mouse", "wireless"), strict=True):
        without = explained(web, rest, "mouse-m185", options=model_alone)
        shown = listed(web, keyword_query(rest), **model_alone)["mouse-m185"]
        assert shown_by(without, rest) == pytest.approx(shown, abs=3e-3)
        assert word["log_odds"] == pytest.approx(found["log_odds"] - without["log_odds"], abs=3e-3)


def test_ranks_are_those_of_the_first_stage(web: FlaskClient) -> None:
    for product_id, keyword in (("mouse-m185", True), ("mouse-mx", False)):
        evidence = explained(web, "wireless mouse", product_id)["evidence"]
        assert bool(evidence["keyword_rank"]) == keyword
        assert 1 <= evidence["vector_rank"] <= 10
    narrow = explained(web, "wireless mouse", "puzzle", options={"window": 5})["evidence"]
    assert (narrow["keyword_rank"], narrow["vector_rank"], narrow["bm25"]) == (0, 0, 0.0)
    assert narrow["best_bm25"] > 0


def test_filters_hold_for_the_neighbours_too(web: FlaskClient, shop: PreviewShop) -> None:
    filters = [{"terms": {"brand.keyword": ["HP"]}}]
    search = {"bool": {"must": [keyword_query("wireless mouse")], "filter": filters}}
    found = explained(web, "wireless mouse", "pad", search=search)
    [lines] = [lines for _, path, lines, _ in shop.requests if path == "/_msearch"]
    near = lines[5]["query"]["knn"]["attune.vector"]
    [conditions] = near["filter"]["bool"]["filter"]
    assert conditions["bool"]["filter"] == filters
    assert "multi_match" not in str(conditions)
    assert found["evidence"]["vector_rank"] == 2  # of HP's two
    assert _log_odds(found["score"]) == pytest.approx(listed(web, search)["pad"], abs=2e-3)


def test_attention_is_a_map_of_words(web: FlaskClient) -> None:
    attention = explained(web, "wireless mouse", "mouse-m185")["attention"]
    assert attention["query"] == ["wireless", "mouse"]
    assert [of["text"] for of in attention["product"]][:4] == ["Logitech", "M185", "wireless", "mouse"]
    assert {of["field"] for of in attention["product"]} >= {
        "title",
        "brand",
        "category",
        "description",
        "attributes",
    }
    for name in ("weights", "cosines"):
        assert np.shape(attention[name]) == (2, len(attention["product"]))
    assert np.sum(attention["weights"], axis=1) == pytest.approx([1, 1], abs=0.01)
    assert len(attention["log_odds"]) == len(attention["product"])
    assert tuple(explained(web, "mouse", "pad")["heads"]) == HEADS


def test_a_field_that_this_caller_may_not_see_is_not_explained(web: FlaskClient, shop: PreviewShop) -> None:
    shop.hidden = {"description"}
    found = explained(web, "quiet mouse for the right hand", "mouse-mx")
    assert (found["as_ranked"], found["why_not"]) == (False, "other_text")
    assert "description" not in {of["field"] for of in found["attention"]["product"]}
    assert "Quiet" not in {of["text"] for of in found["attention"]["product"]}
    assert found["words"][0] == {**found["words"][0], "text": "quiet", "fields": []}


def test_a_product_that_this_caller_may_not_see_is_not_explained(web: FlaskClient) -> None:
    for more in ({"id": "nothing"}, {"id": "pad", "hit_index": "another-index"}):
        answer = web.post("/_attune/explain", json={"index": ALIAS, "query": "mouse", **more})
        assert answer.status_code == 400
        assert answer.json is not None
        assert answer.json["error"]["type"] == "document_missing_exception"
    assert explained(web, "mouse", "pad", hit_index=INDEX)["index"] == INDEX


def test_a_product_of_another_model_is_judged_by_its_text(web: FlaskClient, shop: PreviewShop) -> None:
    shop.models["pad"] = VERSION
    found = explained(web, "mouse", "pad")
    assert (found["as_ranked"], found["why_not"]) == (False, "other_model")
    assert found["log_odds"] > 0


def test_a_model_that_is_not_loaded_is_named(web: FlaskClient) -> None:
    body = {"index": ALIAS, "id": "pad", "query": "mouse", "options": {"model": "nothing"}}
    answer = web.post("/_attune/explain", json=body)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["error"]["reason"] == (
        f"model nothing is not loaded; there are: {shipped_model().version}, {VERSION}"
    )


@pytest.mark.parametrize(
    "options",
    [{"window": 0}, {"window": 1001}, {"keyword_weight": -1}, {"vector_weight": 2}, {"unknown": 1},
     {"relevance_weight": 0, "click_weight": 0, "purchase_weight": 0}],
)  # fmt: skip
def test_options_that_a_search_refuses_are_refused(web: FlaskClient, options: JsonObject) -> None:
    body = {"index": ALIAS, "id": "pad", "query": "mouse", "options": options}
    assert web.post("/_attune/explain", json=body).status_code == 400


@pytest.mark.parametrize("query", ["", " ", "苹果手机", "🎧", "mouse " * 300, "<b>", "buy"])
def test_any_query_is_explained(web: FlaskClient, query: str) -> None:
    assert math.isfinite(explained(web, query, "phone-cn")["log_odds"])


VOCABULARY = learn_vocabulary(PRODUCTS).to_text()


def outcomes(found: JsonObject) -> dict[tuple[str, str], str]:
    return {(demand["kind"], demand["text"]): demand["outcome"] for demand in found["demands"]}


@pytest.mark.parametrize(
    ("query", "product_id", "demand", "outcome"),
    [
        ("black mouse under 20", "mouse-hp", ("price", "under 20"), "satisfied"),
        ("black mouse under 20", "mouse-hp", ("colour", "black"), "satisfied"),
        ("black mouse under 20", "mouse-mx", ("price", "under 20"), "contradicted"),
        ("black mouse under 20", "mouse-m185", ("colour", "black"), "contradicted"),
        ("mouse without cable", "mouse-m185", ("absence", "without cable"), "satisfied"),
        ("black mouse 2 m", "mouse-mx", ("measure", "2 m"), "unknown"),
        ("gray mouse", "mouse-m185", ("colour", "gray"), "satisfied"),
        ("mouse not black", "mouse-hp", ("absence", "not black"), "contradicted"),
        ("mouse hp 125", "mouse-hp", ("model", "hp 125"), "satisfied"),
        ("mouse m185", "mouse-m185", ("model", "m185"), "satisfied"),
        ("mouse over 50", "mouse-mx", ("price", "over 50"), "satisfied"),
    ],
)
def test_demands_are_explained_as_the_search_ranks_by_them(
    web: FlaskClient, shop: PreviewShop, query: str, product_id: str, demand: tuple[str, str], outcome: str
) -> None:
    shop.vocabulary = VOCABULARY
    found = explained(web, query, product_id)
    assert found["as_ranked"]
    assert outcomes(found)[demand] == outcome
    [moved] = [of["log_odds"] for of in found["demands"] if (of["kind"], of["text"]) == demand]
    assert (moved > 0) - (moved < 0) == {"satisfied": 1, "contradicted": -1, "unknown": 0}[outcome]
    parts = found["model_log_odds"], found["evidence"]["log_odds"], found["demands_log_odds"]
    assert found["log_odds"] == pytest.approx(sum(parts))
    shown = listed(web, keyword_query(query))
    assert _log_odds(found["score"]) == pytest.approx(shown[product_id], abs=2e-3)


def test_popularity_is_explained_as_the_search_ranks_by_it(web: FlaskClient, shop: PreviewShop) -> None:
    shop.documents["mouse-m185"]["attune"]["behaviour.prior"] = 0.75
    found = explained(web, "mouse", "mouse-m185")
    del shop.documents["mouse-m185"]["attune"]["behaviour.prior"]
    plain = explained(web, "mouse", "mouse-m185")
    assert (found["popularity_log_odds"], plain["popularity_log_odds"]) == (0.75, 0)
    assert found["log_odds"] == pytest.approx(plain["log_odds"] + 0.75)


def test_settings_that_were_tuned_for_the_index_are_explained(web: FlaskClient, shop: PreviewShop) -> None:
    shop.vocabulary, shop.tuned = VOCABULARY, {"keyword_weight": 0.5}
    found = explained(web, "wireless mouse", "mouse-m185")
    shown = listed(web, keyword_query("wireless mouse"))
    assert shown_by(found, "wireless mouse") == pytest.approx(shown["mouse-m185"], abs=2e-3)


def test_a_kind_of_query_that_keeps_its_order_is_said(web: FlaskClient, shop: PreviewShop) -> None:
    shop.vocabulary, shop.tuned = VOCABULARY, {"keep_order": "colour"}
    assert explained(web, "grey mouse", "mouse-m185")["why_not"] == "order_kept"
    assert explained(web, "wireless mouse", "mouse-m185")["as_ranked"]


def test_a_corrected_text_is_explained(web: FlaskClient, shop: PreviewShop) -> None:
    shop.vocabulary = VOCABULARY
    found = explained(web, "wirless moues", "mouse-m185")
    assert (found["query"], found["original"]) == ("wireless mouse", "wirless moues")
    shown = listed(web, keyword_query("wirless moues"))
    assert shown_by(found, "wireless mouse") == pytest.approx(shown["mouse-m185"], abs=2e-3)


def test_a_verbatim_search_has_no_demands(web: FlaskClient, shop: PreviewShop) -> None:
    shop.vocabulary = VOCABULARY
    found = explained(web, "wirless mouse under 20", "mouse-m185", options={"verbatim": True})
    assert (found["demands"], found["demands_log_odds"], found["original"]) == ([], 0, "")


def test_facts_of_a_field_that_this_caller_may_not_see_are_not_told(
    web: FlaskClient, shop: PreviewShop
) -> None:
    shop.vocabulary, shop.hidden = VOCABULARY, {"attributes"}
    found = explained(web, "grey mouse", "mouse-m185")
    assert outcomes(found)["colour", "grey"] == "unknown"
    assert (found["as_ranked"], found["why_not"]) == (False, "other_text")
