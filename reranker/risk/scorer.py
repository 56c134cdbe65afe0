"""The risk scorer: an MLP from named features to calibrated log-odds, explained feature by feature."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reranker.log_odds import compute_probabilities
from reranker.npz import Arrays, load_npz
from reranker.types import Doubles, Floats

RISK_CLASSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Probabilities from which the risk class is 2, 3, 4, 5, 6 and 7. Below the first it is 1."""

_CLIP = 4.0
_ORDERS = 32
"""Orders of the features, and their reverses, over which contributions are averaged."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskInputs:
    """How features become the MLP's inputs: each once standardised, and once as its place among all people.

    A value that is missing (NaN) counts as the average one.
    """

    mean: Doubles  # (F,)
    scale: Doubles  # (F,)
    knots: Doubles  # (F, K) quantiles, ascending

    def transform(self, features: Doubles) -> Doubles:
        """Map features (n, F) to inputs (n, 2F)."""
        given = np.where(np.isnan(features), self.mean, features)
        standardised = np.clip((given - self.mean) * self.scale, -_CLIP, _CLIP)
        places = np.linspace(-1.7, 1.7, self.knots.shape[1])
        ranked = np.stack([np.interp(given[:, f], self.knots[f], places) for f in range(len(self.mean))], 1)
        return np.concatenate([standardised, ranked], 1)


@dataclass(frozen=True, slots=True, eq=False)
class RiskScorer:
    """Parameters of the MLP: Dense 128, ReLU → Dense 1, whose log-odds are calibrated."""

    features: tuple[str, ...]
    inputs: RiskInputs
    hidden: Floats  # (2F, 128)
    hidden_bias: Floats  # (128,)
    output: Floats  # (128,)
    output_bias: float

    def log_odds(self, features: Doubles) -> Doubles:
        """Map features (n, F) to calibrated log-odds (n,)."""
        h = np.maximum(self.inputs.transform(features) @ self.hidden + self.hidden_bias, 0)  # (n, 128)
        return np.asarray(h @ self.output + self.output_bias, dtype=np.float64)

    def probabilities(self, features: Doubles) -> Doubles:
        """Map features (n, F) to probabilities (n,)."""
        return compute_probabilities(self.log_odds(features))

    def explain(self, features: Doubles) -> tuple[float, Doubles]:
        """Return the log-odds of the average person, and what each of one person's features (F,) adds.

        Together they are the person's log-odds, to rounding: features are put in place of the average ones by
        turns, in 64 orders, and each is given the mean of what it changed (Shapley values, sampled; Štrumbelj
        and Kononenko 2014). A feature that the MLP ignores adds 0.
        """
        count = len(self.features)
        rng = np.random.default_rng(7)
        orders = [rng.permutation(count) for _ in range(_ORDERS)]
        orders += [order[::-1] for order in orders]
        states = np.repeat(self.inputs.mean[None, None, :], len(orders), 0).repeat(
            count + 1, 1
        )  # (O, F + 1, F)
        given = np.where(np.isnan(features), self.inputs.mean, features)
        for row, order in enumerate(orders):
            for step, feature in enumerate(order):
                states[row, step + 1 :, feature] = given[feature]
        odds = self.log_odds(states.reshape(-1, count)).reshape(len(orders), count + 1)
        steps = np.diff(odds, axis=1)  # (O, F)
        added = np.zeros(count)
        for order, change in zip(orders, steps, strict=True):
            added[order] += change
        return float(odds[0, 0]), added / len(orders)

    def save(self, path: Path) -> None:
        """Write the parameters to an .npz file."""
        np.savez(
            path,
            features=np.array(self.features),
            mean=self.inputs.mean,
            scale=self.inputs.scale,
            knots=self.inputs.knots,
            hidden=self.hidden,
            hidden_bias=self.hidden_bias,
            output=self.output,
            output_bias=np.float64(self.output_bias),
        )


def load_risk_scorer(path: Path) -> RiskScorer:
    """Read what RiskScorer.save wrote. Raises ModelError where the file holds no risk scorer."""
    return load_npz(path, str(path), "risk scorer", _build_scorer)


def _build_scorer(values: Arrays) -> RiskScorer:
    names = tuple(map(str, values["features"].tolist()))
    scorer = RiskScorer(
        names,
        RiskInputs(values["mean"], values["scale"], values["knots"]),
        values["hidden"],
        values["hidden_bias"],
        values["output"],
        float(values["output_bias"]),
    )
    scorer.log_odds(np.zeros((1, len(names))))
    return scorer


def classify_risk(probability: float, classes: Sequence[float] = RISK_CLASSES) -> int:
    """Return the risk class, 1 to 7, of a probability."""
    return 1 + bisect_right(classes, probability)
