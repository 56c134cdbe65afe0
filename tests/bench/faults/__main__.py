"""Jobs killed, OpenSearch killed, the network lost: whether the index ends as that of an undisturbed run.

Needs an embedded node of its own, which it kills and starts:

    export ATTUNE_HOME=/tmp/faults ATTUNE_OPENSEARCH_URL=http://localhost:9413
    attune up
    python -m tests.bench.faults --job-kills 20 --opensearch-kills 5 --losses 4

Moments are drawn by a seed, one in each equal part of the time that an undisturbed job works, so that they
are spread over all of it; every fourth falls into its last sixth, where verification, catch-up and swap are.
A job that was killed is started again; one that lost OpenSearch or the network has to go on by itself.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from mappings.client import check_cluster, connect
from mappings.settings import load_settings
from mappings.types import JsonObject
from tests.bench.faults.trials import Kind, Outcome, Trials
from tests.bench.inputs import machine, middle
from tests.bench.inputs.embedded_node import restart_killed_node
from tests.fakes.tcp_proxy import TcpProxy

KINDS: tuple[Kind, Kind] = ("rebuild", "changes")


@click.command()
@click.option("--job-kills", default=20, show_default=True, help="Kills of each kind of job.")
@click.option("--opensearch-kills", default=5, show_default=True, help="Kills of OpenSearch under each kind.")
@click.option("--losses", default=4, show_default=True, help="Losses of the network under each kind.")
@click.option("--products", default=1500, show_default=True, help="Products of the catalogue.")
@click.option("--seed", default=1, show_default=True, help="The same seed draws the same moments.")
def main(job_kills: int, opensearch_kills: int, losses: int, products: int, seed: int) -> None:
    """Break jobs; print one JSON object; fail where an index was not the same."""
    settings = load_settings(None, os.environ)
    facts = machine("opensearch-py")
    version = check_cluster(connect(settings.opensearch), settings.opensearch)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(settings.opensearch.url, Path(folder), products)
        trials.prepare()
        outcomes: list[Outcome] = []

        def told(outcome: Outcome) -> None:
            outcomes.append(outcome)
            click.echo(json.dumps(asdict(outcome)), err=True)

        for kind in KINDS:
            for share in moments(job_kills, chance):
                told(trials.kill_job(kind, share))
        for kind in KINDS:
            for share in moments(opensearch_kills, chance):
                told(trials.disturb(kind, "OpenSearch killed", share, lambda: restart_killed_node(settings)))
        with TcpProxy(settings.opensearch.url) as wire:
            for kind in KINDS:
                for number, share in enumerate(moments(losses, chance)):
                    what, seconds = ("cut", "held")[number % 2], chance.uniform(2, 12)
                    told(
                        trials.disturb(kind, f"network {what}", share, _losing(wire, what, seconds), wire.url)
                    )
        found = {
            "opensearch": version,
            "products": products,
            "undisturbed": {
                kind: {"documents": len(of.documents), "seconds": round(of.seconds, 1),
                       "encoded": of.report["encoded"]}
                for kind, of in trials.references.items()
            },
            **_summary(outcomes),
            "outcomes": [asdict(of) for of in outcomes],
            "machine": facts,
        }  # fmt: skip
    click.echo(json.dumps(found, indent=2))
    sys.exit(0 if all(of.different == 0 and of.left_over == 0 for of in outcomes) else 1)


def moments(count: int, chance: random.Random) -> list[float]:
    """Shares of a job's work, one from each of `count` equal parts, but every fourth from the last sixth."""
    return [
        chance.uniform(5 / 6, 1.0) if number % 4 == 3 else (number + chance.random()) / count
        for number in range(count)
    ]


def _losing(wire: TcpProxy, what: str, seconds: float) -> Callable[[], None]:
    def lose() -> None:
        with wire.cut() if what == "cut" else wire.held():
            time.sleep(seconds)

    return lose


def _summary(outcomes: list[Outcome]) -> JsonObject:
    """What was done → how often, how often the index was the same, and the time that it took."""
    found: JsonObject = {}
    for of in outcomes:
        found.setdefault(f"{of.kind}: {of.what}", []).append(of)
    return {
        "faults": {
            name: {
                "times": len(same),
                "identical": sum(not (of.different or of.left_over) for of in same),
                "resumed": sum(of.resumed for of in same),
                "median_encoded_by_the_last_run": middle([of.encoded for of in same]),
                "median_seconds": middle([of.seconds for of in same]),
            }
            for name, same in found.items()
        }
    }


if __name__ == "__main__":
    main()
