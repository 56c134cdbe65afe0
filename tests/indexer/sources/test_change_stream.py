import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.sources.change_stream import ChangeStream, batch_by_time
from indexer.sources.files import open_catalogue
from mappings.errors import CatalogueError


def test_full_batches_and_what_is_left() -> None:
    assert list(batch_by_time(iter(range(7)), 3, 60)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batch_by_time(iter([]), 3, 60)) == []


def test_a_pause_flushes_what_there_is() -> None:
    go_on = threading.Event()

    def paused() -> Iterator[int]:
        yield 1
        yield 2
        assert go_on.wait(60)  # the batch must be out before the third comes
        yield 3

    found = batch_by_time(paused(), 100, 0.05)
    assert next(found) == [1, 2]
    go_on.set()
    assert list(found) == [[3]]


def test_a_steady_trickle_flushes_too() -> None:
    def trickle() -> Iterator[int]:
        for number in range(40):
            time.sleep(0.01)
            yield number

    found = list(batch_by_time(trickle(), 1000, 0.05))
    assert len(found) > 1
    assert [number for batch in found for number in batch] == list(range(40))


def test_an_error_comes_after_what_preceded_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    found = batch_by_time(broken(), 10, 60)
    assert next(found) == [1]
    with pytest.raises(ValueError, match="broken"):
        next(found)


def test_leaving_early_ends_the_thread() -> None:
    before = set(threading.enumerate())

    def endless() -> Iterator[int]:
        while True:
            yield 1

    found = batch_by_time(endless(), 10, 60)
    assert next(found) == [1] * 10
    found.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_a_stream_of_a_file_raises_its_failure(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("[{")
    stream = ChangeStream(open_catalogue(tmp_path / "a.jsonl"))
    stream.ack()
    with pytest.raises(CatalogueError, match="cut off") as raised:
        list(stream.source.records())
    with pytest.raises(CatalogueError) as again:
        stream.nack(raised.value)
    assert again.value is raised.value
