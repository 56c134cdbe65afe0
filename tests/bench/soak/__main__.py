"""Half an hour under mixed load, OpenSearch restarted twice and a worker killed: no wrong answer, no leak.

Needs an embedded node of its own, which it stops and starts, with the demo's catalogue:

    export ATTUNE_HOME=/tmp/soak ATTUNE_OPENSEARCH_URL=http://localhost:9311
    attune up && attune demo --once --port 0
    python -m tests.bench.soak --minutes 30 --attacks

With `--attacks`, hostile clients take turns beside the load, each for ten seconds, but for those whose
requests are more than OpenSearch itself can take. What OpenSearch refuses meanwhile, in its own shape, is
right.

Every answer is compared with what the same request got at the beginning: a reranked page has the order that
it had then; one that is not reranked has OpenSearch's own order, and says why. The index is merged into one
segment first, so that both orders are the same after a restart.
"""

import http.client
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import click
import psutil

from mappings.client import check_cluster, connect
from mappings.settings import Settings, load_settings
from mappings.types import JsonObject
from plugin_api.commands.demo.sidecar_process import choose_free_port, sidecar_url
from plugin_api.sidecar.health import health
from tests.bench.hostile.attacks import ATTACKED, ATTACKS
from tests.bench.hostile.client import attacking
from tests.bench.inputs import machine
from tests.bench.soak.requests import Ask, Client, Expected, Verdict, expected, judge, mix

RESTARTS = (0.27, 0.53)
KILL = 0.75
"""When things are broken, as shares of the time."""

SETTLED_SECONDS = 300.0
"""After a worker's start, until its memory is first compared; a third of the time where that is shorter."""

SAMPLE_SECONDS = 15.0
GRACE_SECONDS = 10.0
"""After OpenSearch serves again: what it refuses for a moment is still the restart's."""

ATTACK_SECONDS = 10.0
"""For which each attack lasts, and for which the next one waits."""

LEFT_OUT = ("huge_searches", "many_clauses", "packed_searches", "long_lists")
"""Attacks on OpenSearch itself: it is as slow, or runs out of memory, without a sidecar."""

KILL_SECONDS = 5.0
"""After a worker's end, until every kept connection to it has been found broken."""

WEIGHTS = {
    "search": 40, "filter": 15, "page 2": 8, "end of the window": 4, "msearch": 6, "document": 8, "head": 4,
    "cat": 4, "count": 4, "error": 7,
}  # fmt: skip
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Broken:
    """A time in which something was broken on purpose; seconds since the start."""

    what: str
    began: float
    ended: float = float("inf")
    may_break_connections: bool = True


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="How long.")
@click.option("--rate", default=20.0, show_default=True, help="Requests a second, all clients together.")
@click.option("--clients", default=6, show_default=True, help="Clients, each with one kept connection.")
@click.option("--workers", default=2, show_default=True, help="Worker processes of the sidecar.")
@click.option("--attacks", is_flag=True, help="Attack the sidecar meanwhile.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same requests.")
def main(minutes: float, rate: float, clients: int, workers: int, attacks: bool, seed: int) -> None:
    """Serve for a while and break things; print one JSON object; fail where an answer was wrong."""
    settings = load_settings(None, os.environ)
    settings = choose_free_port(replace(settings, sidecar=replace(settings.sidecar, port=0, workers=workers)))
    found = Soak(settings, minutes * 60, rate, clients, seed).run(attacks)
    click.echo(json.dumps(found, indent=2))
    sys.exit(1 if found["wrong"] or found["clients_that_broke"] else 0)


class Soak:
    """One run."""

    def __init__(self, settings: Settings, seconds: float, rate: float, clients: int, seed: int) -> None:
        self._settings, self._seconds, self._rate = settings, seconds, rate
        self._clients, self._seed = clients, seed
        self._url = sidecar_url(settings.sidecar)
        self._lock = threading.Lock()
        self._outcomes: dict[str, Counter[str]] = {}
        self._broken: list[Broken] = []
        self._wrong: list[JsonObject] = []
        self._wrong_count, self._finished = 0, 0
        self._times: list[float] = []
        self._samples: list[JsonObject] = []
        self._began, self._hostile = 0.0, 0

    def run(self, attacks: bool = False) -> JsonObject:
        """Serve, load, break, count."""
        facts = machine("uvicorn", "flask", "onnxruntime")
        facts["opensearch"], ids = self._prepared()
        with tempfile.TemporaryFile() as log:
            with _served(self._settings, log) as process:
                asks = self._expectations(ids)
                self._began = time.monotonic()
                threads = [
                    threading.Thread(target=self._load, args=(asks, number))
                    for number in range(self._clients)
                ]
                if attacks:
                    threads.append(threading.Thread(target=self._attack))
                for thread in threads:
                    thread.start()
                self._break_things(process.pid)
                for thread in threads:
                    thread.join()
                self._sample(process.pid)
                alive = bool(health(self._settings.sidecar, 5.0))
                metrics = _unranked(Client(self._url))
            log.seek(0)
            logged = Counter(
                json.loads(line)["level"] for line in log.read().splitlines() if line[:1] == b"{"
            )
        return {
            "measures": "mixed load through `attune serve`, OpenSearch restarted twice, a worker killed",
            "minutes": round(self._seconds / 60, 1),
            "requests": sum(map(Counter.total, self._outcomes.values())),
            "requests_per_second": self._rate,
            "hostile_requests": self._hostile,
            "wrong": self._wrong_count,
            "wrong_examples": self._wrong,
            "outcomes": {kind: dict(counts) for kind, counts in sorted(self._outcomes.items())},
            "broken": [asdict(broken) for broken in self._broken],
            "clients_that_broke": self._clients - self._finished,
            "alive_at_the_end": alive,
            "reranked_or_not_in_metrics": metrics,
            "logged": dict(logged),
            "search_p50_ms": round(sorted(self._times)[len(self._times) // 2], 1),
            "memory": _growth(self._samples, min(SETTLED_SECONDS, self._seconds / 3)),
            "samples": self._samples[:: max(1, len(self._samples) // 30)],
            "machine": facts,
        }

    def _prepared(self) -> tuple[str, list[str]]:
        client = connect(self._settings.opensearch)
        version = check_cluster(client, self._settings.opensearch)
        alias = self._settings.search.alias
        client.indices.forcemerge(index=alias, params={"max_num_segments": 1}, request_timeout=300)
        client.indices.flush(index=alias)
        for index in client.indices.get_alias(name=alias):
            client.indices.put_alias(index=index, name=ATTACKED)
        found = client.search(index=alias, body={"size": 20, "_source": False})
        client.close()
        return version, [hit["_id"] for hit in found["hits"]["hits"]]

    def _expectations(self, ids: list[str]) -> dict[str, list[tuple[Ask, Expected]]]:
        sidecar, direct = Client(self._url), Client(self._settings.opensearch.url)
        asks = mix(self._settings.search.alias, ids)
        found = {kind: [(ask, expected(ask, sidecar, direct)) for ask in same] for kind, same in asks.items()}
        sidecar.close()
        direct.close()
        return found

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _load(self, asks: dict[str, list[tuple[Ask, Expected]]], number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        client = Client(self._url)
        kinds = list(asks)
        while self._now() < self._seconds:
            kind = chance.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
            ask, right = chance.choice(asks[kind])
            began = self._now()
            try:
                reply = client.send(ask)
            except (OSError, http.client.HTTPException) as error:
                verdict = self._lost(began, error)
            else:
                verdict = judge(ask, right, reply, bool(self._breaking(began, self._now())))
            self._note(ask, verdict, began, self._now())
            time.sleep(
                max(0.0, chance.uniform(0.5, 1.5) * self._clients / self._rate - (self._now() - began))
            )
        client.close()
        with self._lock:
            self._finished += 1

    def _lost(self, began: float, error: Exception) -> Verdict:
        """A connection that broke is right where its worker, or OpenSearch under its answer, was ended."""
        during = self._breaking(began, self._now(), connections=True)
        return Verdict(
            f"connection lost, {during}" if during else "connection lost",
            "" if during else f"{type(error).__name__} with nothing broken",
        )

    def _breaking(self, began: float, ended: float, connections: bool = False) -> str:
        """What was broken at some time between two moments, so that `connections` may break."""
        with self._lock:
            times = (b for b in self._broken if b.may_break_connections or not connections)
            return next((b.what for b in times if b.began <= ended and began <= b.ended), "")

    def _attack(self) -> None:
        """Attack in one way after the other."""
        parts = urlsplit(self._url)
        address = parts.hostname or "localhost", parts.port or 80
        for name in itertools.cycle([name for name in ATTACKS if name not in LEFT_OUT]):
            broken = self._while_broken(f"attacked by {name}", GRACE_SECONDS / 2, may_break_connections=False)
            with broken, attacking(name, address) as sent:
                self._wait(ATTACK_SECONDS)
                self._hostile += sent()
            self._wait(ATTACK_SECONDS)
            if self._now() >= self._seconds:
                return

    def _wait(self, seconds: float) -> None:
        time.sleep(max(0.0, min(seconds, self._seconds - self._now())))

    def _note(self, ask: Ask, verdict: Verdict, began: float, ended: float) -> None:
        with self._lock:
            self._outcomes.setdefault(ask.kind, Counter())[verdict.outcome] += 1
            if ask.kind == "search":
                self._times.append((ended - began) * 1000)
            if verdict.wrong:
                self._wrong_count += 1
                if len(self._wrong) < SHOWN:
                    request = f"{ask.method} {ask.target} {ask.body[:200].decode()}"
                    self._wrong.append(
                        {"at": round(began, 1), "kind": ask.kind, "why": verdict.wrong, "request": request}
                    )

    def _break_things(self, master: int) -> None:
        """Restart OpenSearch twice and kill a worker when their times come; sample memory in between."""
        steps = [*((share, self._restart) for share in RESTARTS), (KILL, lambda: self._kill(master))]
        next_sample = 0.0
        while self._now() < self._seconds:
            if steps and self._now() >= steps[0][0] * self._seconds:
                steps.pop(0)[1]()
            if self._now() >= next_sample:
                self._sample(master)
                next_sample = self._now() + SAMPLE_SECONDS
            time.sleep(0.2)

    @contextmanager
    def _while_broken(self, what: str, grace: float, may_break_connections: bool = True) -> Iterator[None]:
        broken = Broken(what, self._now(), may_break_connections=may_break_connections)
        with self._lock:
            self._broken.append(broken)
        yield
        with self._lock:
            self._broken[self._broken.index(broken)] = replace(broken, ended=self._now() + grace)
        click.echo(f"{self._now():.0f} s: {what}; wrong so far: {self._wrong_count}", err=True)

    def _restart(self) -> None:
        with self._while_broken("OpenSearch restarted", GRACE_SECONDS):
            for command in ("down", "up"):
                subprocess.run(
                    [sys.executable, "-P", "-m", "plugin_api", command],
                    env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
                    stdout=subprocess.DEVNULL,
                    check=True,
                )

    def _kill(self, master: int) -> None:
        with self._while_broken("a worker killed", KILL_SECONDS):
            psutil.Process(master).children()[0].kill()

    def _sample(self, master: int) -> None:
        workers: JsonObject = {}
        for process in (psutil.Process(master), *psutil.Process(master).children()):
            with suppress(psutil.NoSuchProcess):
                memory = process.memory_full_info()
                workers[str(process.pid)] = {
                    "rss_mb": round(memory.rss / 1e6, 1),
                    "pss_mb": round(memory.pss / 1e6, 1),
                    "files": process.num_fds(),
                    "threads": process.num_threads(),
                }
        self._samples.append({"at": round(self._now(), 1), "processes": workers})


def _growth(samples: list[JsonObject], settled: float) -> JsonObject:
    """Each process that lives at the end: its figures once settled, at their highest, and at the end."""
    found: JsonObject = {}
    for pid, last in samples[-1]["processes"].items():
        mine = [(sample["at"], sample["processes"][pid]) for sample in samples if pid in sample["processes"]]
        first = next((figures for at, figures in mine if at >= mine[0][0] + settled), mine[0][1])
        highest = {name: max(figures[name] for _, figures in mine) for name in last}
        found[pid] = {"settled": first, "highest": highest, "end": last, "seconds": mine[-1][0] - mine[0][0]}
    return found


def _unranked(client: Client) -> dict[str, float]:
    """Searches by what became of them, as the sidecar's own metrics count them (of living workers)."""
    lines = client.send(Ask("metrics", "GET", "/_attune/metrics")).body.decode().splitlines()
    client.close()
    pairs = (line.rpartition(" ") for line in lines if line.startswith("attune_search_seconds_count"))
    return {name.partition("{")[2].rstrip("}"): float(value) for name, _, value in pairs}


@contextmanager
def _served(settings: Settings, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    environment = replace(settings, sidecar=replace(settings.sidecar, log_format="json")).as_environment()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "plugin_api", "serve"],
        env={**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    try:
        while not health(settings.sidecar, 2.0):
            if process.poll() is not None:
                raise click.ClickException("the sidecar did not start; see `attune serve`")
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main()
