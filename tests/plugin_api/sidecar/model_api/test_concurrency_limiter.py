import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugin_api.sidecar.model_api.concurrency_limiter import Busy, Turns


def test_a_turn_is_free_again_when_its_block_ends() -> None:
    turns = Turns(1, 0, 0.0)
    for _ in range(3):
        with turns.turn():
            pass
    with pytest.raises(ZeroDivisionError), turns.turn():
        raise ZeroDivisionError
    with turns.turn():
        pass


def test_who_finds_the_line_full_is_sent_away_at_once() -> None:
    turns = Turns(1, 0, 3600.0)
    with turns.turn(), pytest.raises(Busy), turns.turn():
        pytest.fail("the only place was taken")


def test_who_waits_in_vain_is_sent_away_and_leaves_the_place_to_others() -> None:
    turns = Turns(1, 1, 0.01)
    for _ in range(3):
        with turns.turn(), pytest.raises(Busy), turns.turn():
            pytest.fail("the only turn was taken")
    with turns.turn():
        pass


def test_no_more_at_once_than_may_be_and_all_in_line_get_their_turn() -> None:
    turns = Turns(2, 6, 60.0)
    lock = threading.Lock()
    now, most = 0, 0

    def work(_: int) -> bool:
        nonlocal now, most
        with turns.turn():
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.01)
            with lock:
                now -= 1
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))
    assert (now, most) == (0, 2)
