"""The alias moves between the first stage and the fetching of the page."""

from typing import Any

import pytest

from tests.fakes.shop import Shop
from tests.plugin_api.search.test_search import ask, ids, report, search

GONE: tuple[int, dict[str, Any]] = (200, {"took": 1, "hits": {"max_score": None, "hits": []}})


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.products = {"a": 51, "b": 102, "c": 0}
    shop.near = {"d": 255, "b": 102}
    return shop


class Once(dict[str, tuple[int, dict[str, Any]]]):
    """Refusals that are given once."""

    def get(self, key: str, default: Any = None) -> Any:
        return self.pop(key, default)


def test_hits_that_went_with_their_index_are_looked_for_again(stocked: Shop) -> None:
    stocked.refuse = Once(fetch=GONE)
    body = ask(search(stocked))
    assert ids(body) == ["d", "b", "a", "c"]
    assert report(body) == ("reranked", "")
    assert [path.rpartition("/")[2] for path, *_ in stocked.requests] == ["_msearch", "_search"] * 2


def test_hits_that_stay_away_are_looked_for_twice(stocked: Shop) -> None:
    stocked.refuse = {"fetch": GONE}
    body = ask(search(stocked))
    assert (ids(body), report(body)) == ([], ("reranked", ""))
    assert len(stocked.requests) == 4
