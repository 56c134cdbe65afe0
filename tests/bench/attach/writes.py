"""A shop that is written at random while it is attached and followed, with jobs and OpenSearch killed."""

import json
import random
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import TransportError

from mappings.types import JsonObject
from tests.bench.attach.shop import INDEX, create_shop, read_documents, run, start
from tests.bench.inputs import percentiles

WRITTEN = 2000
"""Products that are written at random."""

TURNS, TURN_SECONDS = 6, 4.0
"""Turns with and without following, and how long each lasts."""

SAMPLING_SECONDS = 240.0
"""Seconds after which no further write is waited for: a busy machine may take long for each."""

THREADS = 8
"""Threads that write: OpenSearch makes each write durable before it answers."""


def measure_writes(
    client: OpenSearch,
    seconds: float,
    writes: float,
    kills: list[str],
    samples: int,
    restart_opensearch: Callable[[], None],
) -> JsonObject:
    """Write at random while the index is attached and followed; return what was lost, and the latencies.

    `kills` says what is killed, evenly spread over the time: "job" or "opensearch".
    """
    create_shop(client, list(read_documents(WRITTEN)))
    writer = Writer(client, writes)
    thread = threading.Thread(target=writer.run, args=(seconds,))
    began = time.monotonic()
    thread.start()
    attach = job = start("attach", INDEX, "--json")
    for number, killed in enumerate(kills, 1):
        time.sleep(max(0.0, began + seconds * number / (len(kills) + 1) - time.monotonic()))
        if killed == "opensearch":
            restart_opensearch()
        else:
            job.send_signal(signal.SIGKILL)
            job.wait()
            if job is attach:
                run("attach", INDEX, "--json")
            job = start("follow", INDEX, "--json")
    if job is attach:
        attach.wait()
        job = start("follow", INDEX, "--json")
    thread.join()
    per_second = round(writer.written / (time.monotonic() - began), 1)
    latencies = measure_latency(client, writer, samples)
    durations = measure_durations(writer, job)
    is_following = job.poll() is None
    job.send_signal(signal.SIGTERM)
    job.wait()
    last = json.loads(run("follow", INDEX, "--once", "--json"))
    client.indices.refresh(index=INDEX)
    lost = altered = without = 0
    for key, expected in writer.expected.items():
        source = client.get(index=INDEX, id=key, ignore=404).get("_source")
        if expected is None:
            altered += source is not None
        elif source is None:
            lost += 1
        else:
            own = source.pop("attune", None)
            altered += source != expected
            without += own is None
    return {
        "written": writer.written,
        "writes_per_second": per_second,
        "writes_repeated": writer.repeated,
        "kills": {what: kills.count(what) for what in ("job", "opensearch")},
        "lost": lost,
        "altered": altered,
        "without_vectors": without,
        "follow_survived": is_following,
        "encoded_at_the_end": last["encoded"],
        "event_to_vector_ms": latencies,
        "write_ms": durations,
    }


def measure_latency(client: OpenSearch, writer: "Writer", samples: int) -> JsonObject:
    """Return milliseconds from a write to a search that finds its vector, while the shop writes on."""
    taken: list[float] = []
    until = time.monotonic() + SAMPLING_SECONDS
    with writer.writing():
        for number in range(samples):
            if time.monotonic() > until:
                break
            key, name = f"latency-{number}", f"Latency mug {number}"
            started = time.perf_counter()
            client.index(index=INDEX, id=key, body={"name": name, "body": "a mug", "maker": {"name": "x"}})
            query = {"bool": {"filter": [{"ids": {"values": [key]}}, {"exists": {"field": "attune.model"}}]}}
            while not client.count(index=INDEX, body={"query": query})["count"]:
                if time.perf_counter() - started > 60:
                    break
                time.sleep(0.02)
            taken.append((time.perf_counter() - started) * 1000)
    return percentiles(taken, 50, 95, 99) | {"samples": len(taken)}


def measure_durations(writer: "Writer", job: "subprocess.Popen[str]") -> JsonObject:
    """Return milliseconds of the shop's writes while the index is followed and while it is not, in turn.

    The job stands still for every other turn.
    """
    taken: dict[str, list[float]] = {"followed": [], "not_followed": []}
    with writer.writing():
        for _ in range(TURNS):
            for name, signum in (("followed", signal.SIGCONT), ("not_followed", signal.SIGSTOP)):
                job.send_signal(signum)
                time.sleep(TURN_SECONDS / 4)  # what the turn before has left over
                writer.take_durations()
                time.sleep(TURN_SECONDS)
                taken[name] += writer.take_durations()
        job.send_signal(signal.SIGCONT)
    return {name: percentiles(durations, 50, 95) for name, durations in taken.items()}


class Writer:
    """A shop's indexers: write anew, update in part and delete at random, and know what must be there.

    Each of the threads has products of its own, so the last write of every product is known.
    """

    def __init__(self, client: OpenSearch, rate: float, threads: int = THREADS) -> None:
        self._stop = threading.Event()
        documents = list(read_documents(WRITTEN))
        self._parts = [
            _PartWriter(client, rate / threads, dict(documents[part::threads]), part, self._stop)
            for part in range(threads)
        ]

    @property
    def expected(self) -> dict[str, JsonObject | None]:
        """Every product that was written as it must be now; None for one that was deleted."""
        return {key: source for part in self._parts for key, source in part.expected.items()}

    @property
    def written(self) -> int:
        """Writes that OpenSearch has accepted."""
        return sum(part.written for part in self._parts)

    @property
    def repeated(self) -> int:
        """Attempts that OpenSearch did not answer or refused for the moment."""
        return sum(part.repeated for part in self._parts)

    def take_durations(self) -> list[float]:
        """Return the milliseconds of each write since the last call."""
        return [part.durations.popleft() for part in self._parts for _ in range(len(part.durations))]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write while the block runs."""
        thread = threading.Thread(target=self.run, args=(3600.0,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._stop.clear()

    def run(self, seconds: float) -> None:
        """Write for so many seconds, or less where the writer is stopped."""
        with ThreadPoolExecutor(len(self._parts)) as pool:
            for done in [pool.submit(part.run, seconds) for part in self._parts]:
                done.result()


class _PartWriter:
    """One thread of a writer. After a time in which OpenSearch was away it catches up with its rate."""

    def __init__(
        self, client: OpenSearch, rate: float, known: dict[str, JsonObject], seed: int, stop: threading.Event
    ) -> None:
        self._client = client
        self._pause = 1 / rate
        self._chance = random.Random(seed)
        self._known = known
        self._keys = list(known)
        self._stop = stop
        self.expected: dict[str, JsonObject | None] = {}
        self.written = self.repeated = 0
        self.durations: deque[float] = deque(maxlen=10_000)

    def run(self, seconds: float) -> None:
        due = time.monotonic()
        until = due + seconds
        while time.monotonic() < until and not self._stop.is_set():
            due += self._pause
            self._stop.wait(max(0.0, due - time.monotonic()))
            began = time.perf_counter()
            self._write(self._chance.choice(self._keys), self.written)
            self.durations.append((time.perf_counter() - began) * 1000)
            self.written += 1

    def _write(self, key: str, turn: int) -> None:
        source: JsonObject | None
        if self._chance.random() < 0.1:
            source = None
            self._repeat(lambda: self._client.delete(index=INDEX, id=key, ignore=404))
        elif self._chance.random() < 0.5 and key in self._known:
            price = {"offers": [{"price": float(turn)}]}
            change = price if turn % 2 else {**price, "name": f"{self._known[key]['name']} {turn}"}
            source = {**self._known[key], **change}
            self._repeat(lambda: self._update(key, change))
        else:
            source = {"name": f"Mug {key} {turn}", "body": "a mug", "maker": {"name": "Potter"}}
            self._repeat(lambda: self._client.index(index=INDEX, id=key, body=source))
        self.expected[key] = source
        if source is None:
            self._known.pop(key, None)
        else:
            self._known[key] = source

    def _update(self, key: str, change: JsonObject) -> None:
        params = {"retry_on_conflict": 10}
        self._client.update(index=INDEX, id=key, body={"doc": change}, params=params)

    def _repeat(self, write: Callable[[], object]) -> None:
        """Write until OpenSearch has accepted it, as every indexer has to: each write may come twice."""
        while True:
            try:
                write()
                return
            except NoConnection:
                pass
            except TransportError as error:
                if error.status_code not in (409, 429, 503):
                    raise
            self.repeated += 1
            time.sleep(0.1)
