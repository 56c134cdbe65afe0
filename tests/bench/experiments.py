"""How experiments, off-policy estimates and the bandit do where the truth is known, because it is simulated.

python -m tests.bench.experiments
"""

import json
import time

import click
import numpy as np
from numpy.typing import NDArray

from mappings.errors import EvaluationError
from mappings.types import JsonObject
from reranker.experiments.bandit import BASELINE_FLOOR, Decision, LinearBandit, PolicyGuard
from reranker.experiments.off_policy import (
    PolicyValue,
    estimate_doubly_robust,
    estimate_self_normalised,
)
from reranker.experiments.sample_size import plan_preference, plan_rates
from reranker.experiments.sequential import compare_preference, compare_rates
from tests.bench.inputs import machine

LOOKS = 20
SEED = 7
ARMS = np.array([[0.20, 0.10], [0.14, 0.22], [0.16, 0.12]])
"""Reward of each of three settings in each of two contexts."""


@click.command()
@click.option("--runs", default=1000, show_default=True, help="Experiments that are simulated.")
def main(runs: int) -> None:
    """Simulate; print one JSON object."""
    click.echo(json.dumps(measure(runs), indent=2))


def measure(runs: int) -> JsonObject:
    """Return the share of false alarms, of truths held, and the bandit's regret."""
    rng = np.random.default_rng(SEED)
    return {
        **machine("numpy"),
        "planned_searches_51_49": plan_preference(0.51),
        "planned_searches_ab_ctr_10_percent_5_percent_up": 2 * plan_rates(0.1, 0.105),
        "false_alarms_20_looks": _alarms(rng, 0.5, runs),
        "false_alarms_20_looks_fixed_test": _alarms(rng, 0.5, runs, fixed=True),
        "found_51_49_by_39000": _alarms(rng, 0.51, runs),
        "false_alarms_20_looks_rates": _rate_alarms(rng, 0.1, 0.1, runs),
        "found_rates_10_11_by_30000_each": _rate_alarms(rng, 0.1, 0.11, runs),
        "truth_held": {n: _truths_held(rng, n, runs) for n in (10_000, 30_000)},
        "refused_below_1000_effective": _refused(rng, runs),
        "bandit": _bandit(rng, max(3, runs // 100)),
        "guard": _guard(rng, max(5, runs // 20)),
    }


def _alarms(rng: np.random.Generator, share: float, runs: int, fixed: bool = False) -> float:
    """Return the share of experiments of 39,000 decided searches that any of 20 looks calls different."""
    step = 39_000 // LOOKS
    n = step * np.arange(1, LOOKS + 1)
    alarms = 0
    for _ in range(runs):
        wins = rng.binomial(step, share, LOOKS).cumsum()
        if fixed:
            alarms += bool((np.abs(wins - n / 2) > 1.96 * np.sqrt(n) / 2).any())
        else:
            alarms += any(
                compare_preference(int(w), int(k - w)).p <= 0.05 for w, k in zip(wins, n, strict=True)
            )
    return alarms / runs


def _rate_alarms(rng: np.random.Generator, first: float, second: float, runs: int) -> float:
    step = 30_000 // LOOKS
    alarms = 0
    for _ in range(runs):
        a, b = (rng.binomial(step, rate, LOOKS).cumsum() for rate in (first, second))
        trials = step * np.arange(1, LOOKS + 1)
        alarms += any(
            compare_rates((int(x), int(n)), (int(y), int(n))).p <= 0.05
            for x, y, n in zip(a, b, trials, strict=True)
        )
    return alarms / runs


def _truths_held(rng: np.random.Generator, events: int, runs: int) -> JsonObject:
    """Return how often 95 % intervals hold the truth: propensities from a floor of 0.1, random policies."""
    holding = {"self_normalised": 0, "doubly_robust": 0}
    counted = 0
    for _ in range(runs):
        logged = 0.1 + 0.7 * rng.dirichlet(np.ones(3), 2).T  # (3 arms, 2 contexts)
        policy = rng.dirichlet(np.ones(3), 2).T
        truth = float((policy * ARMS).sum(0).mean())
        model = ARMS + rng.normal(0, 0.03, ARMS.shape)
        contexts = rng.integers(0, 2, events)
        draws = rng.random(events)
        actions = (draws[:, None] > logged.cumsum(0).T[contexts][:, :2]).sum(1)
        rewards = (rng.random(events) < ARMS[actions, contexts]).astype(np.float64)
        weights = (policy / logged)[actions, contexts]
        try:
            plain = estimate_self_normalised(rewards, weights)
            expected = (policy * model).sum(0)[contexts]
            robust = estimate_doubly_robust(rewards, weights, model[actions, contexts], expected)
        except EvaluationError:
            continue
        counted += 1
        for name, value in zip(holding, (plain, robust), strict=True):
            holding[name] += _holds(value, truth)
    return {**{name: round(count / counted, 3) for name, count in holding.items()}, "runs": counted}


def _holds(value: PolicyValue, truth: float) -> bool:
    return value.low <= truth <= value.high


def _refused(rng: np.random.Generator, runs: int) -> float:
    """Return the share of logs with an effective n below 1,000 that are refused: heavy-tailed weights."""
    refused = few = 0
    for _ in range(runs):
        weights: NDArray[np.float64] = rng.pareto(0.8, 10_000)
        if weights.sum() ** 2 / np.square(weights).sum() >= 1000:
            continue
        few += 1
        try:
            estimate_self_normalised(np.ones(10_000), weights)
        except EvaluationError:
            refused += 1
    return refused / few


def _bandit(rng: np.random.Generator, runs: int, decisions: int = 10_000) -> JsonObject:
    """Return the mean reward lost a decision, the best fixed setting's, and the time of a decision."""
    contexts = np.eye(2)
    lost = 0.0
    seconds = 0.0
    best = ARMS.max(0)
    for _ in range(runs):
        bandit = LinearBandit(len(ARMS), 2)
        for _ in range(decisions):
            kind = int(rng.integers(2))
            began = time.perf_counter()
            decision = bandit.decide(contexts[kind], rng)
            bandit.learn(contexts[kind], decision.arm, float(rng.random() < ARMS[decision.arm, kind]))
            seconds += time.perf_counter() - began
            lost += best[kind] - ARMS[decision.arm, kind]
    return {
        "regret_a_decision": round(lost / runs / decisions, 4),
        "regret_of_best_fixed_setting": round(float((best - ARMS[ARMS.mean(1).argmax()]).mean()), 4),
        "ms_a_decision": round(seconds / runs / decisions * 1000, 3),
    }


def _guard(rng: np.random.Generator, runs: int) -> JsonObject:
    """Return after how many decisions the guard returns from a policy that earns a third of the baseline."""
    delays = [_watch(rng, 0.1, 10_000) for _ in range(runs)]
    false = sum(_watch(rng, 0.3, 10_000) < 10_000 for _ in range(runs))
    return {
        "median_decisions_to_return": int(np.median(delays)),
        "slowest": max(delays),
        "false_returns_in_10000_decisions": false / runs,
    }


def _watch(rng: np.random.Generator, rate: float, most: int) -> int:
    guard = PolicyGuard(baseline=0, floor=BASELINE_FLOOR)
    probabilities = (BASELINE_FLOOR, 1 - BASELINE_FLOOR)
    for at in range(most):
        arm = int(rng.random() < probabilities[1])
        decision = Decision(arm, probabilities[arm], probabilities)
        if guard.observe(decision, float(rng.random() < (0.3, rate)[arm])):
            return at + 1
    return most


if __name__ == "__main__":
    main()
