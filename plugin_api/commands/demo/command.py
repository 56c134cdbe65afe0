"""`attune demo`: everything at once, from an empty machine to two rankings side by side."""

import io
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

import click
from opensearchpy import OpenSearch
from rich.console import Console

from mappings.client import check_cluster, connect
from mappings.domains import SHOP_DOMAIN, Domain
from mappings.errors import AttuneError, NodeError
from mappings.settings import Settings, SidecarSettings
from plugin_api.commands.context import CommandContext
from plugin_api.commands.demo.catalogue import (
    DemoCatalogue,
    DemoIndex,
    find_catalogue,
    index_catalogue,
    open_chinese_catalogue,
    open_demo_catalogue,
)
from plugin_api.commands.demo.comparison import QueryComparison, compare_query, serves_index
from plugin_api.commands.demo.queries import CHINESE_QUERIES
from plugin_api.commands.demo.report import (
    show_comparison,
    show_legend,
    show_next,
    show_personal,
    show_step,
)
from plugin_api.commands.demo.shoppers import (
    PersonalComparison,
    compare_shoppers,
    is_personal,
    store_histories,
    with_demo_shoppers,
)
from plugin_api.commands.demo.sidecar_process import (
    RunningSidecar,
    choose_free_port,
    find_served_model,
    sidecar_url,
    start_sidecar,
)
from plugin_api.commands.domain_option import domain_option, format_example_query
from plugin_api.commands.node.checks import LOCAL_HOSTS, local_port
from plugin_api.commands.node.lifecycle import Node, find_node, node_home, start_node, stop_node
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.opensearch.probe import get_json
from plugin_api.terminal import JobProgress, output_console, task_progress
from reranker.model import Model, load_model
from reranker.shipped_models import locate_chinese_model


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the sidecar; 0 takes a free one.")
@click.option("--alias", help="Alias of the demo's index. Default: the setting search.alias (products).")
@click.option("--once", is_flag=True, help="End after the queries, on a terminal too.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of text; implies --once."
)
@click.pass_obj
@domain_option
def demo(context: CommandContext, port: int | None, alias: str | None, once: bool, as_json: bool) -> None:
    """Compare keyword search and Attune on 19,406 products.

    Starts OpenSearch (unless one answers at opensearch.url), indexes a catalogue of electronics and
    a small Chinese one, starts the sidecar, and sends both some queries. Then it compares what
    three made-up shoppers see with what everybody sees. A second run reuses everything.

    --domain finance shows the same for investment products, and --domain medicine for diagnoses and
    treatments, which takes some three minutes and needs `pip install 'attune[medicine]'`.

    On a terminal the sidecar then serves until Ctrl-C, and OpenSearch runs until `attune down`.
    Otherwise, or with --once, the demo ends by itself and stops what it started. The index stays
    on disk.
    """
    domain = context.domain
    settings = _demo_settings(context.settings, port, alias, domain)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # titles have characters that not every terminal can show
    console = output_console()
    console.quiet = as_json
    started = time.monotonic()
    served = find_served_model(settings.sidecar)  # first: a port in use is reported before minutes of work
    model = load_model(Path(settings.model.folder) if settings.model.folder else None, settings.model.threads)
    _check_served(served, model, settings)
    with _end_by_signals(), ExitStack() as stack:
        client = connect(settings.opensearch)
        stack.callback(client.close)
        node = _ensure_opensearch(settings, client)
        node_stack = stack.enter_context(ExitStack())
        if node:
            node_stack.callback(stop_node, settings, os.environ)
        version = check_cluster(client, settings.opensearch)
        show_step(
            console,
            f"OpenSearch {version} at {settings.opensearch.url}",
            f"started in {node.seconds:.0f} s" if node else "runs already",
        )
        index = _ensure_catalogue(
            client, open_demo_catalogue(domain), settings.search.alias, model, settings, as_json
        )
        _show_index(console, index)
        chinese = _ensure_chinese(client, settings, as_json) if domain.name == SHOP_DOMAIN else None
        if chinese:
            _show_index(console, chinese)
        http = stack.enter_context(closing(HttpClient(settings.opensearch)))
        if domain.name == SHOP_DOMAIN:
            purchases = store_histories(http, settings)
            show_step(
                console,
                "Three made-up shoppers",
                f"{purchases} purchases stored" if purchases else "stored already",
            )
        sidecar = _ensure_sidecar(settings, index, served, stack)
        show_step(
            console,
            f"Sidecar at {sidecar.url}, model {model.version}",
            f"started in {sidecar.seconds:.1f} s" if sidecar.process else "runs already",
        )
        comparisons = _compare(console, settings, client, sidecar, domain)
        personal = _compare_shoppers(console, settings, http, sidecar) if domain.name == SHOP_DOMAIN else []
        seconds = time.monotonic() - started
        show_step(console, "All in all", f"{seconds:.0f} s")
        stays = sidecar.process is not None and sys.stdout.isatty() and not (once or as_json)
        show_next(console, _next(settings, sidecar, domain, bool(node) and not stays, stays))
        if as_json:
            report = {
                "opensearch": {"url": settings.opensearch.url, "version": version}
                | {"seconds": round(node.seconds, 1) if node else 0.0},
                "catalogue": asdict(index) | {"seconds": round(index.seconds, 1)},
                "chinese": asdict(chinese) | {"seconds": round(chinese.seconds, 1)} if chinese else None,
                "sidecar": {"url": sidecar.url, "seconds": round(sidecar.seconds, 1)},
                "model": model.version,
                "seconds": round(seconds, 1),
                "queries": [asdict(comparison) for comparison in comparisons],
                "shoppers": [asdict(comparison) for comparison in personal],
            }
            click.echo(json.dumps(report, ensure_ascii=False))
        if stays:
            console.print("\nThe sidecar serves until Ctrl-C.")
            _wait_for_interrupt(sidecar)
            node_stack.pop_all()
            console.print(f"\nThe sidecar is stopped. {_keeps_running(settings)}")


def _demo_settings(settings: Settings, port: int | None, alias: str | None, domain: Domain) -> Settings:
    sidecar = settings.sidecar if port is None else replace(settings.sidecar, port=port)
    search = replace(settings.search, alias=alias or settings.search.alias)
    return choose_free_port(with_demo_shoppers(replace(settings, sidecar=sidecar, search=search), domain))


def _check_served(served: str, model: Model, settings: Settings) -> None:
    if served not in ("", model.version):
        raise AttuneError(
            f"a sidecar with another model ({served}, not {model.version}) serves at "
            f"{sidecar_url(settings.sidecar)}: stop it, or choose another port with --port"
        )


def _ensure_opensearch(settings: Settings, client: OpenSearch) -> Node | None:
    """Start the embedded node unless OpenSearch answers already. Return it if this call started it."""
    url = settings.opensearch.url
    local = url.startswith("http://") and any(url.startswith(f"http://{host}:") for host in LOCAL_HOSTS)
    if settings.opensearch.user or not local or "version" in get_json(local_port(url), "/", seconds=2):
        check_cluster(client, settings.opensearch)
        return None
    running = start_node(settings, os.environ, task_progress)
    return running if running.started else None


def _show_index(console: Console, index: DemoIndex) -> None:
    show_step(
        console,
        f"{index.products:,} products in {index.index}",
        f"encoded and indexed in {index.seconds:.0f} s" if index.seconds else "indexed already",
    )


def _ensure_chinese(client: OpenSearch, settings: Settings, hidden: bool) -> DemoIndex:
    """Return the index of the Chinese catalogue, and make it first where there is none."""
    model = load_model(locate_chinese_model(), settings.model.threads)
    alias = _chinese_alias(settings)
    return _ensure_catalogue(client, open_chinese_catalogue(), alias, model, settings, hidden)


def _chinese_alias(settings: Settings) -> str:
    return f"{settings.search.alias}-chinese"


def _ensure_catalogue(
    client: OpenSearch, demo: DemoCatalogue, alias: str, model: Model, settings: Settings, hidden: bool
) -> DemoIndex:
    """Return the index of a catalogue, and make it first where there is none."""
    index = find_catalogue(client, alias, model.version, demo)
    if index:
        return index
    with JobProgress("indexing", hidden) as progress:
        return index_catalogue(client, alias, model, settings.index, progress.show, demo)


def _ensure_sidecar(settings: Settings, index: DemoIndex, served: str, stack: ExitStack) -> RunningSidecar:
    """Return the sidecar that serves already, or start one that runs until `stack` closes."""
    if not served:
        with task_progress("starting the sidecar", 0):
            return stack.enter_context(start_sidecar(settings, os.environ))
    sidecar = RunningSidecar(sidecar_url(settings.sidecar))
    client = connect(replace(settings.opensearch, url=sidecar.url))
    try:
        if not serves_index(client, settings.search.alias, index.index):
            raise AttuneError(
                f"the sidecar at {sidecar.url} belongs to another OpenSearch than {settings.opensearch.url}: "
                "stop it, or choose another port with --port"
            )
    finally:
        client.close()
    return sidecar


def _compare(
    console: Console, settings: Settings, client: OpenSearch, sidecar: RunningSidecar, domain: Domain
) -> list[QueryComparison]:
    """Send every query to both, and print the rankings side by side."""
    started = time.monotonic()
    comparisons: list[QueryComparison] = []
    queries = [(settings.search.alias, query) for query in domain.demo.queries]
    if domain.name == SHOP_DOMAIN:
        queries += [(_chinese_alias(settings), query) for query in CHINESE_QUERIES]
    show_legend(console, filter(None, (domain.demo.source, domain.page.notice)))
    with closing(connect(replace(settings.opensearch, url=sidecar.url))) as reranking:
        for number, (alias, query) in enumerate(queries, start=1):
            comparisons.append(compare_query(client, reranking, alias, query, domain.minimum_match))
            show_comparison(console, number, len(queries), comparisons[-1])
    console.print()
    show_step(console, f"{len(queries)} queries to both", f"in {time.monotonic() - started:.1f} s")
    return comparisons


def _compare_shoppers(
    console: Console, settings: Settings, client: HttpClient, sidecar: RunningSidecar
) -> list[PersonalComparison]:
    """Send each shopper's query for everybody and for them, and print the rankings side by side."""
    comparisons: list[PersonalComparison] = []
    with closing(connect(replace(settings.opensearch, url=sidecar.url))) as reranking:
        for comparison in compare_shoppers(reranking, client, settings):
            comparisons.append(comparison)
            show_personal(console, comparison)
    if not is_personal(comparisons) and sidecar.process is None:
        console.print(
            "The sidecar that runs already does not know these shoppers: stop it, then run the demo."
        )
    console.print()
    return comparisons


def _next(
    settings: Settings, sidecar: RunningSidecar, domain: Domain, stopped: bool, stays: bool
) -> Iterator[tuple[str, str]]:
    attune = _command_name()
    alias, option = settings.search.alias, "" if domain.name == SHOP_DOMAIN else f" --domain {domain.name}"
    own = "noise cancelling headphones" if domain.name == SHOP_DOMAIN else domain.page.placeholder
    if stopped:
        yield f"{attune} up", "start OpenSearch again, with everything that is in it"
    if sidecar.process and not stays:
        port = settings.sidecar.port
        at_port = "" if port == SidecarSettings().port else f" --port {port}"
        yield f"{attune} serve{option}{at_port}", "start the sidecar"
    if sidecar.process is None or stays:
        yield f"{sidecar.url}/_attune/", "both rankings side by side, and why, in a browser"
    yield f'{attune} search "{own}" --compare{option} --alias {alias}', "a search of your own"
    yield (
        f"curl '{sidecar.url}/{alias}/_search?pretty' -H 'Content-Type: application/json' "
        f"-d {format_example_query(domain)}",
        "the same from any program: OpenSearch's own _search, reranked",
    )
    yield (
        f"{attune} inspect YOUR_FILE.csv",
        "what Attune reads in your own catalogue (CSV, JSON, XML, XLSX, Parquet)",
    )
    yield f"{attune} index YOUR_FILE.csv{option} --alias shop", "an index of it"
    if not stopped and _embedded(settings):
        yield f"{attune} down", "stop OpenSearch; its data stays"


def _command_name() -> str:
    """Return the command as it has to be typed: `make demo` runs it by its path."""
    script = sys.argv[0]
    return "attune" if Path(script).name != "attune" or shutil.which("attune") == script else script


def _wait_for_interrupt(sidecar: RunningSidecar) -> None:
    """Wait for Ctrl-C. Raises AttuneError when the sidecar ends first."""
    try:
        while sidecar.process and sidecar.process.poll() is None:
            time.sleep(0.3)
    except KeyboardInterrupt:
        return
    raise AttuneError(f"the sidecar at {sidecar.url} ended by itself; run the demo again")


def _keeps_running(settings: Settings) -> str:
    stop = f": stop it with `{_command_name()} down`" if _embedded(settings) else ""
    return f"OpenSearch keeps running at {settings.opensearch.url}{stop}."


def _embedded(settings: Settings) -> bool:
    """Return whether the OpenSearch in use is the one that `attune up` starts."""
    try:
        running = find_node(node_home(settings.node, os.environ))
        return running is not None and running.url.endswith(f":{local_port(settings.opensearch.url)}")
    except NodeError:  # the URL is another machine's, or the extra `node` is not installed
        return False


@contextmanager
def _end_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the block by an exception, as Ctrl-C does, so that it cleans up."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
