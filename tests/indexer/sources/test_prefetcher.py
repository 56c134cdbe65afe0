import queue
import threading
from collections.abc import Iterator

import pytest

from indexer.sources.prefetcher import EndOfStream, Prefetcher


def test_elements_come_in_order_from_another_thread() -> None:
    threads = []

    def source() -> Iterator[int]:
        for number in range(100):
            threads.append(threading.current_thread())
            yield number

    with Prefetcher(source(), 3) as elements:
        assert list(elements) == list(range(100))
    assert threading.current_thread() not in threads


def test_it_runs_no_further_ahead_than_told() -> None:
    started = []

    def source() -> Iterator[int]:
        for number in range(100):
            started.append(number)
            yield number

    with Prefetcher(source(), 2) as elements:
        assert elements.get() == 0
        for _ in range(50):
            threading.Event().wait(0.01)
            if len(started) >= 4:
                break
        threading.Event().wait(0.15)
        assert len(started) == 4  # one taken, two queued, one waiting to be


def test_an_error_comes_after_what_preceded_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with Prefetcher(source(), 5) as ahead:
        elements = iter(ahead)
        assert next(elements) == 1
        with pytest.raises(ValueError, match="broken"):
            next(elements)


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()

    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    source = endless()  # held, so that it is not merely collected
    with Prefetcher(source, 1) as elements:
        elements.get()
    assert threading.active_count() == before
    assert closed.is_set()


def test_an_element_is_waited_for_as_long_as_told_and_so_is_a_stuck_source() -> None:
    before = set(threading.enumerate())
    go_on = threading.Event()

    def stuck() -> Iterator[int]:
        yield 1
        assert go_on.wait(60)
        yield 2

    with Prefetcher(stuck(), 1, close_seconds=0.01) as elements:
        assert elements.get() == 1
        with pytest.raises(queue.Empty):
            elements.get(0.01)
    (thread,) = set(threading.enumerate()) - before
    go_on.set()
    thread.join(60)
    assert not thread.is_alive()


def test_the_end_comes_after_the_last_element() -> None:
    with Prefetcher(iter([1]), 1) as elements:
        assert elements.get() == 1
        assert elements.get() == EndOfStream(None)
