"""`attune install`: reranking inside the cluster, for a search box that stays pointed at OpenSearch."""

import json
import re
from dataclasses import asdict, replace

import click

from mappings.client import connect
from mappings.errors import InstallError
from mappings.settings import FusionMethod
from plugin_api.cli import Wiring
from plugin_api.commands.install import installer as installing
from plugin_api.commands.install.bodies import PIPELINE, Wanted
from plugin_api.commands.install.cluster import Cluster, Step


@click.command()
@click.option("--sidecar-url", help="Address at which the cluster reaches the sidecar (http://sidecar:8080).")
@click.option("--alias", "--index", "alias", help="Alias or index of --default (search.alias).")
@click.option(
    "--default", "as_default", is_flag=True, help="Let all searches of the alias go through the pipeline."
)
@click.option(
    "--fusion", type=click.Choice(["minmax", "rrf"]), help="How the hybrid query is fused (search.fusion)."
)
@click.option(
    "--window",
    type=click.IntRange(0, 1000),
    help="Hits that are reranked (search.window); 0 reranks each page by itself.",
)
@click.option(
    "--hybrid/--no-hybrid",
    default=None,
    help="Whether vectors may add hits; by default unless a role has document-level security, before 3.2.",
)
@click.option("--api-key", help="Key that the cluster shows the sidecar (sidecar.api_keys).")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@click.option("--uninstall", is_flag=True, help="Take away what was installed, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of the steps.")
@click.pass_obj
def install(
    wiring: Wiring,
    sidecar_url: str | None,
    alias: str | None,
    as_default: bool,
    fusion: FusionMethod | None,
    window: int | None,
    hybrid: bool | None,
    api_key: str | None,
    dry_run: bool,
    uninstall: bool,
    as_json: bool,
) -> None:
    """Put Attune inside the cluster: connectors, remote models and the search pipeline `attune`.

    A search through the pipeline becomes hybrid (its own query and the nearest product vectors), and its hits
    are ordered by the sidecar's score of their stored vectors. Queries stay as they are. It takes OpenSearch
    2.19 or later with ml-commons and neural-search, and a sidecar that the cluster can reach.

    \b
      attune serve --host 0.0.0.0
      attune install --sidecar-url http://sidecar:8080 --dry-run
      attune install --sidecar-url http://sidecar:8080 --alias shop --default
      attune install --uninstall
    Without --default only searches that ask for it are reranked: /shop/_search?search_pipeline=attune
    """
    settings = wiring.settings
    steps: list[Step] = []
    cluster = Cluster(connect(settings.opensearch), steps.append, dry_run)
    if uninstall:
        installing.uninstall(cluster)
        nothing = "Nothing of Attune is installed in this cluster."
    else:
        if alias and not as_default:
            raise click.UsageError("--alias says whose default pipeline it is to be: give --default with it")
        url = _checked_url(sidecar_url)
        search = replace(settings.search, fusion=fusion or settings.search.fusion)
        cuts = installing.can_cut(installing.check(cluster))
        if window and not cuts:
            raise InstallError(
                "a node lacks the search processors script, oversample or truncate_hits, which come with "
                "OpenSearch: without them only --window 0 works, which reranks each page by itself"
            )
        deep = (search.window if window is None else window) if cuts else 0
        kept = installing.roles_without_hybrid(cluster) if hybrid is None else ()
        widens = not kept if hybrid is None else hybrid
        wanted = Wanted(url, deep, search, api_key or "", widens)
        installing.install(cluster, wanted, (alias or search.alias) if as_default else "")
        nothing = "Installed already: nothing to change."
    if not uninstall and kept:
        click.echo(_without_hybrid(kept), err=True)
    if as_json:
        click.echo(json.dumps([asdict(step) for step in _shown(steps)], ensure_ascii=False, indent=2))
        return
    for step in _shown(steps):
        click.echo(f"{'would ' if dry_run else ''}{step.does}")
        if dry_run:
            click.echo(f"  {step.method} {step.path}")
            if step.body is not None:
                click.echo(
                    "".join(f"  {line}\n" for line in json.dumps(step.body, indent=2).splitlines()), nl=False
                )
    if not steps:
        click.echo(nothing)
    elif not (dry_run or uninstall):
        click.echo(_after(as_default, alias or settings.search.alias, deep))


def _checked_url(url: str | None) -> str:
    if not url:
        raise click.UsageError(
            "--sidecar-url is missing: the address at which the cluster reaches the sidecar"
        )
    if not re.fullmatch(r"https?://[^/?#\s${}\"]+(/[^?#\s${}\"]*)?", url):
        raise click.BadParameter(f"{url!r} is no http or https address", param_hint="--sidecar-url")
    return url.rstrip("/")


def _shown(steps: list[Step]) -> list[Step]:
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
        "this version of OpenSearch refuses hybrid queries of theirs. --hybrid adds hits all the same."
    )


def _after(as_default: bool, alias: str, window: int) -> str:
    depth = f"{window} hits" if window else "each page"
    if as_default:
        whose = f"All searches of {alias} are reranked now, {depth} of them."
    else:
        whose = f"Searches with ?search_pipeline={PIPELINE} are reranked now, {depth} of them."
    return (
        f"{whose} With the security plugin on, their users need the permission "
        "cluster:admin/opensearch/ml/predict; without it they get OpenSearch's own order."
    )
