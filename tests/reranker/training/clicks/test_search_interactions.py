import pytest

from mappings.errors import SettingsError
from mappings.settings import ClickSettings
from reranker.training.clicks.click_log import ClickLog, LoggedAction, LoggedSearch, UnusableRecord
from reranker.training.clicks.search_interactions import JoinedLog, join_log


def joined(
    searches: list[LoggedSearch | UnusableRecord],
    actions: list[LoggedAction | UnusableRecord],
    settings: ClickSettings | None = None,
    ids: dict[str, str] | None = None,
) -> JoinedLog:
    return join_log(ClickLog(iter(searches), iter(actions)), settings or ClickSettings(), ids or {})


def search(
    query_id: str = "q1", shown: str = "abc", client: str = "ann", query: str = "USB  hub"
) -> LoggedSearch:
    return LoggedSearch(query_id, client, query, tuple(shown), 100.0)


def action(
    name: str, product: str, query_id: str = "q1", position: int = 0, at: float = 101.0
) -> LoggedAction:
    return LoggedAction(name, query_id, "ann", (product,) if product else (), position, at)


def test_actions_join_their_search() -> None:
    found = joined(
        [search()],
        [action("item_click", "b", at=103), action("add_to_cart", "a", at=104), action("click", "c", at=102)],
    )
    (visit,) = found.visits
    assert (visit.client, visit.key, visit.query, visit.at) == ("ann", "usb hub", "USB hub", 100.0)
    assert visit.places == {"a": 1, "b": 2, "c": 3}
    assert visit.clicked == {"a", "b", "c"}
    assert visit.bought == {"a"}
    assert visit.click_times == (102.0, 103.0)
    assert not found.dropped


def test_a_cart_is_no_purchase_unless_it_counts() -> None:
    actions = [action("add_to_cart", "a"), action("purchase", "b")]
    (visit,) = joined([search()], [*actions], ClickSettings(cart_counts=False)).visits
    assert visit.bought == {"b"}
    assert visit.clicked == {"a", "b"}


def test_what_cannot_be_used_is_counted_and_named() -> None:
    found = joined(
        [search(), UnusableRecord("queries line 2", "no query_id"), search()],
        [
            UnusableRecord("events line 1", "broken JSON"),
            action("click", "a"),
            action("click", "a", at=150),
            action("click", "z"),
            action("click", "a", query_id="q9"),
            action("click", ""),
            action("login", ""),
        ],
    )
    assert found.dropped == {
        "searches that can't be read": 1,
        "searches logged again": 1,
        "actions that can't be read": 1,
        "actions logged again": 1,
        "actions on products that the search did not show": 1,
        "actions of searches that the log lacks": 1,
        "actions on no product": 1,
    }
    assert found.examples == ("queries line 2: no query_id", "events line 1: broken JSON")
    assert found.actions == {"click": 5, "login": 1}
    assert found.searches == 1


def test_a_second_page_goes_on_below_the_first() -> None:
    (visit,) = joined([search(shown="abc"), search(shown="cd")], [action("click", "d")]).visits
    assert visit.places == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert visit.clicked == {"d"}


def test_impressions_say_what_was_shown_and_where() -> None:
    actions = [
        action("click", "e"),
        action("impression", "b", position=1),
        action("impression", "x", position=2),
        action("impression", "d"),
        action("click", "b"),
    ]
    (visit,) = joined([search(shown="abcde")], [*actions]).visits
    assert visit.places == {"b": 1, "x": 2, "d": 4, "e": 5}
    assert visit.clicked == {"b", "e"}


def test_products_go_by_either_of_their_ids() -> None:
    click = LoggedAction("click", "q1", "ann", ("ean-b", "b"), 0, 101.0)
    (visit,) = joined([search()], [click]).visits
    assert visit.clicked == {"b"}


def test_ids_of_the_log_become_the_catalogues() -> None:
    ids = {"a": "1", "b": "1", "c": "3"}
    (visit,) = joined([search(shown="abcd")], [action("purchase", "b")], ids=ids).visits
    assert visit.places == {"1": 1, "3": 3, "d": 4}
    assert visit.clicked == visit.bought == {"1"}


def test_a_search_without_client_is_its_events_client_or_its_own() -> None:
    found = joined([search(client=""), search("q2", client="")], [action("login", ""), action("click", "a")])
    assert [visit.client for visit in found.visits] == ["ann", "q2"]


def test_the_shops_own_actions_count() -> None:
    settings = ClickSettings(actions="produktklick = click, kauf=purchase")
    (visit,) = joined([search()], [action("produktklick", "a"), action("kauf", "b")], settings).visits
    assert (visit.clicked, visit.bought) == ({"a", "b"}, {"b"})


@pytest.mark.parametrize("text", ["kauf", "kauf=sale", "=click"])
def test_impossible_actions_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"clicks\.actions: .* one of impression, click, cart, purchase"):
        joined([], [], ClickSettings(actions=text))
