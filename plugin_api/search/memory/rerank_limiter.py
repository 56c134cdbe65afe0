"""Limits which searches are reranked: not too many at once, and none of an index that keeps failing."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mappings.settings import SidecarSettings
from plugin_api.search.deadline import Deadline
from plugin_api.search.memory.circuit_breaker import OPEN_SECONDS, CircuitBreaker
from plugin_api.search.query.types import Options, RerankRequest, SearchCall
from plugin_api.search.reasons import Cause, NotReranked, Reason

_FULL_SHARE = 0.9
"""Share of sidecar.deadline_ms that a search must have had for its failure to count."""


class RerankLimiter:
    """Limits the searches that are reranked at a time, by a count and by a circuit breaker. Thread-safe.

    An index whose circuit is open rests for `open_seconds`.
    """

    def __init__(self, settings: SidecarSettings, open_seconds: float = OPEN_SECONDS) -> None:
        self._deadline_seconds = settings.deadline_ms / 1000
        self._limit = settings.max_concurrent_reranks
        self.breaker = CircuitBreaker(open_seconds)
        self._lock = threading.Lock()
        self._running = 0

    @contextmanager
    def admit(self, call: SearchCall) -> Iterator[int]:
        """Count a search as running; yield how many run with it.

        Raises NotReranked where its index rests, or where too many run.
        """
        if cause := self.breaker.cause_to_skip(call.caller_key):
            raise NotReranked(cause)
        with self._lock:
            self._running += 1
            running = self._running
        try:
            if running > self._limit:
                raise NotReranked(Reason.BUSY.because(limit=self._limit))
            yield running
        finally:
            with self._lock:
                self._running -= 1

    def record_success(self, call: SearchCall) -> None:
        """Forget the failures of a call's index."""
        self.breaker.record_success(call.caller_key)

    def record_failure(self, request: RerankRequest, cause: Cause, deadline: Deadline, running: int) -> None:
        """Count why a search was not reranked, where that is a fault, of `running` searches at the time."""
        if self._is_fault(request, cause, deadline, running):
            self.breaker.record_failure(request.call.caller_key, cause)

    def _is_fault(self, request: RerankRequest, cause: Cause, deadline: Deadline, running: int) -> bool:
        """Return whether a failure counts for the circuit breaker, which rests an index for all searches.

        What a caller can bring about by an option, a condition or a short time limit does not, nor does a
        late answer while the sidecar has more to do than its cores: each search ends by its own deadline.
        """
        is_default = request.options.with_shopper("", replaces=True) == Options()
        is_condition = cause.reason is Reason.KNN_FAILED and bool(request.required)
        had_time = deadline.seconds >= _FULL_SHARE * self._deadline_seconds
        is_overload = cause.reason is Reason.OPENSEARCH_LATE and running > (os.cpu_count() or 1)
        return cause.reason.is_fault and is_default and had_time and not (is_overload or is_condition)
