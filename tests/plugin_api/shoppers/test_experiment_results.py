import pytest

from mappings.settings import ExperimentSettings
from plugin_api.commands.experiment.command import describe_result
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EVENT_INDEXES, QUERY_INDEXES
from plugin_api.shoppers.experiment_results import ExperimentResult, count_experiment
from plugin_api.shoppers.experiment_tag import ExperimentTag, write_tag
from tests.fakes.json_client import StoredLogs

KEY = "secret"
TEAMS = (True, False, True, False)


class StoredEvents(StoredLogs):
    """Queries and events in OpenSearch, found by the beginning of their `query_id`."""

    def __init__(self) -> None:
        super().__init__({QUERY_INDEXES: [], EVENT_INDEXES: []})
        self._at = 0

    def search(self, tag: ExperimentTag, *actions: tuple[str, str, int], key: str = KEY) -> None:
        """Store a search and what followed: actions as (name, product, place)."""
        self._at += 1
        query_id, at = write_tag(tag, key), f"2027-01-01T00:00:{self._at:09}"
        self.logs[QUERY_INDEXES].append({"query_id": query_id, "timestamp": at})
        for name, product, place in actions:
            attributes = {"object": {"object_id": product}, "position": {"ordinal": place}}
            event = {"query_id": query_id, "timestamp": at, "action_name": name}
            self.logs[EVENT_INDEXES].append({**event, "event_attributes": attributes})

    def count(self, name: str = "words") -> ExperimentResult:
        return count_experiment(ClusterRequests(self, {}), name, KEY)


@pytest.fixture
def events() -> StoredEvents:
    return StoredEvents()


MIXED = ExperimentTag("words", "interleaved", 0, TEAMS)


def test_clicks_decide_interleaved_searches(events: StoredEvents) -> None:
    events.search(MIXED, ("click", "a", 1), ("click", "a", 1), ("click", "c", 3))  # the first, by two
    events.search(MIXED, ("click", "b", 2), ("add_to_cart", "d", 4), ("click", "a", 1))  # the second
    events.search(MIXED, ("click", "a", 1), ("click", "b", 2))  # a tie
    events.search(MIXED)
    events.search(MIXED, ("view", "a", 1))
    result = events.count().preference
    assert result is not None
    assert (result.first, result.second, result.ties) == (1, 1, 1)
    assert result.test.share == 0.5
    assert events.count("other").preference is None


def test_clicks_that_do_not_count(events: StoredEvents) -> None:
    events.search(MIXED, ("click", "a", 1), key="made up")
    events.search(MIXED, ("click", "a", 0), ("click", "b", 9))
    result = events.count()
    assert result.preference is not None
    assert (result.preference.first, result.preference.second, result.preference.ties) == (0, 0, 1)
    assert result.uncredited == 2


def test_a_clear_preference_is_decided_and_said(events: StoredEvents) -> None:
    for number in range(900):
        events.search(MIXED, ("click", "a", 1) if number % 4 else ("click", "b", 2))
    result = events.count()
    assert result.preference is not None
    assert result.preference.test.p < 0.05
    lines = "\n".join(describe_result(result, ExperimentSettings("words", second="rrf_k=9")))
    assert "first: the settings as they are" in lines
    assert "second: rrf_k=9" in lines
    assert "900 interleaved searches with an action, 900 decided, 0 tied." in lines
    assert "wins 75.0% of the decided ones" in lines
    assert "Decided: shoppers prefer the first ranking." in lines


def test_an_even_preference_is_not_decided(events: StoredEvents) -> None:
    for number in range(400):
        events.search(MIXED, ("click", "a", 1) if number % 2 else ("click", "b", 2))
    lines = "\n".join(describe_result(events.count(), ExperimentSettings()))
    assert "Not decided" in lines
    assert "decided searches" in lines
    assert "first:" not in lines


def test_shoppers_who_saw_one_ranking_each_are_compared_by_searches_with_an_action(
    events: StoredEvents,
) -> None:
    for number in range(2_000):
        events.search(ExperimentTag("words", "first"), *[("click", "a", 1)] * (number % 2))
        events.search(ExperimentTag("words", "second"), *[("click", "a", 1)] * (number % 4 == 0))
    result = events.count()
    assert result.preference is None
    assert result.rates is not None
    assert (result.rates.first_acted, result.rates.second_acted) == (1_000, 500)
    lines = "\n".join(describe_result(result, ExperimentSettings()))
    assert "first: an action followed 1,000 of 2,000 searches (50.0%)." in lines
    assert "prefer the first" in lines


def test_nothing_stored_yet_is_said(events: StoredEvents) -> None:
    assert list(describe_result(events.count(), ExperimentSettings())) == [
        "No stored event bears a query_id of experiment words yet."
    ]
