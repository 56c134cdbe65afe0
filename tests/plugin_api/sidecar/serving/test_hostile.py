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
        assert attacked["lost"] == attacked["wrong"] == 0, attack
        # Where more searches run at once than `sidecar.max_concurrent_reranks`, one is as the shop has it.
        assert set(attacked["unranked"]) <= {"shed"}, attack
        assert attacked["unhealthy"] == attacked["worker_deaths"] == 0, attack
        assert attacked["peak_mb"] < 512, attack
