"""A click log's searches joined with what was done with their results: one visit a search."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mappings.errors import SettingsError
from mappings.settings import ClickSettings
from reranker.evaluation.judgements import normalise_query
from reranker.training.clicks.click_log import (
    ACTIONS,
    ActionKind,
    ClickLog,
    LoggedAction,
    LoggedSearch,
    UnusableRecord,
)

_MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class SearchInteraction:
    """One search, the products it showed, and which of them were clicked and bought.

    Whatever is bought or put in the cart was clicked too, whether or not the click was logged. `click_times`
    are those of the logged first clicks on a product, in seconds since 1970.
    """

    client: str
    key: str
    query: str
    at: float
    places: Mapping[str, int]  # product id → position from 1 on
    clicked: frozenset[str]
    bought: frozenset[str]
    click_times: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class JoinedLog:
    """The visits of a log, and what of it could not be used: reason → count, with a few named."""

    visits: list[SearchInteraction]
    searches: int
    actions: Mapping[str, int]  # name → how many, those that say nothing of a product included
    dropped: Counter[str]
    examples: tuple[str, ...]


def join_log(log: ClickLog, settings: ClickSettings, ids: Mapping[str, str]) -> JoinedLog:
    """Read a log to its end and join it by `query_id`.

    `ids` maps the log's product ids to the catalogue's; those it lacks are taken as they are. A `query_id`
    that is logged again adds the products that it had not shown yet, as a second page does. Where
    impressions are logged, only they (and whatever was acted on) count as shown; else every returned product
    does. Raises SettingsError for an impossible `clicks.actions`.
    """
    kinds = parse_action_kinds(settings.actions)
    dropped: Counter[str] = Counter()
    examples: list[str] = []

    def unusable(record: UnusableRecord, what: str) -> None:
        dropped[f"{what} that can't be read"] += 1
        if len(examples) < _MAX_EXAMPLES:
            examples.append(f"{record.where}: {record.reason}")

    searches: dict[str, LoggedSearch] = {}
    for search in log.searches:
        if isinstance(search, UnusableRecord):
            unusable(search, "searches")
        elif search.query_id not in searches:
            searches[search.query_id] = search
        else:
            known = searches[search.query_id]
            shown = tuple(dict.fromkeys(known.shown + search.shown))
            if shown == known.shown:
                dropped["searches logged again"] += 1
            searches[search.query_id] = LoggedSearch(
                known.query_id, known.client, known.query, shown, known.at
            )

    names: Counter[str] = Counter()
    actions: dict[str, list[LoggedAction]] = defaultdict(list)
    for action in log.actions:
        if isinstance(action, UnusableRecord):
            unusable(action, "actions")
            continue
        names[action.name] += 1
        if action.name not in kinds:
            continue
        if not action.ids:
            dropped["actions on no product"] += 1
        elif action.query_id not in searches:
            dropped["actions of searches that the log lacks"] += 1
        else:
            actions[action.query_id].append(action)

    visits = [
        _visit(search, actions.get(query_id, []), kinds, ids, settings.cart_counts, dropped)
        for query_id, search in searches.items()
    ]
    return JoinedLog(visits, len(searches), names, dropped, tuple(examples))


def parse_action_kinds(own: str) -> Mapping[str, ActionKind]:
    """Return action names → kinds: `ACTIONS`, and the setting's, as in `produktklick=click, kauf=purchase`.

    Raises SettingsError where that is not its form or a kind is unknown.
    """
    kinds = dict(ACTIONS)
    by_name = {kind: kind for kind in ACTIONS.values()}
    for pair in filter(None, (part.strip() for part in own.split(","))):
        name, _, kind = (part.strip() for part in pair.partition("="))
        if not name or kind not in by_name:
            known = ", ".join(by_name)
            raise SettingsError(f"clicks.actions: {pair!r} must be an action's name, =, and one of {known}")
        kinds[name] = by_name[kind]
    return kinds


def _visit(
    search: LoggedSearch,
    actions: Iterable[LoggedAction],
    kinds: Mapping[str, ActionKind],
    ids: Mapping[str, str],
    cart_counts: bool,
    dropped: Counter[str],
) -> SearchInteraction:
    returned = {product: place for place, product in enumerate(search.shown, 1)}
    seen: dict[str, int] = {}
    acted: list[tuple[ActionKind, LoggedAction]] = []
    client = search.client
    for action in actions:
        client = client or action.client
        kind = kinds[action.name]
        if kind == "impression":
            product = _named(action, returned)
            seen.setdefault(product, action.position or returned.get(product, len(seen) + 1))
        else:
            acted.append((kind, action))
    places = seen or returned
    clicks: dict[str, float] = {}
    done: set[tuple[ActionKind, str]] = set()
    for kind, action in sorted(acted, key=lambda item: item[1].at):
        product = _named(action, places if _named(action, places) in places else returned)
        if product not in places and product not in returned:
            dropped["actions on products that the search did not show"] += 1
            continue
        if (kind, product) in done:
            dropped["actions logged again"] += 1
            continue
        done.add((kind, product))
        if product not in places:
            places[product] = returned[product]
        if kind == "click":
            clicks[product] = action.at
    bought = {product for kind, product in done if kind == "purchase" or (kind == "cart" and cart_counts)}
    own = {product: ids.get(product, product) for product in places}
    first: dict[str, int] = {}
    for product, place in sorted(places.items(), key=lambda item: item[1]):
        first.setdefault(own[product], place)
    return SearchInteraction(
        client or search.query_id,
        normalise_query(search.query),
        " ".join(search.query.split()),
        search.at,
        first,
        frozenset(own[product] for _, product in done),
        frozenset(own[product] for product in bought),
        tuple(clicks.values()),
    )


def _named(action: LoggedAction, products: Mapping[str, int]) -> str:
    return next((i for i in action.ids if i in products), action.ids[0])
