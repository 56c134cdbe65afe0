"""What shoppers did in an experiment, counted from stored events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mappings.errors import EvaluationError
from mappings.settings import VARIANTS, Settings
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.experiments.counts import SLOW_SHARE, ExperimentCounts, VariantCounts
from plugin_api.shoppers.experiments.log import ExperimentLog, Trial
from plugin_api.shoppers.experiments.tag import INTERLEAVED
from plugin_api.shoppers.experiments.watch import read_stopped
from reranker.experiments.off_policy import (
    PolicyValue,
    estimate_doubly_robust,
    estimate_self_normalised,
)
from reranker.experiments.sequential import SequentialResult, compare_preference, compare_rates, least_p
from reranker.types import Doubles


@dataclass(frozen=True, slots=True)
class PreferenceResult:
    """Interleaved searches: how many had more actions on the first ranking's hits, more on the second's.

    `test.p` is always valid: it may be read as often as one likes.
    """

    first: int
    second: int
    ties: int
    test: SequentialResult


@dataclass(frozen=True, slots=True)
class VariantResult:
    """Searches that showed one variant, those that an action followed, and the guardrails' measures.

    `value` is what always showing it would earn, in searches with an action (self-normalised), `robust` the
    same doubly robust; None where too few events tell, and then `too_few` says how many there are.
    """

    name: str
    searches: int
    acted: int
    empty: int
    slow: int
    mean_ms: float
    revenue: float
    value: PolicyValue | None = None
    robust: PolicyValue | None = None
    too_few: str = ""


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """What came of an experiment so far. `uncredited` events do not say at which place the product stood.

    `rates` compares the first variant with the second where shoppers are split between them. `stopped` maps
    variants that a guardrail stopped to the reason.
    """

    name: str
    preference: PreferenceResult | None
    variants: Sequence[VariantResult]
    rates: SequentialResult | None
    uncredited: int
    stopped: Mapping[str, str] = field(default_factory=dict)


def count_current(requests: ClusterRequests, settings: Settings, name: str) -> ExperimentResult:
    """Count an experiment by the settings: what is slow, and whether a bandit draws. Raises as below."""
    slow_ms = SLOW_SHARE * settings.sidecar.deadline_ms
    drawn = settings.experiment.method == "bandit"
    return count_experiment(requests, name, settings.shoppers.key, slow_ms, drawn)


def count_experiment(
    requests: ClusterRequests, name: str, key: str, slow_ms: float, drawn: bool = False
) -> ExperimentResult:
    """Count an experiment's events. Those whose `query_id` was not signed with `key` are left out.

    Searches of `slow_ms` or more are slow. Where variants were `drawn` by a bandit, what each would earn is
    estimated from the propensities. Raises ShopperStoreError.
    """
    log = ExperimentLog(requests, name, key)
    log.read()
    trials = sorted(log.trials.values(), key=lambda trial: trial.tag.at)
    counts = ExperimentCounts(slow_ms)
    for trial in trials:
        counts.add(trial)
    shown = [variant for variant in VARIANTS if counts.total(variant).searches]
    single = [trial for trial in trials if trial.tag.variant != INTERLEAVED]
    variants = [_describe(variant, counts.total(variant), single if drawn else []) for variant in shown]
    rates = None
    if not drawn and variants:
        first, second = (counts.total(variant) for variant in VARIANTS[:2])
        rates = compare_rates((first.acted, first.searches), (second.acted, second.searches))
    stopped = read_stopped(requests, name)
    return ExperimentResult(name, _count_preference(trials), variants, rates, log.uncredited, stopped)


def _count_preference(trials: Sequence[Trial]) -> PreferenceResult | None:
    """Test after every decided search; the least p of all looks is as valid as the last."""
    wins = losses = ties = 0
    looks: list[SequentialResult] = []
    for trial in trials:
        if trial.tag.variant != INTERLEAVED or not trial.actions:
            continue
        wins, losses = wins + (trial.credit > 0), losses + (trial.credit < 0)
        ties += trial.credit == 0
        if trial.credit:
            looks.append(compare_preference(wins, losses))
    if not wins + losses + ties:
        return None
    share = compare_preference(wins, losses).share
    return PreferenceResult(wins, losses, ties, SequentialResult(share, least_p(looks)))


def _describe(name: str, counts: VariantCounts, trials: Sequence[Trial]) -> VariantResult:
    value = robust = None
    too_few = ""
    if trials:
        rewards = np.array([float(trial.actions > 0) for trial in trials])
        weights = np.array([(trial.tag.variant == name) / trial.tag.propensity for trial in trials])
        try:
            value = estimate_self_normalised(rewards, weights)
            expected = _predict(trials, name, rewards)
            robust = estimate_doubly_robust(rewards, weights, expected, expected)
        except EvaluationError as error:
            too_few = str(error)
    return VariantResult(
        name,
        counts.searches,
        counts.acted,
        counts.empty,
        counts.slow,
        round(counts.took_ms / max(counts.searches, 1), 1),
        round(counts.revenue, 2),
        value,
        robust,
        too_few,
    )


def _predict(trials: Sequence[Trial], name: str, rewards: Doubles) -> Doubles:
    """Return the reward (n,) that a variant has in each search's context, learnt from the other half."""
    half = np.arange(len(trials)) % 2
    contexts = np.array([trial.tag.context for trial in trials])
    shown = np.array([trial.tag.variant == name for trial in trials])
    predicted = np.zeros(len(trials))
    for own in (0, 1):
        for context in set(contexts.tolist()):
            others = shown & (half != own) & (contexts == context)
            # A search more that earns the mean of all: without it a context that tells nothing has no mean.
            mean = (rewards[others].sum() + rewards.mean()) / (others.sum() + 1)
            predicted[(half == own) & (contexts == context)] = mean
    return predicted
