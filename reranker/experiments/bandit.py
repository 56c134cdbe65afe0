"""A contextual bandit over a few ranking settings, and the guard that returns to the old one.

Linear Thompson sampling (Agrawal and Goyal 2013) with a floor under every probability, so that what is logged
can be learnt from. `vowpalwabbit`, the library that returns propensities, does no better here.
"""

from dataclasses import dataclass, field

import numpy as np

from mappings.errors import EvaluationError
from reranker.types import Doubles

FLOOR = 0.1
"""Least probability of each arm."""

BASELINE_FLOOR = 0.2
"""Least probability of the first arm, the old policy, which the guard compares with.

Simulated, it takes 1,100 decisions to return from a policy that earns a third of it; with 0.1 it takes 1,700.
"""

_DRAWS = 256
_NOISE = 0.5
"""Standard deviation of a reward (0 to 1) around its mean, at most."""

_ALARM = 1_000_000.0
"""The guard's evidence at which it returns: without a harm, at most once in so many decisions on average."""


_BETS = np.array([0.05, 0.15, 0.5])
"""Sizes of the guard's bets, as shares of the largest possible. Small harms need small ones."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The arm drawn and its propensity: the probability that it had."""

    arm: int
    propensity: float
    probabilities: tuple[float, ...]


@dataclass(slots=True)
class LinearBandit:
    """Arms, each with a linear model of its reward by the context (d,). The first is the old policy.

    Not thread-safe.
    """

    arms: int
    width: int
    floor: float = FLOOR
    baseline_floor: float = BASELINE_FLOOR
    _precision: Doubles = field(init=False)  # (arms, d, d)
    _moment: Doubles = field(init=False)  # (arms, d)

    def __post_init__(self) -> None:
        if self.arms < 2 or self.floor <= 0 or self._floors().sum() > 1:
            raise EvaluationError(
                "a bandit needs two arms or more, and a floor that leaves room for all of them"
            )
        self._precision = np.tile(np.eye(self.width), (self.arms, 1, 1))
        self._moment = np.zeros((self.arms, self.width))

    def _floors(self) -> Doubles:
        floors = np.full(self.arms, self.floor)
        floors[0] = max(self.floor, self.baseline_floor)
        return floors

    def decide(self, context: Doubles, rng: np.random.Generator) -> Decision:
        """Draw an arm for a context."""
        probabilities = self.compute_probabilities(context, rng)
        arm = int(rng.choice(self.arms, p=probabilities))
        return Decision(arm, float(probabilities[arm]), tuple(probabilities.tolist()))

    def compute_probabilities(self, context: Doubles, rng: np.random.Generator) -> Doubles:
        """Return the probability (arms,) of each arm in a context: that of being the best, and its floor."""
        means = np.linalg.solve(self._precision, self._moment[..., None])[..., 0] @ context  # (arms,)
        inverse = np.linalg.solve(self._precision, np.tile(context, (self.arms, 1))[..., None])[..., 0]
        spread = _NOISE * np.sqrt(np.maximum(inverse @ context, 0))
        draws = means + spread * rng.standard_normal((_DRAWS, self.arms))
        wins = np.bincount(draws.argmax(1), minlength=self.arms) / _DRAWS
        # Mixed before an arm is drawn: its propensity is exact, although `wins` is an estimate.
        floors = self._floors()
        mixed = floors + (1 - floors.sum()) * wins
        probabilities: Doubles = mixed / mixed.sum()
        return probabilities

    def learn(self, context: Doubles, arm: int, reward: float) -> None:
        """Take in the reward (0 to 1) of an arm in a context."""
        self._precision[arm] += np.outer(context, context)
        self._moment[arm] += reward * context


@dataclass(slots=True)
class PolicyGuard:
    """Watches whether the bandit earns less than always drawing `baseline`, and says when to return.

    An e-detector (Shin, Ramdas and Rinaldo 2022): each decision multiplies the evidence by one bet on the
    difference, estimated by inverse propensities; good times before do not hide a harm now. `margin` is the
    loss of reward that is let pass.
    """

    baseline: int
    floor: float = FLOOR
    margin: float = 0.02
    evidence: Doubles = field(default_factory=lambda: np.zeros(len(_BETS)))

    def observe(self, decision: Decision, reward: float) -> bool:
        """Take in one decision and its reward (0 to 1); return whether to go back to the baseline."""
        # Under "no worse than the margin", a bet's mean is at most 0. It lies within 1/floor on both sides.
        base = reward / decision.propensity if decision.arm == self.baseline else 0.0
        loss = base - reward - self.margin
        self.evidence = (self.evidence + 1) * (1 + _BETS * self.floor * loss)
        return float(self.evidence.mean()) >= _ALARM
