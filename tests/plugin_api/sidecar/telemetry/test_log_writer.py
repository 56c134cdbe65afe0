"""A log that nobody reads holds up nothing."""

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from mappings.settings import Settings, SidecarSettings
from plugin_api.sidecar.telemetry.log_writer import LogWriter
from tests.fakes.echo_server import echo_server, status_of, talk

CLOSE = b"Host: shop\r\nConnection: close\r\n\r\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_requests_are_answered_while_nobody_reads_the_log(log_format: str) -> None:
    settings = replace(Settings(), sidecar=SidecarSettings(port=0, threads=2, log_format=log_format))
    with echo_server(settings) as server:  # its log goes into a pipe
        request = b"GET /" + b"x" * 500 + b" HTTP/1.1\r\n" + CLOSE
        for _ in range(400):  # 64 KiB are what a pipe holds
            assert status_of(talk(server.port, request)) == 200
        server.process.terminate()
        _, log = server.process.communicate(timeout=60)
    assert log.count("x" * 500) >= 100


def test_lines_that_pile_up_are_dropped_and_counted(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = LogWriter(writing, most_lines=5)
    lines = 400
    for number in range(lines):
        writer.emit(record(f"{number} {'x' * 1000}"))
    received: list[str] = []
    with closing(os.fdopen(reading, encoding="utf-8")) as log:
        reader = threading.Thread(target=lambda: received.extend(iter(log.readline, "last\n")))
        reader.start()
        writer.flush()
        writer.emit(record("last"))
        reader.join(20)
        assert not reader.is_alive()
    *before, told = received
    dropped = re.fullmatch(r"(\d+) lines of the log were dropped: it was not read in time\n", told)
    assert dropped
    assert int(dropped[1]) == lines - len(before)
    assert [int(line.split()[0]) for line in before] == list(range(len(before)))


def test_a_log_that_is_closed_is_no_error(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    writer = LogWriter(writing)
    writer.emit(record("nobody reads this"))
    writer.flush()
    writer.emit(record("nor this"))


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("attune", logging.INFO, __file__, 0, message, None, None)
