"""`attune experiment`: what shoppers prefer, by the experiment of the settings."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from mappings.client import check_cluster, connect
from mappings.errors import SettingsError
from mappings.settings import ExperimentSettings
from plugin_api.commands.context import CommandContext
from plugin_api.opensearch.client import encode_credentials
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.experiment_results import (
    ExperimentResult,
    PreferenceResult,
    RateResult,
    count_experiment,
)
from plugin_api.terminal import format_count
from reranker.experiments.sample_size import plan_preference

_SIGNIFICANT = 0.05
_PREFERENCE = 0.51


@click.command()
@click.option("--name", help="Another experiment than the setting experiment.name.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.pass_obj
def experiment(context: CommandContext, name: str | None, as_json: bool) -> None:
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
    result = count_experiment(requests, chosen, settings.shoppers.key)
    if as_json:
        click.echo(json.dumps(asdict(result)))
        return
    for line in describe_result(result, settings.experiment):
        click.echo(line)


def describe_result(result: ExperimentResult, settings: ExperimentSettings) -> Iterator[str]:
    """Yield a result as lines for people; the variants' settings where the result is of these settings."""
    is_current = result.name == settings.name
    for key in ("first", "second") if is_current else ():
        yield f"{key}: {getattr(settings, key) or 'the settings as they are'}"
    if result.preference:
        yield from _describe_preference(result.preference)
    if result.rates:
        yield from _describe_rates(result.rates)
    if not result.preference and not result.rates:
        yield f"No stored event bears a query_id of experiment {result.name} yet."
    if result.uncredited:
        events = format_count(result.uncredited, "event")
        yield f"{events} without the place of the product: they decide nothing."


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


def _describe_rates(result: RateResult) -> Iterator[str]:
    for label, acted, searches in (
        ("first", result.first_acted, result.first_searches),
        ("second", result.second_acted, result.second_searches),
    ):
        rate = acted / searches if searches else 0.0
        yield f"{label}: an action followed {acted:,} of {searches:,} searches ({rate:.1%})."
    yield f"Difference {result.test.share:+.1%} ({_format_p(result.test.p)})."
    yield _judge(result.test.p, result.test.share > 0)


def _format_p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _judge(p: float, first_leads: bool) -> str:
    if p >= _SIGNIFICANT:
        return "Not decided: the difference may be chance."
    return f"Decided: shoppers prefer the {'first' if first_leads else 'second'} ranking."
