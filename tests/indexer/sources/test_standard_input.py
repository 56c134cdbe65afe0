import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from indexer.catalogue.records import Record, Reject
from indexer.sources.change_stream import batch_by_time
from indexer.sources.standard_input import StandardInput
from mappings.errors import CatalogueError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The reading and the writing end of a pipe."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        yield source, sink


def test_lines_come_one_by_one(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    stream, producer = pipe
    source = StandardInput(stream)
    started = source.moment_ms
    records = source.records()
    for number in range(3):
        producer.write(b'{"id": ')
        producer.write(b'"%d"}\n' % number)
        record = next(records)  # would wait for ever if a line were held back
        assert isinstance(record, Record)
        assert record.values == {"id": str(number)}
        assert record.line == number + 1
        assert source.moment_ms >= started
    producer.write(b'{"id": \n\xff\n\n"text"\n{"id": "last"}')
    producer.close()
    rest = list(records)
    assert [(record.line, type(record)) for record in rest] == [
        (4, Reject),
        (5, Reject),
        (7, Reject),
        (8, Record),
    ]
    assert source.name == "standard input"


def test_columns_wait_for_the_first_record_only_and_lose_nothing(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    stream, producer = pipe
    source = StandardInput(stream)
    producer.write(b'oops\n{"id": "1", "price": 2}\n')
    assert source.columns() == ("id", "price")
    assert source.columns() == ("id", "price")
    assert source.missing(["title"]) == ()
    producer.write(b'{"id": "2"}\n')
    producer.close()
    assert [record.line for record in source.records()] == [1, 2, 3]
    assert StandardInput(stream).columns() == ()


def test_an_array_is_named(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    stream, producer = pipe
    producer.write(b'[{"id": "1"},\n')
    with pytest.raises(CatalogueError, match="standard input is one JSON array"):
        next(StandardInput(stream).records())


def test_a_pause_of_the_producer_flushes_the_batch(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    stream, producer = pipe
    found = batch_by_time(StandardInput(stream).records(), 1000, 0.05)
    for portion in (3, 2):
        producer.write(b'{"id": "x"}\n' * portion)
        taken = 0
        while taken < portion:
            taken += len(next(found))
        assert taken == portion
    producer.close()
    assert list(found) == []


def test_it_can_be_stopped_while_it_waits(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    stream, producer = pipe
    stop = threading.Event()
    producer.write(b'{"id": "1"}\n')
    records = StandardInput(stream, stop).records()
    assert isinstance(next(records), Record)
    threading.Timer(0.1, stop.set).start()
    assert list(records) == []


def test_a_file_can_be_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"id": n}) + "\n" for n in range(20_000)))
    with path.open("rb") as file:
        assert sum(1 for _ in StandardInput(file).records()) == 20_000


CONSUMER = """
import sys
from indexer.sources.change_stream import batch_by_time
from indexer.sources.standard_input import StandardInput
for batch in batch_by_time(StandardInput(sys.stdin.buffer).records(), 100, 0.05):
    print(len(batch), flush=True)
"""


def test_ctrl_c_ends_a_waiting_consumer() -> None:
    command = [sys.executable, "-c", CONSUMER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as consumer:
        assert consumer.stdin
        assert consumer.stdout
        assert consumer.stderr
        consumer.stdin.write(b'{"id": "1"}\n')
        consumer.stdin.flush()
        assert consumer.stdout.readline() == b"1\n"
        time.sleep(0.2)
        consumer.send_signal(signal.SIGINT)
        assert consumer.wait(timeout=60) == -signal.SIGINT
        errors = consumer.stderr.read()
        assert b"KeyboardInterrupt" in errors
        assert b"Fatal Python error" not in errors
