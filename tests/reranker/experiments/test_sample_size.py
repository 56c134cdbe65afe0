import numpy as np
import pytest

from mappings.errors import EvaluationError
from reranker.experiments.sample_size import plan_preference, plan_rates


def test_a_plan_reaches_its_power() -> None:
    n = plan_preference(0.55)
    wins = np.random.default_rng(1).binomial(n, 0.55, 4000)
    found = np.abs(wins - n / 2) > 1.96 * np.sqrt(n) / 2
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_smaller_differences_take_more_searches() -> None:
    assert plan_preference(0.51) == pytest.approx(19_620, abs=10)
    assert plan_preference(0.49) == plan_preference(0.51)
    assert plan_rates(0.10, 0.105) > 3 * plan_rates(0.10, 0.11)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_no_preference_can_be_planned_for(share: float) -> None:
    with pytest.raises(EvaluationError, match="preference"):
        plan_preference(share)


def test_rates_and_powers_are_checked() -> None:
    with pytest.raises(EvaluationError, match="differ"):
        plan_rates(0.1, 0.1)
    with pytest.raises(EvaluationError, match="power"):
        plan_rates(0.1, 0.2, power=1)
