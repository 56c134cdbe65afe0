import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugin_api.sidecar.concurrency_limiter import AtCapacity, ConcurrencyLimiter


def test_a_slot_is_free_again_when_its_block_ends() -> None:
    limiter = ConcurrencyLimiter(1, 0, 0.0)
    for _ in range(3):
        with limiter.slot():
            pass
    with pytest.raises(ZeroDivisionError), limiter.slot():
        raise ZeroDivisionError
    with limiter.slot():
        pass


def test_a_call_without_a_place_is_refused_at_once() -> None:
    limiter = ConcurrencyLimiter(1, 0, 3600.0)
    with limiter.slot(), pytest.raises(AtCapacity), limiter.slot():
        pytest.fail("the only place was taken")


def test_a_call_that_waits_too_long_is_refused_and_frees_its_place() -> None:
    limiter = ConcurrencyLimiter(1, 1, 0.01)
    for _ in range(3):
        with limiter.slot(), pytest.raises(AtCapacity), limiter.slot():
            pytest.fail("the only slot was taken")
    with limiter.slot():
        pass


def test_no_more_calls_run_than_may_and_all_that_wait_run() -> None:
    limiter = ConcurrencyLimiter(2, 6, 60.0)
    both_run = threading.Barrier(2, timeout=60)
    lock = threading.Lock()
    running, most = 0, 0

    def work(_: int) -> bool:
        nonlocal running, most
        with limiter.slot():
            with lock:
                running += 1
                most = max(most, running)
            both_run.wait()  # until another call runs beside this one
            with lock:
                running -= 1
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))
    assert (running, most) == (0, 2)
