import numpy as np
import pytest

from mappings.errors import EvaluationError
from reranker.experiments.bandit import FLOOR, Decision, LinearBandit, PolicyGuard


def test_it_learns_which_arm_suits_which_context() -> None:
    rng = np.random.default_rng(1)
    bandit = LinearBandit(arms=2, width=2)
    contexts = np.eye(2)
    for _ in range(2000):
        kind = int(rng.integers(2))
        decision = bandit.decide(contexts[kind], rng)
        bandit.learn(
            contexts[kind], decision.arm, float(rng.random() < (0.4 if decision.arm == kind else 0.1))
        )
    for kind in range(2):
        assert bandit.decide(contexts[kind], rng).probabilities[kind] >= 0.75


def test_propensities_are_what_is_drawn_by_and_never_below_the_floor() -> None:
    rng = np.random.default_rng(2)
    bandit = LinearBandit(arms=3, width=1)
    for _ in range(300):
        bandit.learn(np.ones(1), 0, 1.0)
    decisions = [bandit.decide(np.ones(1), rng) for _ in range(3000)]
    assert min(min(decision.probabilities) for decision in decisions) >= FLOOR - 1e-9
    weights = [1 / decision.propensity for decision in decisions if decision.arm == 1]
    assert sum(weights) / 3000 == pytest.approx(1, abs=0.2)


def test_a_bandit_without_a_choice_is_refused() -> None:
    with pytest.raises(EvaluationError, match="two arms"):
        LinearBandit(arms=1, width=1)
    with pytest.raises(EvaluationError, match="floor"):
        LinearBandit(arms=11, width=1)


def test_the_guard_returns_from_a_bad_policy_also_after_good_times() -> None:
    rng = np.random.default_rng(3)
    guard = PolicyGuard(baseline=0)
    assert not any(_watch(guard, rng, good) for good in [0.4] * 3000)
    assert any(_watch(guard, rng, bad) for bad in [0.05] * 3000)


def test_the_guard_lets_an_equal_policy_run() -> None:
    rng = np.random.default_rng(4)
    guard = PolicyGuard(baseline=0)
    assert not any(_watch(guard, rng, equal) for equal in [0.3] * 10_000)


def _watch(guard: PolicyGuard, rng: np.random.Generator, rate: float) -> bool:
    """Draw the baseline (rate 0.3) in a tenth of the decisions, else the policy."""
    arm = int(rng.random() < 0.9)
    decision = Decision(arm, (0.1, 0.9)[arm], (0.1, 0.9))
    return guard.observe(decision, float(rng.random() < (0.3, rate)[arm]))
