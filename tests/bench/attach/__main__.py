"""Attaching to a shop's index and following its writers.

    python -m tests.bench.attach --url http://localhost:9200 [--only speed|relevance|writes] [--minutes 10]

Prints one JSON object: documents a second beside `attune index`, nDCG@10 of the shop's own search and of
Attune over it, writes that were lost or altered, and the time from a write to its vector. It makes and
deletes the indexes `bench-*` and needs a cluster of its own. Both ways of getting vectors run in turn on the
same machine, so their ratio holds where other work shares it.

`--opensearch-kills` kills the node that `attune up` has started in ATTUNE_HOME, and starts it again.
"""

import json
import os

import click
from opensearchpy import OpenSearch

from mappings.settings import load_settings
from mappings.types import JsonObject
from plugin_api.commands.demo.catalogue import PRODUCTS
from tests.bench.attach.speed import measure_relevance, measure_speed
from tests.bench.attach.writes import measure_writes
from tests.bench.inputs import machine
from tests.bench.inputs.embedded_node import restart_killed_node


@click.command(help=__doc__)
@click.option("--url", default="http://localhost:9200", show_default=True, help="OpenSearch.")
@click.option("--products", default=PRODUCTS, show_default=True, help="Products that both ways encode.")
@click.option("--minutes", default=2.0, show_default=True, help="How long to write at random.")
@click.option("--writes", default=100.0, show_default=True, help="Random writes a second.")
@click.option("--kills", default=2, show_default=True, help="Times that the job is killed meanwhile.")
@click.option("--opensearch-kills", default=0, show_default=True, help="Times that OpenSearch is killed.")
@click.option("--samples", default=60, show_default=True, help="Writes whose vectors are waited for.")
@click.option("--only", type=click.Choice(["speed", "relevance", "writes"]), help="Measure one of the three.")
def main(
    url: str,
    products: int,
    minutes: float,
    writes: float,
    kills: int,
    opensearch_kills: int,
    samples: int,
    only: str | None,
) -> None:
    """Measure; print one JSON object."""
    client = OpenSearch(url, timeout=120)
    os.environ["ATTUNE_OPENSEARCH_URL"] = url
    report: JsonObject = machine("opensearch-py")
    if only != "writes":
        report["speed"] = measure_speed(client, products)
    if only in (None, "relevance"):
        report["relevance"] = measure_relevance()
    if only in (None, "writes"):
        settings = load_settings(None, os.environ)
        killed = mix("job", kills, "opensearch", opensearch_kills)
        report["writes"] = measure_writes(
            client, minutes * 60, writes, killed, samples, lambda: restart_killed_node(settings)
        )
    client.indices.delete(index="bench-*", params={"expand_wildcards": "all"})
    click.echo(json.dumps(report, indent=2))


def mix(first: str, count: int, second: str, other: int) -> list[str]:
    """Return both words as often as said, evenly mixed."""
    places = [((number + 0.5) / count, first) for number in range(count)]
    places += [((number + 0.75) / other, second) for number in range(other)]
    return [word for _, word in sorted(places)]


if __name__ == "__main__":
    main()
