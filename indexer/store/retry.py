"""Retries: a call to OpenSearch that fails for a transient reason is repeated after growing pauses."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import TransportError

from indexer.store.opensearch_errors import translate_errors
from mappings.errors import JobStopped

_Result = TypeVar("_Result")

TRANSIENT_STATUSES = (429, 502, 503, 504)
"""Statuses of an overloaded or starting cluster, or of a proxy in front of it."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a call that fails for transient reasons is repeated: `seconds` after its first failure.

    Pauses start at `first_pause` seconds and double up to `longest_pause`. Each is drawn at random between
    half and all of that, so that jobs which failed together do not return together ("equal jitter", Brooker,
    "Exponential Backoff And Jitter", 2015). `on_wait` receives the reason and the seconds of each pause.

    Setting `stop` ends the job: the next call, and any pause, raises JobStopped.
    """

    seconds: float
    on_wait: Callable[[str, float], None] = lambda _, __: None
    stop: threading.Event = field(default_factory=threading.Event)
    first_pause: float = 0.5
    longest_pause: float = 20.0

    def call(self, doing: str, ask: Callable[[], _Result]) -> _Result:
        """Return what `ask` returns. `doing` names the work in messages, as in "writing to index shop-1".

        Raises IndexingError or ClusterDown where the call fails for good or beyond the policy's time, and
        JobStopped where the job was told to stop.
        """
        backoff = Backoff(self)
        with translate_errors(doing):
            while True:
                self.check_stop()
                try:
                    return ask()
                except TransportError as error:
                    if not is_transient(error) or not backoff.pause(f"{doing}: {summarize_error(error)}"):
                        raise

    def check_stop(self) -> None:
        """Raise JobStopped where the job was told to stop."""
        if self.stop.is_set():
            raise JobStopped("the job was told to stop: the same command continues where it was")


class Backoff:
    """The pauses of one call. Its first failure starts the policy's time."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._until: float | None = None
        self._tries = 0

    def pause(self, reason: str) -> bool:
        """Wait and return True; return False where the policy's time is over. Raises JobStopped."""
        policy = self._policy
        now = time.monotonic()
        if self._until is None:
            self._until = now + policy.seconds
        if now >= self._until:
            return False
        longest = min(policy.longest_pause, policy.first_pause * 2.0 ** min(self._tries, 30))
        seconds = min(random.uniform(longest / 2, longest), self._until - now)
        self._tries += 1
        policy.on_wait(reason, seconds)
        policy.stop.wait(seconds)
        policy.check_stop()
        return True


def is_transient(error: TransportError) -> bool:
    """Return whether the same call may work later: no connection, no answer in time, or too much load."""
    return isinstance(error, NoConnection) or error.status_code in TRANSIENT_STATUSES


def summarize_error(error: TransportError) -> str:
    """Return an error in a few words."""
    return f"{error.status_code} {error.error}"[:200]
