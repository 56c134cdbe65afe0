"""`attune events`, `attune count`, `attune recommend` and `attune forget`."""

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.table import Table
from rich.text import Text

from indexer.store.bulk import split_chunks
from mappings.client import check_cluster, connect
from mappings.errors import AttuneError, SettingsError
from mappings.settings import Settings
from plugin_api.commands.context import CommandContext
from plugin_api.commands.domain_option import client_option, domain_option, parse_client
from plugin_api.commands.searched_index import check_index_exists, open_searched_index, parse_term
from plugin_api.commands.shoppers.event_files import OrderColumns, read_event_files
from plugin_api.commands.ubi_indexes import read_shopper_documents
from plugin_api.opensearch.client import encode_credentials
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.count_job import Train, count_behaviour, load_trainer
from plugin_api.shoppers.event_store import EventStore
from plugin_api.shoppers.events import MAX_EVENTS
from plugin_api.shoppers.forget import forget_shopper
from plugin_api.shoppers.recommend_call import RecommendCall
from plugin_api.shoppers.recommender import ClusterRefusal, Recommender
from plugin_api.terminal import format_count
from reranker.behaviour.recommendation import RecommendationKind

_SHOWN_REJECTS = 5


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--orders", is_flag=True, help="The files hold orders, a row for each product of an order.")
@click.option("--user", default="user_id", show_default=True, help="Column of the shopper's id (--orders).")
@click.option("--product", default="product_id", show_default=True, help="Column of the product's id.")
@click.option("--order", default="order_id", show_default=True, help="Column of the order's id.")
@click.option("--time", "at", default="timestamp", show_default=True, help="Column of the order's time.")
@click.option("--from-cluster", is_flag=True, help="Read the cluster's indexes ubi_events and ubi_queries.")
@click.option("--since", type=click.DateTime(), help="Read only what is not older (--from-cluster).")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def events(
    context: CommandContext,
    files: tuple[Path, ...],
    orders: bool,
    user: str,
    product: str,
    order: str,
    at: str,
    from_cluster: bool,
    since: datetime | None,
    as_json: bool,
) -> None:
    """Store what shoppers did: UBI logs or order histories.

    FILES are documents of ubi_queries or ubi_events, one a line, or with --orders any table: CSV, JSON
    Lines, XLSX. Instead of files, --from-cluster reads what OpenSearch's UBI plugin logged. Each document is
    stored once, however often it comes. Ids of shoppers are stored as keyed hashes (shoppers.key).
    """
    if bool(files) == from_cluster:
        raise SettingsError("name files of events, or read them --from-cluster: one of the two")
    settings = context.settings
    store = EventStore(_requests(settings), settings.shoppers.key, settings.shoppers.retention_days)
    columns = OrderColumns(user, product, order, at) if orders else None
    stored, duplicates = 0, 0
    rejected: list[str] = []
    source = ", ".join(map(str, files)) or "the cluster"
    documents = (
        read_shopper_documents(connect(settings.opensearch), since)
        if from_cluster
        else read_event_files(files, columns)
    )
    for batch in split_chunks(documents, MAX_EVENTS):
        report = store.store([document for _, document in batch], time.time())
        stored, duplicates = stored + report.stored, duplicates + report.duplicates
        rejected += [f"{batch[place][0]}: {reason}" for place, reason in report.rejected.items()]
    if as_json:
        click.echo(json.dumps({"stored": stored, "duplicates": duplicates, "rejected": rejected}))
    else:
        click.echo(f"{stored:,} stored, {duplicates:,} known already, {len(rejected):,} rejected.")
        for line in rejected[:_SHOWN_REJECTS]:
            click.echo(f"  {line}", err=True)
    if rejected and not stored and not duplicates:
        raise AttuneError(f"no document of {source} could be used: {rejected[0]}")


@click.command()
@click.option("--alias", help="Alias of the products. Default: the setting search.alias (products).")
@click.option("--train/--no-train", default=False, help="Train the scorer too (needs the extra `train`).")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
@domain_option
def count(context: CommandContext, alias: str | None, train: bool, as_json: bool) -> None:
    """Count what is bought, how often and together.

    Writes counts into the products of --alias, where `attune recommend` finds them. Run it every night, and
    after `attune index`. Events older than shoppers.retention_days are deleted.
    """
    settings = context.settings
    name = alias if alias is not None else settings.search.alias
    report = count_behaviour(
        _requests(settings, name),
        name,
        settings.shoppers,
        time.time(),
        _make_trainer() if train else None,
    )
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    click.echo(
        f"{format_count(report.purchases, 'purchase')} of {format_count(report.products_bought, 'product')} "
        f"by {format_count(report.shoppers, 'shopper')}; "
        f"{format_count(report.products_updated, 'product')} updated."
    )
    if report.products_lent:
        lent = format_count(report.products_lent, "new product")
        click.echo(f"{lent} can be recommended by what was bought of products like them.")
    if report.trained:
        click.echo("The scorer was trained.")
    elif train:
        click.echo(f"The scorer was not trained: {report.not_trained}.", err=True)


@click.command()
@click.option("--alias", help="Alias of the products. Default: the setting search.alias (products).")
@click.option("--user", default="", help="Shopper to recommend for.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in RecommendationKind]),
    default=RecommendationKind.NEXT_PURCHASE.value,
    show_default=True,
    help="What to recommend.",
)
@click.option(
    "--product", "products", multiple=True, help="Product, or product of the basket. May be repeated."
)
@click.option(
    "--size", type=click.IntRange(1, 100), default=10, show_default=True, help="Number of products."
)
@click.option(
    "--diversity", type=click.FloatRange(0, 1), default=0.0, help="0 (best first) to 1 (most different)."
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only products with this value. May be repeated.",
)
@client_option
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
@domain_option
def recommend(
    context: CommandContext,
    alias: str | None,
    user: str,
    kind: str,
    products: tuple[str, ...],
    size: int,
    diversity: float,
    filters: tuple[str, ...],
    client_values: tuple[str, ...],
    as_json: bool,
) -> None:
    """Recommend products, each with its reason.

    \b
    attune recommend --user u1
    attune recommend --kind bought_together --product 1234
    attune recommend --domain finance --client risk=2 --client horizon=3
    """
    settings = context.settings
    cluster = connect(settings.opensearch)
    check_cluster(cluster, settings.opensearch)
    name = alias if alias is not None else settings.search.alias
    check_index_exists(cluster, name)
    index = open_searched_index(cluster, name)
    call = RecommendCall(
        index=alias or "",
        kind=RecommendationKind(kind),
        user=user,
        products=list(products),
        size=size,
        filter=msgspec.Raw(json.dumps([parse_term(pair, index.has_own_fields) for pair in filters]).encode()),
        diversity=diversity,
        client=parse_client(client_values) if client_values else UNSET,
    )
    recommender = Recommender(HttpClient(settings.opensearch), settings)
    try:
        answer = recommender.recommend(call, encode_credentials(settings.opensearch))
    except ClusterRefusal as refusal:
        body = refusal.body.decode("utf-8", "replace")
        raise AttuneError(f"OpenSearch refused the search with {refusal.status}: {body[:300]}") from refusal
    if as_json:
        click.echo(json.dumps(answer))
        return
    hits = answer["hits"]["hits"]
    if not hits:
        click.echo("Nothing to recommend: `attune events` stores orders and `attune count` counts them.")
        return
    table = Table("", "id", "product", "reason", box=None, pad_edge=False)
    for rank, hit in enumerate(hits, 1):
        title = index.read_product(hit["_id"], hit.get("_source", {})).title
        table.add_row(str(rank), Text(hit["_id"]), Text(title), Text(hit["fields"]["attune.reason"][0]))
    Console().print(table)
    if context.domain.page.notice:
        click.echo(context.domain.page.notice)


@click.command()
@click.argument("user")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def forget(context: CommandContext, user: str, as_json: bool) -> None:
    """Forget USER: remove all that is stored of a user or client.

    That is the profile, the events and the queries. Then looks for them again; whatever is found is an error.
    """
    settings = context.settings
    report = forget_shopper(_requests(settings), settings.shoppers.key, user)
    if as_json:
        click.echo(json.dumps(report.as_json()))
        return
    click.echo(
        f"Removed {format_count(report.profiles_removed, 'profile')}, "
        f"{format_count(report.events_removed, 'event')} and "
        f"{format_count(report.queries_removed, 'query', 'queries')}; "
        f"{report.documents_left} documents are left."
    )


def _requests(settings: Settings, index: str | None = None) -> ClusterRequests:
    """Connect to a cluster that answers, and that has the `index` where one is named."""
    cluster = connect(settings.opensearch)
    check_cluster(cluster, settings.opensearch)
    if index is not None:
        check_index_exists(cluster, index)
    return ClusterRequests(HttpClient(settings.opensearch), encode_credentials(settings.opensearch))


def _make_trainer() -> Train:
    trainer = load_trainer()
    if trainer is None:
        raise AttuneError("training needs torch: pip install 'attune[train]'")
    return trainer
