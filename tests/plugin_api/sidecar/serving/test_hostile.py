"""The short form of `python -m tests.bench.hostile`."""

from tests.bench.hostile.__main__ import measure
from tests.bench.hostile.attacks import ATTACKS


def test_a_well_behaved_client_loses_nothing_while_others_attack() -> None:
    found = measure("", 0.7, tuple(ATTACKS))["attacks"]
    assert set(found) == set(ATTACKS)
    for attack, attacked in found.items():
        assert attacked["searches"] > 0, attack
        assert attacked["lost"] == 0, attack
        assert attacked["worker_deaths"] == 0, attack
        assert attacked["peak_mb"] < 512, attack
