"""`attune search`: one search from the command line, by the sidecar's own code."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from opensearchpy import OpenSearch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mappings import fields
from mappings.client import check_cluster, connect
from mappings.errors import AttuneError, ModelMismatch
from mappings.types import JsonObject
from plugin_api.clients.rules import WARNING
from plugin_api.commands.context import CommandContext
from plugin_api.commands.domain_option import client_option, domain_option, parse_client
from plugin_api.commands.index.models import model_folders
from plugin_api.commands.searched_index import (
    SearchedIndex,
    describe_missing_index,
    filter_query,
    open_searched_index,
    parse_term,
)
from plugin_api.opensearch.client import encode_credentials
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.answer import Answer
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.reasons import RerankStatus
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from plugin_api.terminal import format_count
from reranker.mixed_model import load_any_model

_KEYWORD_DEPTH = 1000
"""Number of keyword hits in which `--compare` looks up a hit's rank."""


@dataclass(frozen=True, slots=True)
class SearchRow:
    """One printed hit. `keyword_rank` is None without `--compare`, and below the first 1,000 keyword hits."""

    rank: int
    id: str
    score: float
    keyword_rank: int | None
    brand: str
    title: str
    price: float | None
    warnings: tuple[str, ...] = ()
    evidence: str = ""


@click.command()
@click.argument("text")
@click.option("--alias", help="Alias or index to search. Default: the setting search.alias (products).")
@click.option("--size", type=click.IntRange(1, 1000), default=10, show_default=True, help="Number of hits.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only products with this value; other columns are attributes.COLUMN. May be repeated.",
)
@client_option
@click.option("--compare", is_flag=True, help="Show the rank of each hit in the keyword search too.")
@click.option("--keyword", is_flag=True, help="Search by keywords only, without reranking.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="Model folder. Default: the setting model.folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
@domain_option
def search(
    context: CommandContext,
    text: str,
    alias: str | None,
    size: int,
    filters: tuple[str, ...],
    client_values: tuple[str, ...],
    compare: bool,
    keyword: bool,
    model: Path | None,
    as_json: bool,
) -> None:
    """Search for TEXT and print the hits, best first.

    \b
      attune search "wireless mouse" --filter brand=Logitech
      attune search "lego star wars" --compare --alias shop
      attune search "usb c cable" --filter attributes.color=black --json
      attune search "safe savings" --domain finance --client risk=2
    """
    if not text.strip():
        raise click.BadParameter("it is empty: give the words to search for", param_hint="TEXT")
    settings = context.settings
    index = alias or settings.search.alias
    folder = model or (Path(settings.model.folder) if settings.model.folder else None)
    logging.getLogger("attune").addHandler(logging.NullHandler())  # the last line of the output says it
    on_close = click.get_current_context().call_on_close
    client, opensearch = connect(settings.opensearch), HttpClient(settings.opensearch)
    on_close(client.close)
    on_close(opensearch.close)
    check_cluster(client, settings.opensearch)
    searched = open_searched_index(client, index)
    conditions = tuple(parse_term(pair, searched.has_own_fields) for pair in filters)
    domain = context.domain
    by_words = (
        keyword_query(text, (), domain.minimum_match)
        if searched.has_own_fields
        else searched.make_query(text)
    )
    query = filter_query(by_words, conditions)
    named = {"ext": {fields.ATTUNE: {"client": parse_client(client_values)}}} if client_values else {}
    # Someone who waits at a terminal prefers reranked hits to fast ones.
    threads = settings.model.threads
    loaded = load_any_model(folder, threads)
    others = [load_any_model(each, threads) for each in model_folders(model, settings.model).folders]
    searcher = Searcher(opensearch, loaded, without_time_limits(settings), others)

    def make_call(body: JsonObject) -> SearchCall:
        headers = {**encode_credentials(settings.opensearch), "content-type": "application/json"}
        return SearchCall.of(index, json.dumps(body).encode(), headers=headers)

    call = make_call({"query": query, "size": size, **named})
    response = _read(searcher.answer_unranked(call) if keyword else searcher.answer(call), client, index)
    report = response["ext"][fields.ATTUNE]
    if report["rerank_status"] == RerankStatus.MISMATCH:
        raise ModelMismatch(report["reason"])
    ranks: Mapping[str, int] = {}
    if compare:
        call = make_call({"query": query, "size": _KEYWORD_DEPTH, "_source": False, **named})
        by_keyword = _read(searcher.answer_unranked(call), client, index)
        ranks = {hit["_id"]: rank for rank, hit in enumerate(by_keyword["hits"]["hits"], start=1)}
    evidence = domain.page.evidence
    rows = [
        _row(rank, hit, ranks, searched, evidence)
        for rank, hit in enumerate(response["hits"]["hits"], start=1)
    ]
    if as_json:
        shown = {"query": text, "index": index, "took_ms": response["took"], **report}
        click.echo(json.dumps({**shown, "hits": [asdict(row) for row in rows]}, ensure_ascii=False, indent=2))
        return
    _print(rows, response, compare)
    if domain.page.notice:
        click.echo(domain.page.notice)
    if not rows:
        for name in _unknown_fields(filters, client, index):
            click.echo(f"attune: {index} has no field {name}; is it attributes.{name}?", err=True)
    if report["rerank_status"] != RerankStatus.RERANKED and not keyword:
        click.echo(f"attune: keyword hits, not reranked: {report['reason']}", err=True)


def _unknown_fields(filters: Sequence[str], client: OpenSearch, index: str) -> list[str]:
    """Return the fields of the filters that the index does not map. Attributes are not mapped one by one."""
    names = [pair.partition("=")[0] for pair in filters]
    return [
        name
        for name in names
        if not name.startswith(f"{fields.ATTRIBUTES}.")
        and not any(
            mapped["mappings"]
            for mapped in client.indices.get_field_mapping(fields=name, index=index).values()
        )
    ]


def _read(answer: Answer, client: OpenSearch, index: str) -> JsonObject:
    body: JsonObject = answer.json()
    if answer.status == 404:
        raise AttuneError(describe_missing_index(client, index))
    if answer.status != 200:
        error = body["error"]
        reason = error["root_cause"][0]["reason"] if isinstance(error, dict) else error
        raise AttuneError(f"OpenSearch refused the search in {index}: {reason}")
    return body


def _row(
    rank: int, hit: JsonObject, ranks: Mapping[str, int], searched: SearchedIndex, evidence: str
) -> SearchRow:
    product = searched.read_product(hit["_id"], hit.get("_source", {}))
    return SearchRow(
        rank,
        hit["_id"],
        hit["_score"],
        ranks.get(hit["_id"]),
        product.brand,
        product.title,
        product.price,
        tuple(hit.get("fields", {}).get(WARNING, ())),
        _read_evidence(hit, evidence),
    )


def _read_evidence(hit: JsonObject, name: str) -> str:
    """Return what a hit's field says of where its facts are from; empty where it says nothing."""
    value: object = hit.get("_source", {})
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _print(rows: Sequence[SearchRow], response: JsonObject, compare: bool) -> None:
    total = response["hits"]["total"]
    at_least = "at least " if total["relation"] == "gte" else ""
    if not rows:
        click.echo("No hits.")
        return
    table = Table(box=None, header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("score", justify="right")
    if compare:
        table.add_column("keyword #", justify="right")
    table.add_column("brand", no_wrap=True, max_width=18)
    table.add_column("title", ratio=1)
    table.add_column("price", justify="right")
    for row in rows:
        keyword = [str(row.keyword_rank or "–")] if compare else []
        price = "" if row.price is None else f"{row.price:,.2f}"
        # Text, not str: rich reads brackets in a str as markup.
        title = Text(row.title)
        if row.evidence:
            title += Text(f"\n{row.evidence}", style="dim")
        if row.warnings:  # first: nobody may read the product without it
            title = Text(f"WARNING: {'; '.join(row.warnings)}\n", style="bold red") + title
        table.add_row(str(row.rank), f"{row.score:.3f}", *keyword, Text(row.brand), title, price)
    Console().print(table)
    click.echo(f"{len(rows)} of {at_least}{format_count(total['value'], 'hit')} in {response['took']} ms")
