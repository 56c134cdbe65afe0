"""Waiting for OpenSearch: what may go away by itself is tried again, further and further apart."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import TransportError

from indexer.store.opensearch_errors import opensearch_errors

T = TypeVar("T")

PASSING = (429, 502, 503, 504)
"""Statuses of an overloaded or starting cluster, or of a proxy before it."""

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call that fails for passing reasons is tried again: `seconds` since it first failed.

    Pauses double and are drawn at random between half and all of that, so that jobs which failed together do
    not come back together ("equal jitter", Brooker, "Exponential Backoff And Jitter", 2015).
    """

    seconds: float
    waiting: Callable[[str, float], None] = lambda _, __: None

    def call(self, doing: str, ask: Callable[[], T]) -> T:
        """Return what `ask` returns; `doing` says what for, as in "writing to index shop-1".

        Raises IndexingError or ClusterDown where it fails for good, or for longer than there is patience.
        """
        pauses = Pauses(self)
        with opensearch_errors(doing):
            while True:
                try:
                    return ask()
                except TransportError as error:
                    if not passing(error) or not pauses.pause(f"{doing}: {short(error)}"):
                        raise


class Pauses:
    """The pauses of one call: a first failure starts its time."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._until: float | None = None
        self._tries = 0

    def pause(self, why: str) -> bool:
        """Wait, and return True; False where the patience is over."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._patience.seconds
        if now >= self._until:
            return False
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2**self._tries)
        seconds = min(random.uniform(longest / 2, longest), self._until - now)
        self._tries += 1
        self._patience.waiting(why, seconds)
        time.sleep(seconds)
        return True


def passing(error: TransportError) -> bool:
    """Whether the same call may work later: no connection, no answer in time, or too much load."""
    return isinstance(error, NoConnection) or error.status_code in PASSING


def short(error: TransportError) -> str:
    """Return an error in a few words."""
    return f"{error.status_code} {error.error}"[:200]
