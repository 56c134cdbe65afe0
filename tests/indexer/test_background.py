import threading
from collections.abc import Iterator

import pytest

from indexer.background import Ahead


def test_elements_come_in_order_from_another_thread() -> None:
    threads = []

    def source() -> Iterator[int]:
        for number in range(100):
            threads.append(threading.current_thread())
            yield number

    with Ahead(source(), 3) as elements:
        assert list(elements) == list(range(100))
    assert threading.current_thread() not in threads


def test_it_runs_no_further_ahead_than_told() -> None:
    started = []

    def source() -> Iterator[int]:
        for number in range(100):
            started.append(number)
            yield number

    with Ahead(source(), 2) as elements:
        assert next(elements) == 0
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

    with Ahead(source(), 5) as elements:
        assert next(elements) == 1
        with pytest.raises(ValueError, match="broken"):
            next(elements)


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()

    def endless() -> Iterator[int]:
        while True:
            yield 1

    with Ahead(endless(), 1) as elements:
        next(elements)
    assert threading.active_count() == before
