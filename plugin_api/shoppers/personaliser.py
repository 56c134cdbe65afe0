"""Behaviour in a search: what popularity and a shopper's profile add to the probabilities of a window."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mappings.errors import AttuneError
from mappings.settings import Settings
from plugin_api.opensearch.client import OpenSearchClient, encode_credentials
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.profile_store import ProfileStore
from plugin_api.shoppers.pseudonyms import hash_shopper
from reranker.behaviour.attention import HistoryItem, attend_window, list_recent_actions
from reranker.behaviour.counts import Profile
from reranker.behaviour.personal_search import personalise
from reranker.behaviour.window_products import StoredHit, read_window
from reranker.log_odds import compute_log_odds, compute_probabilities
from reranker.types import EncodedQuery

_log = logging.getLogger("attune")


@dataclass(frozen=True, slots=True)
class ShopperHistory:
    """A shopper's profile, and its texts that are about what a query is about, encoded."""

    profile: Profile = field(default_factory=Profile)
    texts: Sequence[HistoryItem] = ()


class Personaliser:
    """Reads profiles and applies them. Thread-safe."""

    def __init__(self, client: OpenSearchClient, settings: Settings) -> None:
        self._key = settings.shoppers.key
        self._profiles = ProfileStore(ClusterRequests(client, encode_credentials(settings.opensearch)))

    def read(self, user: str, timeout_seconds: float) -> Profile:
        """Return a shopper's profile; an empty one where it can't be read: a search does not fail for it."""
        if not self._key or timeout_seconds <= 0:
            return Profile()
        try:
            return self._profiles.read(hash_shopper(self._key, user), timeout_seconds).profile
        except (AttuneError, TimeoutError) as error:
            _log.warning("a profile can't be read, so a search is not personal: %s", error)
            return Profile()


def apply_behaviour(
    shopper: ShopperHistory,
    strength: float,
    query: EncodedQuery,
    hits: Sequence[StoredHit],
    probabilities: Sequence[float],
) -> tuple[list[float], Sequence[Mapping[str, float]]]:
    """Return the probabilities (n,) of a window with what behaviour adds, and by feature what it added.

    They come back as they were, and nothing, where neither popularity nor the history bears on the window.
    """
    day, profile = time.time() / SECONDS_A_DAY, shopper.profile
    bears = any(hit.id in profile.bought for hit in hits)
    is_known = strength > 0 and bool(profile.bought or profile.viewed)
    actions = list_recent_actions(profile, [hit.id for hit in hits], day) if is_known else []
    texts = shopper.texts if strength > 0 else ()
    if not bears and not actions and not texts and not any(hit.popularity for hit in hits):
        return list(probabilities), ()
    window = read_window(hits, query.words, with_kinds=bears)
    attends = bool(actions or texts)
    attention = attend_window(actions, [hit.stored for hit in hits], texts) if attends else None
    log_odds = compute_log_odds(probabilities).astype(np.float32)
    history = {hit.id: hit for hit in window if hit.id in profile.bought}
    scores = personalise(profile, history, window, log_odds, day, strength, attention)
    if scores.log_odds is log_odds:
        return list(probabilities), ()
    moved: list[float] = compute_probabilities(scores.log_odds).tolist()
    return moved, scores.reasons
