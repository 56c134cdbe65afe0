"""The short form of `python -m tests.bench.hostile`."""

import pytest

from tests.bench.hostile.__main__ import measure
from tests.bench.hostile.attacks import ATTACKS


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_well_behaved_client_loses_nothing_while_others_attack(attack: str) -> None:
    found = measure("", 1.5, (attack,))["attacks"][attack]
    assert found["searches"] > 0
    assert found["lost"] == 0
    assert found["worker_deaths"] == 0
    assert found["peak_mb"] < 512
