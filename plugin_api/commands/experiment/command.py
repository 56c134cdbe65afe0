"""`attune experiment`: what shoppers prefer, by the experiment of the settings."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from mappings.client import check_cluster, connect
from mappings.errors import SettingsError
from mappings.settings import ExperimentSettings, list_variants
from plugin_api.commands.context import CommandContext
from plugin_api.commands.experiment.report import write_experiment_report
from plugin_api.opensearch.client import encode_credentials
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.experiments.results import (
    ExperimentResult,
    PreferenceResult,
    VariantResult,
    count_current,
)
from plugin_api.terminal import format_count
from reranker.experiments.off_policy import PolicyValue
from reranker.experiments.sample_size import plan_preference

_SIGNIFICANT = 0.05
_PREFERENCE = 0.51


@click.command()
@click.option("--name", help="Another experiment than the setting experiment.name.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a report page too.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.pass_obj
def experiment(context: CommandContext, name: str | None, html: Path | None, as_json: bool) -> None:
    """Report which of two rankings shoppers prefer.

    The settings experiment.name, experiment.first and experiment.second start an experiment of `attune
    serve`; events that bear the `query_id` of its answers decide it. The test may be read at any time: it
    raises a false alarm in at most one experiment of twenty, however often one looks.
    """
    settings = context.settings
    chosen = name or settings.experiment.name
    if not chosen:
        raise SettingsError("no experiment: set experiment.name, or give --name")
    if not settings.shoppers.key:
        raise SettingsError("experiments need shoppers.key, by which their events are signed")
    check_cluster(connect(settings.opensearch), settings.opensearch)
    requests = ClusterRequests(HttpClient(settings.opensearch), encode_credentials(settings.opensearch))
    result = count_current(requests, settings, chosen)
    if html:
        write_experiment_report(result, settings.experiment, html)
    if as_json:
        click.echo(json.dumps(asdict(result)))
        return
    for line in describe_result(result, settings.experiment):
        click.echo(line)
    if html:
        click.echo(f"Report: {html}")


def describe_result(result: ExperimentResult, settings: ExperimentSettings) -> Iterator[str]:
    """Yield a result as lines for people; the variants' settings where the result is of these settings."""
    written = list_variants(settings) if result.name == settings.name else {}
    for name, text in written.items():
        yield f"{name}: {text.strip() or 'the settings as they are'}"
    if result.preference:
        yield from _describe_preference(result.preference)
    for variant in result.variants:
        yield from _describe_variant(variant)
    if result.rates:
        yield f"Difference {result.rates.share:+.1%} ({_format_p(result.rates.p)})."
        yield _judge(result.rates.p, result.rates.share > 0)
    if not result.preference and not result.variants:
        yield f"No stored event bears a query_id of experiment {result.name} yet."
    if result.uncredited:
        events = format_count(result.uncredited, "event")
        yield f"{events} without the place of the product: they decide nothing."
    for name, reason in result.stopped.items():
        yield f"Stopped: the {name} variant. {reason[0].upper()}{reason[1:]}."


def _describe_variant(variant: VariantResult) -> Iterator[str]:
    searches = max(variant.searches, 1)
    yield (
        f"{variant.name}: an action followed {variant.acted:,} of {variant.searches:,} searches "
        f"({variant.acted / searches:.1%}); {variant.empty / searches:.1%} without hits, "
        f"{variant.slow / searches:.1%} slow, {variant.mean_ms:.0f} ms, revenue {variant.revenue:,.2f}."
    )
    if variant.value and variant.robust:
        yield (
            f"  shown always, it would have {_format_value(variant.value)} "
            f"(doubly robust {_format_value(variant.robust)})."
        )
    elif variant.too_few:
        yield f"  what it would have if shown always is not known: {variant.too_few}."


def _format_value(value: PolicyValue) -> str:
    return f"{value.mean:.1%}, {value.low:.1%} to {value.high:.1%}"


def _describe_preference(result: PreferenceResult) -> Iterator[str]:
    decided = result.first + result.second
    searches = format_count(decided + result.ties, "interleaved search", "interleaved searches")
    yield f"{searches} with an action, {decided:,} decided, {result.ties:,} tied."
    if decided:
        p = _format_p(result.test.p)
        yield f"The first ranking wins {result.test.share:.1%} of the decided ones ({p})."
    yield _judge(result.test.p, result.test.share > 0.5)
    if result.test.p >= _SIGNIFICANT:
        needed = plan_preference(_PREFERENCE)
        yield f"To see a preference of 51 : 49 takes some {needed:,} decided searches."


def _format_p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _judge(p: float, first_leads: bool) -> str:
    if p >= _SIGNIFICANT:
        return "Not decided: the difference may be chance."
    return f"Decided: shoppers prefer the {'first' if first_leads else 'second'} ranking."
