"""The short form of `python -m tests.bench.hostile`."""

from tests.bench.hostile.__main__ import measure

SHARPEST = (
    *("half_heads_of_many_lines", "half_uploads", "endless_trailers", "endless_next_heads", "pipelines"),
    *("damaged_requests", "hang_ups_of_two", "slow_readers_of_searches", "packed_searches", "short_times"),
)


def test_a_well_behaved_client_loses_nothing_while_others_attack() -> None:
    found = measure("", 0.7, SHARPEST)["attacks"]
    assert set(found) == set(SHARPEST)
    for attack, attacked in found.items():
        assert attacked["searches"] > 0, attack
        assert attacked["lost"] == attacked["wrong"] == attacked["unranked"] == 0, attack
        assert attacked["unhealthy"] == attacked["worker_deaths"] == 0, attack
        assert attacked["peak_mb"] < 512, attack
