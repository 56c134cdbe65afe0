"""A well-behaved client, and what the sidecar's processes take meanwhile."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import psutil

from mappings.types import JsonObject
from tests.bench.hostile.attacks import ATTACKED, ATTACKS, SEARCH, Address
from tests.bench.inputs.searches import list_ids

_SPAWN = get_context("spawn")


@dataclass
class Client:
    """Searches one after another, and asks for the sidecar's health beside that.

    `expected` are the ids of the hits, in their order, that a reranked answer has. `unranked` counts the
    others by their `rerank_status`.
    """

    address: Address
    expected: list[str]
    stop: threading.Event = field(default_factory=threading.Event)
    times: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    lost: int = 0
    wrong: int = 0
    unranked: Counter[str] = field(default_factory=Counter)
    unhealthy: int = 0

    def search(self) -> None:
        """Search until told to stop."""
        while not self.stop.wait(0.01):
            began = time.perf_counter()
            answer = ask(self.address, "POST", f"/{ATTACKED}/_search", json.dumps(SEARCH))
            self.times.append(time.perf_counter() - began)
            self.lost += answer is None
            if answer is None:
                continue
            status = rerank_status(answer)
            if status == "reranked":
                self.wrong += list_ids(answer) != self.expected
            else:
                self.unranked[status] += 1

    def check(self) -> None:
        """Ask for the sidecar's health until told to stop."""
        while not self.stop.wait(0.1):
            began = time.perf_counter()
            self.unhealthy += ask(self.address, "GET", "/_attune/health") is None
            self.health.append(time.perf_counter() - began)


def ask(address: Address, method: str, path: str, body: str | None = None) -> JsonObject | None:
    """Return an answer of status 200; None where there is none."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: JsonObject = json.loads(response.read())
        return answer if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def rerank_status(answer: JsonObject) -> str:
    """Return what became of a search; empty where that is not told."""
    return str(answer.get("ext", {}).get("attune", {}).get("rerank_status", ""))


@contextmanager
def attacking(name: str, address: Address) -> Iterator[Callable[[], int]]:
    """Attack from a process of its own while the block runs; yield what tells how many requests were sent."""
    stop, sent = _SPAWN.Event(), _SPAWN.Value("q", 0)
    process = _SPAWN.Process(target=_attack, args=(name, address, stop, sent), daemon=True)
    process.start()
    try:
        yield lambda: sent.value
    finally:
        stop.set()
        process.join(2)
        process.kill()
        process.join()


def _attack(name: str, address: Address, stop: Any, sent: Any) -> None:
    def count(requests: int = 1) -> None:
        with sent.get_lock():
            sent.value += requests

    ATTACKS[name](address, stop, count)


@contextmanager
def running(work: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    """Run work in a thread while the block runs; `stop` ends it."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def watching(master: psutil.Process | None) -> Iterator[list[int]]:
    """Yield a list that grows while the block runs: bytes of memory of the process and all its children.

    Memory that several of them share counts once (PSS).
    """
    samples: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while master is not None and not stop.wait(0.2):
            total = 0
            for process in (master, *master.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += process.memory_full_info().pss
            samples.append(total)

    with running(watch, stop):
        yield samples
