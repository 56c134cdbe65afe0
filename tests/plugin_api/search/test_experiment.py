"""Searches that take part in an experiment, over the shipped model's own vectors."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mappings.settings import ExperimentSettings, Settings, ShopperSettings, SidecarSettings
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.experiment import explore_hits
from plugin_api.search.query.types import SearchCall
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.search import Searcher
from plugin_api.search.timing import SearchTiming
from plugin_api.shoppers.experiments.tag import read_tag
from plugin_api.shoppers.profile_store import USERS
from tests.fakes.experiment_cluster import ExperimentCluster
from tests.fakes.preview_shop import ALIAS, shipped_model, stocked_shop

INTERLEAVED = ExperimentSettings("words", first="keyword_weight=0", second="keyword_weight=50")
SPLIT = replace(INTERLEAVED, method="split")
TEXT = "logitech mouse"


def _searcher(
    experiment: ExperimentSettings, keyword_weight: float = 3.0, shop: OpenSearchClient | None = None
) -> Searcher:
    settings = Settings(
        sidecar=SidecarSettings(deadline_ms=30_000),
        shoppers=ShopperSettings(key="secret"),
        experiment=experiment,
    )
    settings = replace(settings, search=replace(settings.search, keyword_weight=keyword_weight))
    return Searcher(
        shop or stocked_shop(), shipped_model(), settings, timing=SearchTiming(settle_seconds=0.0)
    )


def _search(
    searcher: Searcher,
    text: str = TEXT,
    headers: Mapping[str, str] | None = None,
    page: tuple[int, int] = (0, 20),
    body: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    start, size = page
    search = {"query": {"match": {"title": text}}, "from": start, "size": size, **(body or {})}
    search["ext"] = {"attune": options}
    call = SearchCall(ALIAS, json.dumps(search).encode(), {}, headers or {})
    answer: dict[str, Any] = searcher.answer(call).json()
    assert answer["ext"]["attune"]["rerank_status"] == "reranked"
    return answer


def _ids(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def _shown(answer: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = answer["ext"]["attune"].get("experiment", {})
    return shown


OFF = ExperimentSettings()


def _rankings() -> tuple[list[str], list[str]]:
    first, second = (_ids(_search(_searcher(OFF, weight))) for weight in (0, 50))
    assert first != second
    return first, second


def test_off_is_the_default() -> None:
    assert "experiment" not in _search(_searcher(OFF))["ext"]["attune"]


def test_both_rankings_are_in_one_list_that_says_whose_hits_are_whose() -> None:
    first, second = _rankings()
    answer = _search(_searcher(INTERLEAVED), user="anna")
    ids, shown = _ids(answer), _shown(answer)
    assert set(ids) == set(first) | set(second)
    assert (shown["name"], shown["variant"]) == ("words", "interleaved")
    tag = read_tag(shown["query_id"], "secret")
    assert tag is not None
    assert len(tag.teams) == len(ids)
    for team, ranking in ((True, first), (False, second)):
        places = [
            ranking.index(product) for product, of_team in zip(ids, tag.teams, strict=True) if of_team is team
        ]
        assert places == sorted(places)  # each ranking's hits stand in its own order
    assert {ids[0], ids[1]} <= {*first[:2], *second[:2]}
    scores = [hit["_score"] for hit in answer["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_a_shopper_sees_the_same_list_again_and_pages_fit_together() -> None:
    searcher = _searcher(INTERLEAVED)
    whole = _search(searcher, user="anna")
    assert _ids(_search(_searcher(INTERLEAVED), user="anna")) == _ids(whole)
    pages = [_search(searcher, page=(start, 2), user="anna") for start in (0, 2)]
    assert [product for page in pages for product in _ids(page)] == _ids(whole)[:4]
    teams = [read_tag(_shown(page)["query_id"], "secret") for page in (*pages, whole)]
    assert teams[0].teams + teams[1].teams == teams[2].teams[:4]  # type: ignore[union-attr]
    assert teams[1].find_team(3) == teams[2].find_team(3)  # type: ignore[union-attr]
    assert whole["hits"]["total"] == pages[0]["hits"]["total"]


def test_both_rankings_are_made_of_one_reading_of_the_profile() -> None:
    shop = stocked_shop()
    _search(_searcher(INTERLEAVED, shop=shop), user="anna")
    assert sum(f"/{USERS}/" in target for _, target, *_ in shop.requests) == 1


def test_who_draws_first_differs_between_shoppers() -> None:
    searcher = _searcher(INTERLEAVED)
    firsts = {_ids(_search(searcher, user=f"u{number}"))[0] for number in range(30)}
    first, second = _rankings()
    assert firsts == {first[0], second[0]}


def test_a_list_of_a_text_alone_may_be_cached_with_its_teams() -> None:
    searcher = _searcher(INTERLEAVED)
    answers = [_search(searcher) for _ in range(3)]
    assert answers[-1]["ext"]["attune"]["cached"]
    assert len({tuple(_ids(answer)) for answer in answers}) == 1
    tags = [read_tag(_shown(answer)["query_id"], "secret") for answer in answers]
    assert len({tag.teams for tag in tags if tag}) == 1
    assert not _shown(_search(searcher, headers={"dnt": "1"}))


def test_each_shopper_sees_one_ranking_where_they_are_split() -> None:
    first, second = _rankings()
    searcher = _searcher(SPLIT)
    seen = {"first": 0, "second": 0}
    for number in range(30):
        answer = _search(searcher, user=f"u{number}")
        variant = _shown(answer)["variant"]
        seen[variant] += 1
        assert _ids(answer) == {"first": first, "second": second}[variant]
        assert _shown(_search(searcher, "mouse", user=f"u{number}"))["variant"] == variant
    assert min(seen.values()) > 5


@pytest.mark.parametrize(
    "taking_no_part",
    [
        {"headers": {"x-attune-personal": "off"}, "user": "anna"},
        {"keyword_weight": 1.0, "user": "anna"},
        {"body": {"collapse": {"field": "brand.keyword"}}, "user": "anna"},
    ],
)
def test_searches_that_take_no_part(taking_no_part: dict[str, Any]) -> None:
    assert not _shown(_search(_searcher(INTERLEAVED), **taking_no_part))


def test_only_a_share_takes_part_and_nobody_is_split_without_a_name() -> None:
    assert not _shown(_search(_searcher(SPLIT)))
    half = _searcher(replace(INTERLEAVED, share=0.5))
    taking = sum(bool(_shown(_search(half, user=f"u{number}"))) for number in range(40))
    assert 8 < taking < 32


BANDIT = replace(INTERLEAVED, method="bandit", first="", second="keyword_weight=0; keyword_weight=50")


def _bandit(events: ExperimentCluster) -> Searcher:
    """Return a searcher that has read the events."""
    searcher = _searcher(BANDIT, shop=events)
    end = time.monotonic() + 30
    while not _shown(_search(searcher)):
        assert time.monotonic() < end
    return searcher


def test_a_bandit_shows_each_variant_and_logs_its_propensity() -> None:
    searcher = _bandit(ExperimentCluster(stocked_shop()))
    rankings = {name: _ids(_search(_searcher(OFF, weight))) for name, weight in _WEIGHTS.items()}
    seen = set()
    for number in range(40):
        answer = _search(searcher, user=f"u{number}")
        tag = read_tag(_shown(answer)["query_id"], "secret")
        assert tag is not None
        assert _ids(answer) == rankings[tag.variant]
        assert 0.1 <= tag.propensity < 0.9
        assert tag.context % 2 == 1  # a known shopper
        assert abs(tag.at - time.time()) < 60
        seen.add(tag.variant)
    assert seen == {"first", "second", "third"}


_WEIGHTS = {"first": 3.0, "second": 0.0, "third": 50.0}


def test_a_stopped_experiment_shows_the_settings_as_they_are() -> None:
    events = ExperimentCluster(stocked_shop())
    searcher = _bandit(events)
    events.states["words"] = {"stopped": {"second": "by hand", "third": "by hand"}}
    assert not _shown(_search(_searcher(BANDIT, shop=events), user="anna"))  # nothing is known yet
    assert _shown(_search(searcher, user="anna"))  # what is stored is read again after ten seconds


def test_exploring_changes_places_below_the_third_and_nothing_else() -> None:
    hits = [Hit("shop", str(at), score=1 - at / 100, numbers=at == 25) for at in range(40)]
    shown = explore_hits(hits, 2, "seed")
    changed = [at for at, hit in enumerate(shown) if hit.id != str(at)]
    assert len(changed) == 4
    assert all(3 <= at < 10 for at in changed[:2])
    assert all(10 <= at < 30 and at != 25 for at in changed[2:])
    assert sorted(hit.id for hit in shown) == sorted(hit.id for hit in hits)
    assert [hit.score for hit in shown] == [hit.score for hit in hits]
    assert explore_hits(hits, 2, "seed") == shown
    assert explore_hits(hits[:3], 5, "seed") == tuple(hits[:3])
