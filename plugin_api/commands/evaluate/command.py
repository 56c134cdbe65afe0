"""`attune evaluate`: how good the ranking is, by people's judgements, beside others."""

import json
from pathlib import Path

import click

from mappings.client import check_cluster, connect
from mappings.errors import EvaluationError
from plugin_api.commands.context import CommandContext
from plugin_api.commands.domain_option import domain_option
from plugin_api.commands.evaluate.systems import SECOND, SYSTEMS
from plugin_api.commands.searched_index import check_index_exists, open_searched_index, read_template
from plugin_api.opensearch.client import encode_credentials
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.count_job import load_trainer
from plugin_api.terminal import task_progress
from reranker.model import load_model

_A_PATH = click.Path(path_type=Path)


@click.command()
@click.option(
    "--judgements", type=_A_PATH, help="CSV file with the columns query, product_id, grade (0 to 3)."
)
@click.option("--qrels", type=_A_PATH, help="Judgements in TREC's qrels format instead.")
@click.option(
    "--queries", type=_A_PATH, help="Texts of the query ids in --qrels and --run: QUERY-ID<TAB>TEXT."
)
@click.option("--alias", help="Alias or index to search. Default: the setting search.alias.")
@click.option(
    "--system",
    "systems",
    multiple=True,
    type=click.Choice(list(SYSTEMS)),
    help="Only this ranking of the index. May be repeated. Default: all.",
)
@click.option(
    "--query-template", type=_A_PATH,
    help="The shop's own search, a JSON body with {{text}} for the words. Default: a search of all texts.",
)  # fmt: skip
@click.option("--model", type=_A_PATH, help="Model folder. Default: the setting model.folder.")
@click.option("--second-model", type=_A_PATH, help="Another model's folder, to compare with.")
@click.option("--second-alias", help="The index made with the second model.")
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="NAME=FILE",
    help="A ranking in TREC's run format. May be repeated.",
)
@click.option("--recommend", is_flag=True, help="Measure recommendations by stored orders instead.")
@click.option("--personal", is_flag=True, help="Measure personal search by stored searches instead.")
@click.option(
    "--days",
    type=click.FloatRange(1),
    default=28.0,
    show_default=True,
    help="Days at the end whose orders are predicted (--recommend).",
)
@click.option(
    "--interleaved",
    type=_A_PATH,
    help="Clicks on interleaved rankings, JSON lines: query, first (Attune's ids), second, clicked.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Least probability at which a product counts as found, in precision, recall and F1.",
)
@click.option(
    "--depth", type=click.IntRange(10, 1000), default=100, show_default=True, help="Hits of each ranking."
)
@click.option("--held-out", is_flag=True, help="Leave out the queries that the model was trained on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the figures of every query.")
@click.option("--html", type=_A_PATH, help="Also write a report with plots to this file.")
@click.pass_obj
@domain_option
def evaluate(
    context: CommandContext,
    judgements: Path | None,
    qrels: Path | None,
    queries: Path | None,
    alias: str | None,
    systems: tuple[str, ...],
    query_template: Path | None,
    model: Path | None,
    second_model: Path | None,
    second_alias: str | None,
    runs: tuple[str, ...],
    recommend: bool,
    personal: bool,
    days: float,
    interleaved: Path | None,
    threshold: float,
    depth: int,
    held_out: bool,
    as_json: bool,
    html: Path | None,
) -> None:
    """Measure rankings by judgements, or by what shoppers did.

    Compares Attune with BM25, its own parts, other models and other engines.

    \b
      attune evaluate --judgements judged.csv --alias shop --html report.html
      attune evaluate --judgements judged.csv --alias shop \\
        --second-model NEW --second-alias shop-new
      attune evaluate --qrels qrels.txt --run old=old.trec --run new=new.trec
      attune evaluate --recommend --alias shop
      attune evaluate --personal --alias shop

    With --run but neither --alias nor --system, no index is searched: OpenSearch is not needed then.

    Every ranking is measured over the whole catalogue, where products that nobody judged count as irrelevant,
    and over each query's judged products alone. The first system is compared with each other one: mean
    change of nDCG@10 with a 95 % interval, a significance test, and the queries won and lost. Queries that
    lose more than 0.1 against the shop's own search are counted by kind, and listed.

    --recommend predicts stored orders (attune events) of a fifth of the shoppers, on whom nothing is counted:
    those of the last --days, and each shopper's last one. --personal repeats stored searches that led to a
    click or purchase, with the history that their shoppers had then, and without.
    """
    if recommend or personal:
        if judgements or qrels or runs or systems or second_alias or interleaved or (recommend and personal):
            raise click.UsageError("--recommend and --personal stand alone: they measure by stored events")
        _evaluate_behaviour(context, recommend, alias, query_template, model, days, as_json, html)
        return
    if (judgements is None) == (qrels is None):
        raise click.UsageError("give the judgements: one of --judgements FILE.csv and --qrels FILE")
    if (second_model is None) != (second_alias is None):
        raise click.UsageError("--second-model and --second-alias go together: each model has its own index")
    files = _named(runs)
    settings = context.settings
    indexed = bool(alias or systems or second_alias or not files)
    try:
        # ir-measures and scipy are an extra; `attune --help` imports this module without them.
        from plugin_api.commands.evaluate.job import EvaluationJob, run_evaluation
        from plugin_api.commands.evaluate.report import write_report
        from plugin_api.commands.evaluate.table import print_tables
        from plugin_api.commands.evaluate.table import tabulate_evaluation as tabulated
    except ModuleNotFoundError as error:
        raise EvaluationError(f"measuring needs {error.name}: pip install 'attune[evaluate]'") from error
    folder = model or (Path(settings.model.folder) if settings.model.folder else None)
    job = EvaluationJob(
        judgements=judgements,
        qrels=qrels,
        queries=queries,
        systems=(systems or tuple(SYSTEMS)) if indexed else (),
        alias=alias or settings.search.alias,
        model=folder,
        second=(second_model, second_alias) if second_model and second_alias else None,
        runs=files,
        threshold=threshold,
        depth=depth,
        held_out=held_out,
        query_template=query_template,
        interleaved=interleaved,
    )
    evaluation = run_evaluation(job, settings, task_progress)
    if html:
        write_report(evaluation, html)
    if as_json:
        click.echo(json.dumps(tabulated(evaluation), ensure_ascii=False, indent=2, allow_nan=False))
        return
    print_tables(evaluation)
    if html:
        click.echo(f"Report: {html}")


def _evaluate_behaviour(
    context: CommandContext,
    recommend: bool,
    alias: str | None,
    query_template: Path | None,
    folder: Path | None,
    days: float,
    as_json: bool,
    html: Path | None,
) -> None:
    settings = context.settings
    try:
        from plugin_api.commands.evaluate.behaviour.personal_job import evaluate_personal_search
        from plugin_api.commands.evaluate.behaviour.recommend_job import evaluate_recommendations
        from plugin_api.commands.evaluate.behaviour.report import write_behaviour_report
        from plugin_api.commands.evaluate.behaviour.table import print_behaviour, tabulate_behaviour
    except ModuleNotFoundError as error:
        raise EvaluationError(f"measuring needs {error.name}: pip install 'attune[evaluate]'") from error
    client = HttpClient(settings.opensearch)
    cluster = connect(settings.opensearch)
    check_cluster(cluster, settings.opensearch)
    name = alias or settings.search.alias
    check_index_exists(cluster, name)
    if recommend:
        requests = ClusterRequests(client, encode_credentials(settings.opensearch))
        train = load_trainer()
        evaluation = evaluate_recommendations(requests, name, settings, days, train, task_progress)
    else:
        chosen = folder or (Path(settings.model.folder) if settings.model.folder else None)
        model = load_model(chosen, settings.model.threads)
        template = read_template(query_template) if query_template else None
        make_query = open_searched_index(cluster, name, template).make_query
        evaluation = evaluate_personal_search(client, name, settings, model, make_query, task_progress)
    if html:
        write_behaviour_report(evaluation, html)
    if as_json:
        click.echo(json.dumps(tabulate_behaviour(evaluation), ensure_ascii=False, indent=2))
        return
    print_behaviour(evaluation)
    if html:
        click.echo(f"Report: {html}")


def _named(runs: tuple[str, ...]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for pair in runs:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(f"{pair!r} is not of the form NAME=FILE", param_hint="--run")
        if name in files or name in SYSTEMS or name == SECOND:
            raise click.BadParameter(f"the name {name} is taken: choose another", param_hint="--run")
        files[name] = Path(path)
    return files
