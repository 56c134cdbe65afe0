"""Broken searches at a real sidecar before a real OpenSearch: no crash, nothing of the inside shown, no leak.

Needs a running OpenSearch with the demo's index (`attune demo`).

    python -m tests.bench.fuzz --url http://localhost:9200 --alias products --cases 10000
"""

import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import click
import psutil

from mappings.settings import OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from plugin_api.commands.demo.sidecar_process import choose_free_port
from plugin_api.sidecar.health import health
from tests.bench.inputs import machine
from tests.plugin_api.sidecar.broken_searches import Case, cases

DEFAULTS = Settings()
WARM_UP = 1000
"""Cases before memory is first looked at: by then every path has been taken and every buffer filled once."""

PATIENCE_SECONDS = 300.0
"""How long OpenSearch may be away: deep nesting ends it, and something else has to start it again."""

SECRETS = {"Authorization": "Basic Z2VoZWltZXM6cGFzc3dvcnQ=", "Cookie": "session=geheimer-keks"}
INSIDE = (
    b"Traceback",
    b'File "',
    b"site-packages",
    b"plugin_api",
    b"object at 0x",
    b"Z2VoZWltZXM6",
    b"geheimer-keks",
)
SHOWN = 10
NO_ANSWER = 599
"""Stands for a connection that is closed without an answer, as OpenSearch itself does now and then."""

OWN_ERRORS = ("attune_exception", "status_exception", "cluster_down_exception", "")
"""Types of errors that are the sidecar's; a 500 of any other type was OpenSearch's own."""


@click.command()
@click.option("--url", default=DEFAULTS.opensearch.url, show_default=True, help="OpenSearch.")
@click.option("--alias", default=DEFAULTS.search.alias, show_default=True, help="Alias of the index.")
@click.option("--cases", "number", default=10_000, show_default=True, help="Requests.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same requests.")
def main(url: str, alias: str, number: int, seed: int) -> None:
    """Send broken searches; print one JSON object; fail where one of them is answered as none should be."""
    found = measure(url, alias, number, seed)
    click.echo(json.dumps(found, indent=2))
    sys.exit(1 if found["crashes"] or found["shown_inside"] or found["logged_inside"] else 0)


def measure(url: str, alias: str, number: int, seed: int) -> JsonObject:
    """Count what became of the requests; the sidecar's memory before and after."""
    settings = choose_free_port(
        Settings(
            opensearch=OpenSearchSettings(url=url),
            search=SearchSettings(alias=alias),
            sidecar=SidecarSettings(port=0, log_format="json"),
        )
    )
    statuses: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    crashes: list[JsonObject] = []
    inside: list[JsonObject] = []
    memory: list[float] = []
    slowest, ended = 0.0, 0
    with tempfile.TemporaryFile() as log:
        process = started(settings, log.fileno())
        try:
            at = _Address("localhost", settings.sidecar.port)
            for count, case in enumerate(itertools.islice(cases(seed, alias), number)):
                if count % 500 == 0 and count >= min(WARM_UP, number // 2):
                    memory.append(memory_mb(process.pid))
                began = time.perf_counter()
                status, headers, body = at.ask(case)
                slowest = max(slowest, time.perf_counter() - began)
                kinds[case.kind] += 1
                reranked = dict(headers).get("x-attune-rerank-status", "passed")
                statuses[f"{status} {reranked}"] += 1
                if status == 503 and _wait_for(url):  # the case before may have ended it
                    ended += 1
                    status, headers, body = at.ask(case)
                if status >= 500 and (_error_type(body) in OWN_ERRORS and _of_urls(url).ask(case)[0] < 500):
                    crashes.append(_shown(case, status, body))
                if any(word in body or word in str(headers).encode() for word in INSIDE):
                    inside.append(_shown(case, status, body))
            alive = bool(health(settings.sidecar, 5.0))
            memory.append(memory_mb(process.pid))
        finally:
            process.terminate()
            process.wait(60)
        log.seek(0)
        lines = log.read().splitlines()
    return {
        "measures": "broken searches through `attune serve`",
        "cases": number,
        "seed": seed,
        "kinds": dict(sorted(kinds.items())),
        "answers": dict(sorted(statuses.items())),
        "crashes": len(crashes),
        "shown_inside": len(inside),
        "logged_inside": sum(any(word in line for word in INSIDE[-2:]) for line in lines),
        "logged_errors": sum(json.loads(line)["level"] == "ERROR" for line in lines),
        "alive_at_the_end": alive,
        "opensearch_ended": ended,
        "slowest_seconds": round(slowest, 2),
        "rss_mb": memory[:: max(1, len(memory) // 10)],
        "examples": (crashes + inside)[:SHOWN],
        "machine": machine("uvicorn", "flask", "msgspec"),
    }


class _Address:
    """Where requests go, each on a connection of its own: a broken one must not be the next one's trouble."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    def ask(self, case: Case) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        try:
            connection.request(case.method, case.target, case.body, {**case.headers, **SECRETS})
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        except (http.client.HTTPException, ConnectionError) as error:
            return NO_ANSWER, [], repr(error).encode()
        finally:
            connection.close()


def _error_type(body: bytes) -> str:
    """Type of the error that an answer tells of; empty where it tells of none."""
    try:
        return str(json.loads(body)["error"]["type"])
    except (ValueError, KeyError, TypeError):
        return ""


def _wait_for(url: str) -> bool:
    """Wait while there is no OpenSearch, for whoever starts it again; tell whether there was none."""
    began = time.monotonic()
    probe = Case("", "GET", "/", {}, b"")
    while _of_urls(url).ask(probe)[0] == NO_ANSWER:
        if time.monotonic() > began + PATIENCE_SECONDS:
            raise click.ClickException(f"OpenSearch at {url} ended and nobody started it again")
        time.sleep(0.5)
    return time.monotonic() > began + 0.4


def _of_urls(url: str) -> _Address:
    parts = urlsplit(url)
    return _Address(parts.hostname or "localhost", parts.port or 80)


def started(settings: Settings, log: int) -> subprocess.Popen[bytes]:
    """Start a sidecar that logs to the file descriptor `log`, and wait until it answers."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "plugin_api", "serve"],
        env={**os.environ, **settings.as_environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    while not health(settings.sidecar, 2.0):
        if process.poll() is not None:
            raise click.ClickException("the sidecar did not start; see `attune serve`")
        time.sleep(0.1)
    return process


def memory_mb(pid: int) -> float:
    """Megabytes of the sidecar's processes together."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return round(sum(member.memory_info().rss for member in family) / 1e6, 1)


def _shown(case: Case, status: int, body: bytes) -> JsonObject:
    return {
        "kind": case.kind,
        "request": f"{case.method} {case.target}"[:300],
        "headers": case.headers,
        "body": repr(case.body[:300]),
        "status": status,
        "answer": repr(body[:500]),
    }


if __name__ == "__main__":
    main()
