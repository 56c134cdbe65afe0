"""Requests made from the OpenAPI document by the thousand, at a real sidecar before a real OpenSearch.

Needs a running OpenSearch with the demo's index (`attune demo`).

    python -m tests.bench.fuzz_api --url http://localhost:9200 --alias products --examples 200
"""

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
import schemathesis

from mappings.settings import OpenSearchSettings, PreviewSettings, SearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from plugin_api.commands.demo.sidecar_process import choose_free_port, sidecar_url
from plugin_api.sidecar.health import health
from tests.bench.fuzz import memory_mb, started
from tests.bench.inputs import machine
from tests.plugin_api.sidecar.api_cases import INSIDE, fuzz

DEFAULTS = Settings()
SHOWN = 10


@click.command()
@click.option("--url", default=DEFAULTS.opensearch.url, show_default=True, help="OpenSearch.")
@click.option("--alias", default=DEFAULTS.search.alias, show_default=True, help="Alias of the index.")
@click.option(
    "--examples",
    default=200,
    show_default=True,
    help="Requests that the document allows, and as many that it forbids, for each operation.",
)
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same requests.")
def main(url: str, alias: str, examples: int, seed: int) -> None:
    """Ask everything that the document describes; print one JSON object; fail where it is not kept."""
    found = measure(url, alias, examples, seed)
    click.echo(json.dumps(found, indent=2))
    sys.exit(1 if found["failures"] or found["logged_secrets"] or not found["alive_at_the_end"] else 0)


def measure(url: str, alias: str, examples: int, seed: int) -> JsonObject:
    """Count what became of the requests; the sidecar's memory before and after."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        settings = choose_free_port(
            Settings(
                opensearch=OpenSearchSettings(url=url),
                search=SearchSettings(alias=alias),
                sidecar=SidecarSettings(port=0, log_format="json"),
                preview=PreviewSettings(judgements=str(Path(folder) / "judgements.csv")),
            )
        )
        process = started(settings, log.fileno())
        memory, answers = [memory_mb(process.pid)], Counter[str]()
        failures: list[str] = []
        by_operation: dict[str, int] = {}
        began = time.perf_counter()
        try:
            document = f"{sidecar_url(settings.sidecar)}/_attune/openapi.json"
            for outcome in fuzz(schemathesis.openapi.from_url(document), examples, seed):
                by_operation[outcome.operation] = by_operation.get(outcome.operation, 0) + outcome.cases
                answers.update({f"{outcome.kind} {status}": n for status, n in outcome.statuses.items()})
                failures += [f"{n} x {outcome.operation}: {why}" for why, n in outcome.failures.items()]
                memory.append(memory_mb(process.pid))
            seconds = time.perf_counter() - began
            alive = bool(health(settings.sidecar, 5.0))
        finally:
            process.terminate()
            process.wait(60)
        log.seek(0)
        lines = log.read().splitlines()
    return {
        "measures": "requests made from the OpenAPI document, at `attune serve`",
        "cases": sum(by_operation.values()),
        "seed": seed,
        "operations": by_operation,
        "answers": dict(sorted(answers.items())),
        "failures": len(failures),
        "examples": [failure[:2000] for failure in failures[:SHOWN]],
        "logged_secrets": sum(INSIDE[-1] in line for line in lines),
        "logged_errors": sum(json.loads(line)["level"] == "ERROR" for line in lines),
        "alive_at_the_end": alive,
        "seconds": round(seconds, 1),
        "rss_mb": memory[:: max(1, len(memory) // 10)],
        "machine": machine("uvicorn", "flask", "msgspec", "schemathesis"),
    }


if __name__ == "__main__":
    main()
