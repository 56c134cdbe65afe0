"""Jobs told to end by SIGTERM at random moments: how they end, and what they leave.

    python -m tests.bench.terminations --times 100

Each command runs against an OpenSearch in memory, with the shipped model. The moment is drawn from the time
that an undisturbed run takes, counted from the lock. A job ends in good order with status 1, or 0 where it
was done already, and its locks are released. A signal after the job has its usual effect, status -15.
Anything else is reported as `first_odd`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from indexer.store.jobs_index import JOBS_INDEX
from tests.fakes.memory_opensearch import MemoryOpenSearch
from tests.fakes.memory_server import serve_memory

ROOT = Path(__file__).parents[2]
ALIAS = "shop"
JOB_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Command:
    """A command that encodes, and the lock by which its job is known to run."""

    arguments: tuple[str, ...]
    lock: str


@dataclass(slots=True)
class Counts:
    """Exit statuses of the terminated runs, locks that were left, and the first odd output."""

    statuses: Counter[int] = field(default_factory=Counter)
    locks_left: int = 0
    seconds: list[float] = field(default_factory=list)
    odd: str = ""


def write_inputs(folder: Path, products: int) -> None:
    """Write a catalogue, an older one of half of it, and changes with new text."""
    rows = [{"id": str(n), "title": f"Mug of colour {n}", "color": "blue"} for n in range(products)]
    changed = [{**row, "title": f"Cup of colour {row['id']}"} for row in rows]
    for name, records in (("full", rows), ("old", rows[: products // 2]), ("changes", changed)):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(text)


COMMANDS = {
    "index --full": Command(("index", "full.jsonl"), "rebuild"),
    "index --changes": Command(("index", "changes.jsonl", "--changes"), "changes"),
    "index --reencode": Command(("index", "--reencode"), "rebuild"),
    "rollback": Command(("rollback",), "rebuild"),
}


def start(url: str, folder: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start a command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTUNE_OPENSEARCH_URL": url}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "plugin_api", *arguments, "--alias", ALIAS, "--json"],
        env={**environment, "ATTUNE_INDEX_BATCH": "16"},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(url: str, folder: Path, *arguments: str) -> None:
    """Run a command to its end."""
    process = start(url, folder, arguments)
    _, errors = process.communicate(timeout=JOB_SECONDS)
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}: {errors}")


def prepare(url: str, folder: Path, memory: MemoryOpenSearch, name: str) -> None:
    """Make what a command begins with: nothing, an index, or two indexes with changes to carry back."""
    memory.indexes.clear()
    memory.aliases.clear()
    if name != "index --full":
        run(url, folder, "index", "old.jsonl")
    if name == "index --reencode":  # by another model: nothing can be reused
        for index in memory.indexes.values():
            for document in index.entries.values():
                if "attune" in document.source:
                    document.source["attune"]["model"] = "another"
    if name == "rollback":
        run(url, folder, "index", "full.jsonl")
        run(url, folder, "index", "changes.jsonl", "--changes")
        for index in memory.indexes.values():  # changes that must be encoded again
            for document in index.entries.values():
                if document.source.get("attune", {}).get("changed"):
                    document.source["attune"]["hash"] = "another"


def locks(memory: MemoryOpenSearch) -> list[str]:
    """Return the locks that are held."""
    index = memory.indexes.get(JOBS_INDEX)
    return [key for key in list(index.entries) if key.startswith("lock:")] if index else []


def terminate(name: str, times: int, products: int, chance: random.Random) -> Counts:
    """Terminate a command at random moments."""
    counts = Counts()
    command = COMMANDS[name]
    with tempfile.TemporaryDirectory() as path, serve_memory() as (url, memory):
        folder = Path(path)
        write_inputs(folder, products)
        prepare(url, folder, memory, name)
        saved = memory.copy_state()
        duration = 0.0
        for number in range(times + 1):
            memory.restore_state(saved)
            process = start(url, folder, command.arguments)
            while process.poll() is None and f"lock:{ALIAS}:{command.lock}" not in locks(memory):
                time.sleep(0.002)
            began = time.monotonic()
            if number:  # the first runs undisturbed
                time.sleep(chance.uniform(0, duration))
                process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            output, errors = process.communicate(timeout=JOB_SECONDS)
            if not number:
                duration = time.monotonic() - began
                continue
            counts.statuses[process.returncode] += 1
            counts.seconds.append(round(time.monotonic() - told, 2))
            counts.locks_left += bool(locks(memory))
            if process.returncode not in (0, 1, -signal.SIGTERM) or locks(memory):
                counts.odd = counts.odd or f"{process.returncode}: {errors[-500:]}{output[-200:]}"
    return counts


@click.command()
@click.option("--times", default=100, show_default=True, help="Terminations of each command.")
@click.option("--products", default=400, show_default=True, help="Products of the catalogue.")
@click.option("--seed", default=1, show_default=True, help="The same seed draws the same moments.")
@click.option("--only", type=click.Choice(list(COMMANDS)), help="One command.")
def main(times: int, products: int, seed: int, only: str | None) -> None:
    """Terminate each command; print the counts as JSON; fail where one did not end in good order."""
    chance = random.Random(seed)
    report = {}
    for name in [only] if only else COMMANDS:
        counts = terminate(name, times, products, chance)
        report[name] = {
            "statuses": {str(status): count for status, count in sorted(counts.statuses.items())},
            "locks_left": counts.locks_left,
            "longest_seconds": max(counts.seconds),
            **({"first_odd": counts.odd} if counts.odd else {}),
        }
        click.echo(json.dumps({name: report[name]}), err=True)
    click.echo(json.dumps(report, indent=2))
    sys.exit(1 if any("first_odd" in found for found in report.values()) else 0)


if __name__ == "__main__":
    main()
