"""`attune demo`: everything at once, from an empty machine to rankings side by side."""

import io
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

import click
from opensearchpy import OpenSearch

from mappings.client import check_cluster, connect
from mappings.errors import AttuneError, NodeError
from mappings.settings import Settings
from plugin_api.cli import Wiring
from plugin_api.commands.demo.catalogue import Indexed, find_catalogue, index_catalogue
from plugin_api.commands.demo.comparison import Comparison, compare, serves_index
from plugin_api.commands.demo.queries import QUERIES
from plugin_api.commands.demo.report import show_comparison, show_legend, show_next, show_step
from plugin_api.commands.demo.sidecar_process import (
    Sidecar,
    served_model,
    serving,
    sidecar_url,
    with_free_port,
)
from plugin_api.commands.node import lifecycle as node
from plugin_api.commands.node.checks import LOCAL_HOSTS, local_port
from plugin_api.opensearch.probe import get_json
from plugin_api.terminal import JobProgress, output_console, task_progress
from reranker.model import Model, load_model


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the sidecar; 0 takes a free one.")
@click.option("--alias", help="Alias of the demo's index. Default: the setting search.alias (products).")
@click.option("--once", is_flag=True, help="End by itself, on a terminal too.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of text; implies --once."
)
@click.pass_obj
def demo(wiring: Wiring, port: int | None, alias: str | None, once: bool, as_json: bool) -> None:
    """See 19,406 real products searched by keyword and by Attune, side by side.

    Starts OpenSearch (unless opensearch.url answers already), indexes a catalogue of electronics, starts
    the sidecar, and asks both a dozen queries. A second run finds everything in place.

    On a terminal the sidecar then stays up until Ctrl-C, and OpenSearch until `attune down`. Otherwise,
    or with --once, the demo ends by itself and stops what it started; the index stays on disk.
    """
    settings = wiring.settings
    sidecar = settings.sidecar if port is None else replace(settings.sidecar, port=port)
    settings = with_free_port(replace(settings, sidecar=sidecar))
    alias = alias or settings.search.alias
    settings = replace(settings, search=replace(settings.search, alias=alias))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # titles have characters that not every terminal knows
    console = output_console()
    console.quiet = as_json
    began = time.monotonic()
    served = served_model(settings.sidecar)  # first, so that a taken port is told before minutes of work
    model = load_model(Path(settings.model.folder) if settings.model.folder else None, settings.model.threads)
    _check_served(served, model, settings)
    with _ended_by_signals(), ExitStack() as ending:
        client = connect(settings.opensearch)
        ending.callback(client.close)
        started = _have_opensearch(settings, client)
        opensearch = ending.enter_context(ExitStack())
        if started:
            opensearch.callback(node.stop_node, settings, os.environ)
        version = check_cluster(client, settings.opensearch)
        show_step(
            console,
            f"OpenSearch {version} at {settings.opensearch.url}",
            f"started in {started.seconds:.0f} s" if started else "runs already",
        )
        indexed = _have_catalogue(client, alias, model, settings, hidden=as_json)
        show_step(
            console,
            f"{indexed.products:,} products in {indexed.index}",
            f"encoded and indexed in {indexed.seconds:.0f} s" if indexed.seconds else "indexed already",
        )
        found = _have_sidecar(settings, indexed, served, ending)
        show_step(
            console,
            f"Sidecar at {found.url}, model {model.version}",
            f"started in {found.seconds:.1f} s" if found.process else "runs already",
        )
        asked = time.monotonic()
        comparisons: list[Comparison] = []
        show_legend(console)
        through = connect(replace(settings.opensearch, url=found.url))
        ending.callback(through.close)
        for number, query in enumerate(QUERIES, start=1):
            comparisons.append(compare(client, through, alias, query))
            show_comparison(console, number, len(QUERIES), comparisons[-1])
        ended = time.monotonic()
        console.print()
        show_step(console, f"{len(QUERIES)} queries, asked of both", f"in {ended - asked:.1f} s")
        show_step(console, "All in all", f"{ended - began:.0f} s")
        stays = found.process is not None and sys.stdout.isatty() and not (once or as_json)
        show_next(console, _next(settings, found, bool(started) and not stays, stays))
        if as_json:
            steps = {
                "opensearch": {"url": settings.opensearch.url, "version": version}
                | {"seconds": round(started.seconds, 1) if started else 0.0},
                "catalogue": asdict(indexed) | {"seconds": round(indexed.seconds, 1)},
                "sidecar": {"url": found.url, "seconds": round(found.seconds, 1)},
                "model": model.version,
                "seconds": round(ended - began, 1),
            }
            click.echo(json.dumps(steps | {"queries": [asdict(c) for c in comparisons]}, ensure_ascii=False))
        if stays:
            console.print("\nThe sidecar serves until Ctrl-C.")
            _stay(found)
            opensearch.pop_all()
            console.print(f"\nThe sidecar is stopped. {_keeps_running(settings)}")


def _check_served(served: str, model: Model, settings: Settings) -> None:
    if served not in ("", model.version):
        raise AttuneError(
            f"a sidecar with another model ({served}, not {model.version}) serves at "
            f"{sidecar_url(settings.sidecar)}: stop it, or choose another port with --port"
        )


def _have_opensearch(settings: Settings, client: OpenSearch) -> node.Node | None:
    """Have OpenSearch at `opensearch.url`; return the embedded node if this call started it."""
    url = settings.opensearch.url
    local = url.startswith("http://") and any(url.startswith(f"http://{host}:") for host in LOCAL_HOSTS)
    if settings.opensearch.user or not local or "version" in get_json(local_port(url), "/", seconds=2):
        check_cluster(client, settings.opensearch)
        return None
    running = node.start_node(settings, os.environ, task_progress)
    return running if running.started else None


def _have_catalogue(
    client: OpenSearch, alias: str, model: Model, settings: Settings, hidden: bool
) -> Indexed:
    found = find_catalogue(client, alias, model.version)
    if found:
        return found
    with JobProgress("indexing", hidden) as progress:
        return index_catalogue(
            client, alias, model, settings.index, lambda of: progress.show(of.indexed, of.share)
        )


def _have_sidecar(settings: Settings, indexed: Indexed, served: str, ending: ExitStack) -> Sidecar:
    """Take the sidecar that serves already, or start one that runs until `ending` closes."""
    if not served:
        with task_progress("starting the sidecar", 0):
            return ending.enter_context(serving(settings, os.environ))
    found = Sidecar(sidecar_url(settings.sidecar))
    client = connect(replace(settings.opensearch, url=found.url))
    try:
        if not serves_index(client, settings.search.alias, indexed.index):
            raise AttuneError(
                f"the sidecar at {found.url} stands before another OpenSearch than "
                f"{settings.opensearch.url}: stop it, or choose another port with --port"
            )
    finally:
        client.close()
    return found


def _next(settings: Settings, sidecar: Sidecar, stopped: bool, stays: bool) -> Iterator[tuple[str, str]]:
    attune = _own_name()
    alias = settings.search.alias
    if stopped:
        yield f"{attune} up", "start OpenSearch again, with everything that is in it"
    if sidecar.process and not stays:
        yield f"{attune} serve", "start the sidecar"
    if sidecar.process is None or stays:
        yield f"{sidecar.url}/_attune/", "both rankings side by side, and why, in a browser"
    yield f'{attune} search "noise cancelling headphones" --compare --alias {alias}', "a search of your own"
    yield (
        f"curl '{sidecar.url}/{alias}/_search?pretty' -H 'Content-Type: application/json' "
        """-d '{"query": {"match": {"title": "wireless mouse"}}}'""",
        "the same from any program: OpenSearch's own _search, reranked",
    )
    yield f"{attune} index YOUR_FILE.csv --alias shop", "your own catalogue (CSV, JSON Lines or Parquet)"
    if not stopped and _embedded(settings):
        yield f"{attune} down", "stop OpenSearch; its data stays"


def _own_name() -> str:
    """The command as it has to be typed: `make demo` runs it by its path."""
    script = sys.argv[0]
    return "attune" if Path(script).name != "attune" or shutil.which("attune") == script else script


def _stay(sidecar: Sidecar) -> None:
    """Wait for Ctrl-C. Raises AttuneError when the sidecar ends before."""
    try:
        while sidecar.process and sidecar.process.poll() is None:
            time.sleep(0.3)
    except KeyboardInterrupt:
        return
    raise AttuneError(f"the sidecar at {sidecar.url} ended by itself; run the demo again")


def _keeps_running(settings: Settings) -> str:
    stop = f": stop it with `{_own_name()} down`" if _embedded(settings) else ""
    return f"OpenSearch keeps running at {settings.opensearch.url}{stop}."


def _embedded(settings: Settings) -> bool:
    """Tell whether the OpenSearch in use is the one that `attune up` starts."""
    try:
        running = node.find_node(node.node_home(settings.node, os.environ))
        return running is not None and running.url.endswith(f":{local_port(settings.opensearch.url)}")
    except NodeError:  # the URL is another machine's, or the extra `node` is not installed
        return False


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a closed terminal or a `kill` end the block as Ctrl-C does: by an exception, which cleans up."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
