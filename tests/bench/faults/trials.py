"""Indexing jobs that are broken on purpose, and whether the index is the one of an undisturbed run.

Two kinds of job, as the command line starts them, with the real model:

- `rebuild`: a catalogue over an index of half of it, to which changes came later than the catalogue was made.
  So half of the vectors are there, half are encoded, and the changes have to be brought along.
- `changes`: a file of upserts, partial updates and deletes, products coming again in it, over such an index.
"""

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from opensearchpy import OpenSearch
from opensearchpy.exceptions import TransportError
from opensearchpy.helpers import scan

from indexer.store.jobs_index import JOBS_INDEX
from mappings.types import JsonObject
from plugin_api.commands.demo.catalogue import CATALOGUE, FIELD_MAP, PRODUCTS

Kind = Literal["rebuild", "changes"]
Fingerprints = dict[str, tuple[int, str]]
"""Id → version and a hash of `_source`."""

ROOT = Path(__file__).parents[3]
CATALOGUE_MS = 1_700_000_000_000
TRIES = 5
JOB_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """One broken job: what was done to it at which share of its work, and how it ended.

    `runs` is how often it was started; of the last run `resumed` and `encoded` are its own words.
    """

    kind: Kind
    what: str
    share: float
    runs: int
    seconds: float
    resumed: bool
    encoded: int
    different: int
    left_over: int


@dataclass
class Reference:
    """An undisturbed run: the index, how long it worked, and its report."""

    documents: Fingerprints
    seconds: float
    report: JsonObject


@dataclass
class Trials:
    """Jobs against one OpenSearch that is theirs alone. `products` are those of the catalogue."""

    url: str
    folder: Path
    products: int
    batch: int = 64
    references: dict[Kind, Reference] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = OpenSearch(self.url, timeout=60)

    def prepare(self) -> None:
        """Make inputs, the index that every trial begins with, and the undisturbed runs."""
        self._write_inputs()
        self.client.indices.delete(index="faultbase", params={"ignore_unavailable": "true"})
        self._reset("rebuild")
        self.run("rebuild", self._command("rebuild", "half.jsonl"))
        self.run("rebuild", self._command("changes", "before.jsonl", "rebuild"))
        (base,) = self.client.indices.get_alias(name="rebuild")
        self._clone(base, "faultbase")
        for kind in ("rebuild", "changes"):
            self._reset(kind)
            seconds, report = self.run(kind, self._command(kind, INPUTS[kind]))
            self.references[kind] = Reference(self.documents(kind), seconds, report)

    def remove(self) -> None:
        """Leave no index of the trials."""
        for name in ("rebuild-*", "changes-*", "faultbase"):
            self.client.indices.delete(index=name, params={"ignore_unavailable": "true"})
        self.client.close()

    def kill_job(self, kind: Kind, share: float) -> Outcome:
        """Kill a job at a share of its work, and start it again until it is done."""
        while True:
            began = time.monotonic()
            self._reset(kind)
            process = self._start(self._command(kind, INPUTS[kind]))
            self._reach(kind, process, share)
            process.kill()
            process.communicate()
            if process.returncode == -signal.SIGKILL:
                break
            share *= 0.85  # it ended sooner than the undisturbed one
        runs = 1
        while True:
            runs += 1
            process = self._start(self._command(kind, INPUTS[kind]))
            said, _ = process.communicate(timeout=JOB_SECONDS)
            if process.returncode == 0 or runs > TRIES:
                break
        return self._outcome(kind, "job killed", share, runs, began, process.returncode, said)

    def disturb(
        self, kind: Kind, what: str, share: float, disturbance: Callable[[], None], url: str = ""
    ) -> Outcome:
        """Do something to what a job needs, at a share of its work; the job has to go on by itself."""
        began = time.monotonic()
        self._reset(kind)
        process = self._start(self._command(kind, INPUTS[kind]), url)
        self._reach(kind, process, share)
        breaking = threading.Thread(target=disturbance)
        breaking.start()
        said, _ = process.communicate(timeout=JOB_SECONDS)
        breaking.join()
        return self._outcome(kind, what, share, 1, began, process.returncode, said)

    def run(self, kind: Kind, command: list[str]) -> tuple[float, JsonObject]:
        """Run a job to its end; return how long it worked, and its report."""
        process = self._start(command)
        began = self._reach(kind, process, 0.0)
        said, _ = process.communicate(timeout=JOB_SECONDS)
        if process.returncode:
            raise RuntimeError(f"an undisturbed job ended with {process.returncode}")
        return time.monotonic() - began, json.loads(said)

    def documents(self, alias: str) -> Fingerprints:
        """Return what an alias holds."""
        self.client.indices.refresh(index=alias)
        return {
            hit["_id"]: (
                hit["_version"],
                hashlib.sha256(json.dumps(hit["_source"], sort_keys=True).encode()).hexdigest(),
            )
            for hit in scan(self.client, index=alias, query={"version": True}, size=250)
        }

    def _outcome(
        self, kind: Kind, what: str, share: float, runs: int, began: float, status: int, said: str
    ) -> Outcome:
        report = json.loads(said) if status == 0 else {}
        expected, found = self.references[kind].documents, self.documents(kind)
        different = sum(expected.get(key) != found.get(key) for key in expected.keys() | found.keys())
        indexes = self.client.indices.get(index=f"{kind}-*")
        kept = {report.get("index", ""), *report.get("kept", ())}
        return Outcome(
            kind=kind,
            what=what if status == 0 else f"{what}; ended with {status}",
            share=round(share, 3),
            runs=runs,
            seconds=round(time.monotonic() - began, 1),
            resumed=bool(report.get("resumed")),
            encoded=int(report.get("encoded", -1)),
            different=different,
            left_over=len(indexes.keys() - kept) if kind == "rebuild" else 0,
        )

    def _reach(self, kind: Kind, process: subprocess.Popen[str], share: float) -> float:
        """Wait until a job has begun its work, and then for a share of the time that it takes."""
        lock = f"lock:{kind}:{kind}"
        while process.poll() is None and not self._exists(lock):
            time.sleep(0.02)
        began = time.monotonic()
        if share and process.poll() is None:
            reference = self.references[kind].seconds
            while process.poll() is None and time.monotonic() - began < share * reference:
                time.sleep(0.005)
        return began

    def _exists(self, key: str) -> bool:
        try:
            return bool(self.client.exists(index=JOBS_INDEX, id=key))
        except TransportError:  # the index was just made
            return False

    def _start(self, command: list[str], url: str = "") -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ATTUNE_OPENSEARCH_URL": url or self.url,
            "ATTUNE_OPENSEARCH_TIMEOUT_SECONDS": "5" if url else "60",
            "ATTUNE_INDEX_BATCH": str(self.batch),
        }
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=self.folder)

    def _command(self, mode: Kind, source: str, alias: str = "") -> list[str]:
        command = [sys.executable, "-P", "-m", "plugin_api", "index", str(self.folder / source), "--json"]
        given = ["--fields", str(self.folder / "fields.toml"), "--alias", alias or mode]
        return [*command, *given, *(["--changes"] if mode == "changes" else [])]

    def _reset(self, kind: Kind) -> None:
        """Give an alias the index that every trial begins with, and forget what trials before deleted."""
        indices = self.client.indices
        indices.delete(index=f"{kind}-*", params={"ignore_unavailable": "true"})
        if not indices.exists(index="faultbase"):
            return
        self._clone("faultbase", f"{kind}-00000000000000000")
        note = indices.get_mapping(index=f"{kind}-*")[f"{kind}-00000000000000000"]["mappings"]["_meta"]
        note["attune"]["alias"] = kind
        indices.put_mapping(index=f"{kind}-*", body={"_meta": note})
        indices.put_alias(index=f"{kind}-00000000000000000", name=kind)
        if kind == "changes":
            query = {"bool": {"filter": [{"term": {"kind": "tombstone"}}, {"term": {"alias": kind}}]}}
            indices.refresh(index=JOBS_INDEX)
            self.client.delete_by_query(index=JOBS_INDEX, body={"query": query}, params={"refresh": "true"})

    def _clone(self, index: str, target: str) -> None:
        indices = self.client.indices
        block = "index.blocks.write"
        indices.put_settings(index=index, body={block: True})
        indices.clone(index=index, target=target, body={"settings": {block: None}})
        self.client.cluster.health(index=target, params={"wait_for_status": "yellow"})

    def _write_inputs(self) -> None:
        (self.folder / "fields.toml").write_bytes(FIELD_MAP.read_bytes())
        wanted = {number * PRODUCTS // self.products for number in range(self.products)}
        with gzip.open(CATALOGUE, "rt", encoding="utf-8") as lines:
            products = [json.loads(line) for number, line in enumerate(lines) if number in wanted]
        self._write("half.jsonl", products[::2], 0)
        self._write("catalogue.jsonl", products, 1000)
        self._write("before.jsonl", _changes(products[::4], 1), 2000)
        self._write("changes.jsonl", _changes(products[::2], 2), 3000)

    def _write(self, name: str, records: list[JsonObject], at: int) -> None:
        path = self.folder / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        os.utime(path, ns=((CATALOGUE_MS + at) * 1_000_000,) * 2)


INPUTS: dict[Kind, str] = {"rebuild": "catalogue.jsonl", "changes": "changes.jsonl"}


def _changes(products: list[JsonObject], seed: int) -> list[JsonObject]:
    """Changes to some products, and new ones: a third of them come again later."""
    chance = random.Random(seed)
    found: list[JsonObject] = []
    for number, product in enumerate(products):
        kind = chance.random()
        if kind < 0.25:
            found.append({**product, "_op": "upsert", "title": f"{product['title']} edition {seed}"})
        elif kind < 0.65:
            found.append({"id": product["id"], "_op": "update", "price": chance.randrange(100, 99_999)})
        elif kind < 0.75:
            found.append({"id": product["id"], "_op": "delete"})
        elif kind < 0.85:
            new = {**product, "id": f"new-{seed}-{number}", "title": f"New {product['title']}"}
            found.append({**new, "_op": "upsert"})
    again = [
        {"id": change["id"], "_op": "update", "price": chance.randrange(100, 99_999)}
        if chance.random() < 0.7
        else {"id": change["id"], "_op": "delete"}
        for change in chance.sample(found, len(found) // 3)
    ]
    return found + again
