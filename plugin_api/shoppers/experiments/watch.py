"""Follows a running experiment: what a bandit has learnt, and which variants are stopped.

Each process reads the stored events for itself, so there is no state to share but which variants are stopped;
that is stored in OpenSearch, and stays.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np

from mappings.settings import ExperimentSettings, list_variants
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.experiments.counts import ExperimentCounts
from plugin_api.shoppers.experiments.log import ExperimentLog, Trial
from reranker.experiments.bandit import Decision, LinearBandit, PolicyGuard

STATES = "attune-experiments"
"""Index with a document for each experiment of which a variant was stopped."""

READ_SECONDS = 10.0
"""Seconds after which new events are read."""

REWARD_SECONDS = 20.0
"""Seconds after a search within which an action counts as its reward for the bandit and the guardrails.

A purchase may come later: see `ExperimentWatch`.
"""

_BODY = {
    "settings": {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}},
    "mappings": {"enabled": False},
}
_log = logging.getLogger("attune")


@dataclass(frozen=True, slots=True)
class ExperimentState:
    """What is known of an experiment now.

    `stopped` maps variants to the reason. `probabilities` has those of each variant by context: a bandit's.
    `is_known` is false until events were first read: until then a bandit decides nothing.
    """

    is_known: bool = False
    stopped: Mapping[str, str] = field(default_factory=dict)
    probabilities: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


def read_stopped(requests: ClusterRequests, name: str) -> dict[str, str]:
    """Return the variants of an experiment that were stopped, and why. Raises ShopperStoreError."""
    status, answer = requests.ask("GET", f"/{STATES}/_doc/{name}", also=(404,))
    return {} if status == 404 else dict(answer["_source"]["stopped"])


class ExperimentWatch:
    """Reads an experiment's events in the background, at most every READ_SECONDS. Thread-safe.

    A purchase after the time of the reward still counts as revenue.
    """

    def __init__(
        self,
        requests: ClusterRequests,
        settings: ExperimentSettings,
        key: str,
        contexts: int,
        slow_ms: float,
        clock: Callable[[], float] = time.time,
        executor: Executor | None = None,
    ) -> None:
        self._requests, self._settings, self._clock = requests, settings, clock
        self._names = tuple(list_variants(settings))
        self._events = ExperimentLog(requests, settings.name, key)
        self._counts = ExperimentCounts(slow_ms)
        self._contexts = np.eye(contexts)
        self._bandit = LinearBandit(len(self._names), contexts) if settings.method == "bandit" else None
        self._guard = PolicyGuard(baseline=0, floor=self._bandit.baseline_floor if self._bandit else 1.0)
        self._rng = np.random.default_rng(0)
        self._settled_to = float("-inf")
        self._state = ExperimentState()
        self._read_at = float("-inf")
        self._reading: Future[None] | None = None
        self._lock = threading.Lock()
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="attune-experiment")

    @property
    def state(self) -> ExperimentState:
        """What is known now. Asks for what is new where that was not done lately, without waiting for it."""
        with self._lock:
            is_idle = self._reading is None or self._reading.done()
            if is_idle and self._clock() >= self._read_at + READ_SECONDS:
                self._read_at = self._clock()
                self._reading = self._executor.submit(self._refresh_safely)
        return self._state

    def refresh(self) -> ExperimentState:
        """Read what is new, learn from it, and stop what does worse. Raises ShopperStoreError."""
        stopped = read_stopped(self._requests, self._settings.name)
        self._events.read()
        due = self._clock() - REWARD_SECONDS
        ready = [(trial.tag.at, key) for key, trial in self._events.trials.items() if trial.tag.at <= due]
        returned = False
        for at, key in sorted(ready, key=itemgetter(0)):  # by nothing else: a key tells the variant
            trial = self._events.trials.pop(key)
            if at > self._settled_to:
                self._counts.add(trial)
                returned = self._learn(trial) or returned
            else:
                self._counts.add_revenue(trial)
        self._settled_to = max(due, self._settled_to)
        failing = dict(self._counts.check_guardrails())
        if returned:
            failing |= dict.fromkeys(self._names[1:], "the bandit earns less than the first ranking")
        if new := failing.keys() - stopped.keys():
            stopped |= {name: failing[name] for name in new}
            self._requests.create_index(STATES, _BODY)
            self._requests.ask("PUT", f"/{STATES}/_doc/{self._settings.name}", {"stopped": stopped})
            _log.warning("experiment %s: %s", self._settings.name, stopped)
        self._state = ExperimentState(True, stopped, self._list_probabilities(stopped))
        return self._state

    def _refresh_safely(self) -> None:
        try:
            self.refresh()
        except Exception as error:  # noqa: BLE001  # searches go on by what is known
            _log.warning("the events of experiment %s can't be read: %s", self._settings.name, error)

    def _learn(self, trial: Trial) -> bool:
        """Teach the bandit a search and its reward; return whether to go back to the first variant."""
        tag = trial.tag
        if self._bandit is None or tag.variant not in self._names or tag.context >= len(self._contexts):
            return False
        arm, reward = self._names.index(tag.variant), float(trial.actions > 0)
        self._bandit.learn(self._contexts[tag.context], arm, reward)
        return self._guard.observe(Decision(arm, tag.propensity, ()), reward)

    def _list_probabilities(self, stopped: Mapping[str, str]) -> dict[int, dict[str, float]]:
        """Return the probabilities of the variants that are not stopped, by context."""
        if self._bandit is None:
            return {}
        table = {}
        for context, vector in enumerate(self._contexts):
            drawn = self._bandit.compute_probabilities(vector, self._rng).tolist()
            running = {name: p for name, p in zip(self._names, drawn, strict=True) if name not in stopped}
            total = sum(running.values())
            table[context] = {name: p / total for name, p in running.items()}
        return table
