"""`attune install`: reranking inside the cluster, for a search box that still asks OpenSearch itself."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace

import click

from mappings.client import connect
from mappings.errors import InstallError
from mappings.settings import FusionMethod, Settings, TunedSettings
from plugin_api.commands.context import CommandContext
from plugin_api.commands.install.bodies import PIPELINE_NAME, InstallPlan
from plugin_api.commands.install.cluster import Cluster, Step
from plugin_api.commands.install.ingest import check_ingest_requirements, install_ingest
from plugin_api.commands.install.installer import (
    can_rerank_windows,
    check_requirements,
    find_roles_without_hybrid,
    install_pipeline,
)
from plugin_api.commands.install.uninstaller import uninstall as uninstall_all
from plugin_api.terminal import format_count
from plugin_api.tuning.record import read_tunings


@click.command()
@click.option(
    "--sidecar-url", help="Address of the sidecar as the cluster reaches it, such as http://sidecar:8080."
)
@click.option(
    "--alias", "--index", "alias",
    help="Alias or index for --default or --ingest. Default: the setting search.alias.",
)  # fmt: skip
@click.option(
    "--ingest", is_flag=True,
    help="Encode documents as they are written to the alias, in place of reranking searches.",
)  # fmt: skip
@click.option(
    "--default", "as_default", is_flag=True, help="Send all searches of the alias through the pipeline."
)
@click.option(
    "--fusion",
    type=click.Choice(["minmax", "rrf"]),
    help="How the hybrid query's lists are fused. Default: the setting search.fusion.",
)
@click.option(
    "--window",
    type=click.IntRange(0, 1000),
    help="Number of hits that are reranked; 0 reranks each page by itself. Default: search.window.",
)
@click.option(
    "--hybrid/--no-hybrid",
    default=None,
    help="Whether vectors may add hits. Default: yes, but before 3.2 no with document-level security.",
)
@click.option("--api-key", help="API key that the cluster sends to the sidecar, one of its sidecar.api_keys.")
@click.option("--dry-run", is_flag=True, help="Print the requests, and send none that changes anything.")
@click.option("--uninstall", is_flag=True, help="Remove what was installed, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of the steps.")
@click.pass_obj
def install(
    context: CommandContext,
    sidecar_url: str | None,
    alias: str | None,
    ingest: bool,
    as_default: bool,
    fusion: FusionMethod | None,
    window: int | None,
    hybrid: bool | None,
    api_key: str | None,
    dry_run: bool,
    uninstall: bool,
    as_json: bool,
) -> None:
    """Have the cluster itself call the sidecar.

    With --ingest: encode the documents of an attached index as they are written, by an ingest pipeline.

    \b
      attune attach shop
      attune install --sidecar-url http://sidecar:8080 --alias shop --ingest

    Without it: installs connectors, remote models and the search pipeline `attune`.
    The pipeline makes a search hybrid (its own query and the nearest product vectors) and orders the
    hits by the sidecar's score of their stored vectors. The search box sends its queries unchanged.
    This needs OpenSearch 2.19 or later with ml-commons and neural-search, and a sidecar that the
    cluster can reach.

    \b
      attune serve --host 0.0.0.0
      attune install --sidecar-url http://sidecar:8080 --dry-run
      attune install --sidecar-url http://sidecar:8080 --alias shop --default
      attune install --uninstall
    Without --default only searches that name the pipeline are reranked:
      /shop/_search?search_pipeline=attune
    """
    settings = context.settings
    steps: list[Step] = []
    client = connect(settings.opensearch)
    cluster = Cluster(client, steps.append, dry_run)
    warning, after = "", ""
    nothing = "Installed already: nothing to change."
    if uninstall:
        uninstall_all(cluster)
        nothing = "Nothing of Attune is installed in this cluster."
    elif ingest:
        if as_default or fusion or window is not None or hybrid is not None:
            raise click.UsageError("--default, --fusion, --window and --hybrid are not for --ingest")
        alias = alias or settings.search.alias
        plan = InstallPlan(_check_url(sidecar_url), 0, settings.search, api_key or "")
        check_ingest_requirements(cluster)
        install_ingest(cluster, plan, alias)
        after = _after_ingest(alias)
    else:
        if alias and not as_default:
            raise click.UsageError(
                "--alias needs --default or --ingest: it names the alias that gets the pipeline"
            )
        url = _check_url(sidecar_url)
        search = replace(settings.search, fusion=fusion or settings.search.fusion)
        has_windows = can_rerank_windows(check_requirements(cluster))
        if window and not has_windows:
            raise InstallError(
                "a node lacks the search processors script, oversample or truncate_hits, which come with "
                "OpenSearch: only --window 0 works without them, which reranks each page by itself"
            )
        depth = (search.window if window is None else window) if has_windows else 0
        restricted = find_roles_without_hybrid(cluster) if hybrid is None else ()
        add_hits = not restricted if hybrid is None else hybrid
        plan = InstallPlan(url, depth, search, api_key or "", add_hits)
        install_pipeline(cluster, plan, (alias or search.alias) if as_default else "")
        warning = _without_hybrid(restricted) if restricted else ""
        if as_default and (tuned := read_tunings(client, alias or search.alias)):
            warning = "\n".join(filter(None, (warning, _describe_untuned(tuned, settings))))
        after = _after(as_default, alias or search.alias, depth)
    _print_steps(_masked(steps), as_json, dry_run, warning, nothing)
    if after and steps and not (dry_run or as_json):
        click.echo(after)


def _print_steps(steps: list[Step], as_json: bool, dry_run: bool, warning: str, nothing: str) -> None:
    if warning:
        click.echo(warning, err=True)
    if as_json:
        click.echo(json.dumps([asdict(step) for step in steps], ensure_ascii=False, indent=2))
        return
    for step in steps:
        click.echo(f"{'would ' if dry_run else ''}{step.does}")
        if dry_run:
            click.echo(f"  {step.method} {step.path}")
            if step.body is not None:
                click.echo(
                    "".join(f"  {line}\n" for line in json.dumps(step.body, indent=2).splitlines()), nl=False
                )
    if not steps:
        click.echo(nothing)


def _check_url(url: str | None) -> str:
    if not url:
        raise click.UsageError(
            "--sidecar-url is missing: the address at which the cluster reaches the sidecar"
        )
    if not re.fullmatch(r"https?://[^/?#\s${}\"]+(/[^?#\s${}\"]*)?", url):
        raise click.BadParameter(f"{url!r} is not an http:// or https:// address", param_hint="--sidecar-url")
    return url.rstrip("/")


def _masked(steps: list[Step]) -> list[Step]:
    """The steps with the API key masked."""
    return [
        replace(step, body={**step.body, "credential": {"key": "***"}})
        if step.body and "credential" in step.body
        else step
        for step in steps
    ]


def _without_hybrid(roles: tuple[str, ...]) -> str:
    return (
        f"Vectors order hits but add none: users of {', '.join(roles)} have document-level security, and "
        "this version of OpenSearch refuses their hybrid queries. --hybrid adds hits all the same."
    )


def _describe_untuned(tunings: Mapping[str, TunedSettings], settings: Settings) -> str:
    """Say which settings that `attune tune` has chosen for an index the pipeline does without."""
    lacking = {
        f"search.{name} = {value}"
        for tuned in tunings.values()
        for name, value in tuned.values.items()
        if getattr(settings.search, name) != value
    }
    if not lacking:
        return ""
    return (
        f"attune tune has chosen {', '.join(sorted(lacking))} for this index. A pipeline does not read that: "
        "set it where `attune serve` reads its settings, and install again."
    )


def _after_ingest(alias: str) -> str:
    return (
        f"Documents written to {alias} get their vectors at once now. One that the sidecar does not encode "
        f"in time is stored without, and `attune follow {alias}` encodes it. With the security plugin on, "
        "writers need the permission cluster:admin/opensearch/ml/predict; follow encodes for those without."
    )


def _after(as_default: bool, alias: str, window: int) -> str:
    depth = f"the first {format_count(window, 'hit')}" if window else "each page by itself"
    if as_default:
        whose = f"All searches of {alias} are reranked now ({depth})."
    else:
        whose = f"Searches with ?search_pipeline={PIPELINE_NAME} are reranked now ({depth})."
    return (
        f"{whose} With the security plugin on, their users need the permission "
        "cluster:admin/opensearch/ml/predict; without it they get OpenSearch's own order."
    )
