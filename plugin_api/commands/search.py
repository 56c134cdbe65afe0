"""`attune search`: one query from the command line, by the sidecar's own code."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import click
from opensearchpy import OpenSearch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mappings import fields
from mappings.client import check_cluster, connect
from mappings.errors import AttuneError, ModelMismatch
from mappings.types import JsonObject
from plugin_api.cli import Wiring
from plugin_api.opensearch.client import HttpClient, identity
from plugin_api.search.answer import Answer
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.request import SearchCall
from plugin_api.search.reasons import RerankStatus
from plugin_api.search.search import Searcher, without_time_limits
from reranker.model import load_model

KEYWORD_DEPTH = 1000
"""How far down `--compare` looks for a hit's keyword rank."""

WITH_KEYWORD = (fields.TITLE, fields.BRAND, fields.CATEGORY)


@dataclass(frozen=True, slots=True)
class Row:
    """One hit as it is printed. `keyword_rank` is None where not asked for, or beyond KEYWORD_DEPTH."""

    rank: int
    id: str
    score: float
    keyword_rank: int | None
    brand: str
    title: str
    price: float | None


@click.command()
@click.argument("text")
@click.option("--alias", help="Alias or index to search (search.alias).")
@click.option("--size", type=click.IntRange(1, 1000), default=10, show_default=True, help="Number of hits.")
@click.option(
    "--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="Only such products; repeatable."
)
@click.option("--compare", is_flag=True, help="Show each hit's rank in the keyword search beside.")
@click.option("--keyword", is_flag=True, help="Keyword search only, nothing reranked.")
@click.option("--model", type=click.Path(path_type=Path), help="Model folder (model.folder).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def search(
    wiring: Wiring,
    text: str,
    alias: str | None,
    size: int,
    filters: tuple[str, ...],
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
    """
    settings = wiring.settings
    index = alias or settings.search.alias
    query = keyword_query(text, tuple(map(_term, filters)))
    folder = model or (Path(settings.model.folder) if settings.model.folder else None)
    logging.getLogger("attune").addHandler(logging.NullHandler())  # the last line tells it, once
    closing = click.get_current_context().call_on_close
    client, opensearch = connect(settings.opensearch), HttpClient(settings.opensearch)
    closing(client.close)
    closing(opensearch.close)
    check_cluster(client, settings.opensearch)
    model_in_hand = load_model(folder, settings.model.threads)
    # Someone waiting at a terminal would rather have the reranked hits of a cold cluster than fast ones.
    searching = Searcher(opensearch, model_in_hand, without_time_limits(settings))

    def call(body: JsonObject) -> SearchCall:
        headers = identity(settings.opensearch)
        return SearchCall(quote(index, safe=",*"), json.dumps(body).encode(), headers=headers)

    asked = call({"query": query, "size": size})
    answer = _checked(searching.answer_unranked(asked) if keyword else searching.answer(asked), client, index)
    report = answer["ext"][fields.ATTUNE]
    if report["rerank_status"] == RerankStatus.MISMATCH:
        raise ModelMismatch(report["reason"])
    ranks: Mapping[str, int] = {}
    if compare:
        ranked = {"query": query, "size": KEYWORD_DEPTH, "_source": False}
        by_keyword = _checked(searching.answer_unranked(call(ranked)), client, index)
        ranks = {hit["_id"]: rank for rank, hit in enumerate(by_keyword["hits"]["hits"], start=1)}
    rows = [_row(rank, hit, ranks) for rank, hit in enumerate(answer["hits"]["hits"], start=1)]
    if as_json:
        shown = {"query": text, "index": index, "took_ms": answer["took"], **report}
        click.echo(json.dumps({**shown, "hits": [asdict(row) for row in rows]}, ensure_ascii=False, indent=2))
        return
    _print(rows, answer, compare)
    if report["rerank_status"] != RerankStatus.RERANKED and not keyword:
        click.echo(f"attune: keyword hits, not reranked: {report['reason']}", err=True)


def _term(pair: str) -> JsonObject:
    name, equals, value = pair.partition("=")
    if not (name and equals and value):
        raise click.BadParameter(f"{pair!r} is not of the form FIELD=VALUE", param_hint="--filter")
    return {"term": {f"{name}.keyword" if name in WITH_KEYWORD else name: value}}


def _checked(answer: Answer, client: OpenSearch, index: str) -> JsonObject:
    body: JsonObject = answer.json()
    if answer.status == 404:
        aliases = sorted({name for item in client.indices.get_alias().values() for name in item["aliases"]})
        there = f"there are: {', '.join(aliases)}" if aliases else "there is none yet"
        raise AttuneError(
            f"no alias or index {index}; {there}. Make it with `attune index FILE --alias {index}`"
        )
    if answer.status != 200:
        cause = body["error"]["root_cause"][0]
        raise AttuneError(f"OpenSearch refused the search in {index}: {cause['reason']}")
    return body


def _row(rank: int, hit: JsonObject, ranks: Mapping[str, int]) -> Row:
    source = hit.get("_source", {})
    return Row(
        rank,
        hit["_id"],
        hit["_score"],
        ranks.get(hit["_id"]),
        str(source.get(fields.BRAND, "")),
        str(source.get(fields.TITLE, "")),
        source.get(fields.PRICE),
    )


def _print(rows: Sequence[Row], answer: JsonObject, compare: bool) -> None:
    total = answer["hits"]["total"]
    about = "at least " if total["relation"] == "gte" else ""
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
        beside = [str(row.keyword_rank or "–")] if compare else []
        price = "" if row.price is None else f"{row.price:,.2f}"
        # Text, not str: a title with brackets in it is no markup.
        table.add_row(str(row.rank), f"{row.score:.3f}", *beside, Text(row.brand), Text(row.title), price)
    Console().print(table)
    click.echo(f"{len(rows)} of {about}{total['value']} hits in {answer['took']} ms")
