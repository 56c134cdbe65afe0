"""`attune serve`: the sidecar."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import click

from mappings.client import connect
from plugin_api.commands.context import CommandContext
from plugin_api.commands.domain_option import domain_option, format_example_query
from plugin_api.commands.serve.index_models import other_models
from plugin_api.sidecar.server import listen, run_sidecar
from plugin_api.sidecar.serving.asgi import Application


@click.command()
@click.option("--host", help="Address to listen on. Default: the setting sidecar.host.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one. Default: sidecar.port.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Processes, each with a model of its own. Default: sidecar.workers.",
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Model folder. Default: the setting model.folder."
)
@click.pass_obj
@domain_option
def serve(
    context: CommandContext, host: str | None, port: int | None, workers: int | None, model: Path | None
) -> None:
    """Start the sidecar: reranked searches over HTTP.

    Point your search box at it instead of at OpenSearch. All other requests are passed through.

    \b
      attune serve
      curl 'localhost:8080/products/_search?pretty' \\
        -H 'Content-Type: application/json' \\
        -d '{"query": {"match": {"title": "wireless mouse"}}}'
    """
    settings = context.settings
    sidecar = replace(
        settings.sidecar,
        host=host or settings.sidecar.host,
        port=settings.sidecar.port if port is None else port,
        workers=workers or settings.sidecar.workers,
    )
    folder = model or (Path(settings.model.folder) if settings.model.folder else None)
    settings = replace(settings, sidecar=sidecar)
    listener = listen(sidecar)
    named = f"[{sidecar.host}]" if ":" in sidecar.host else sidecar.host
    scheme = "https" if sidecar.tls_certificate else "http"
    address = f"{scheme}://{named}:{listener.getsockname()[1]}"

    versions: list[str] = []

    def build(stack: AsyncExitStack) -> Application:
        # Imported in the worker: ONNX Runtime starts threads when imported, and a fork would lose them;
        # prometheus-client looks, when imported, where workers share their numbers.
        from plugin_api.commands.serve.shipped_models import load_shipped_models
        from plugin_api.search.pictures.tower import open_picture_tower
        from plugin_api.sidecar.wiring import build_application
        from reranker.mixed_model import load_any_model
        from reranker.speech.transcriber import open_transcriber

        threads = settings.model.threads
        loaded = load_any_model(folder, threads).load()
        others = [load_any_model(Path(each), threads).load() for each in settings.model.other_folders]
        pictures = open_picture_tower(settings.pictures, [loaded, *others])
        known = {each.version for each in (loaded, *others)}
        others += load_shipped_models(settings.opensearch, threads, known)
        versions.extend(dict.fromkeys(each.version for each in (loaded, *others)))
        transcriber = open_transcriber(settings.speech)
        return build_application(settings, stack, loaded, others, pictures=pictures, transcriber=transcriber)

    def ready() -> None:
        client = connect(settings.opensearch)
        for line in other_models(client, settings.search.alias, versions):
            click.echo(f"attune: {line}", err=True)
        client.close()
        click.echo(f"Attune reranks the searches of {settings.opensearch.url} at {address}. Try:")
        click.echo(
            f"  curl '{address}/{settings.search.alias}/_search?pretty' -H 'Content-Type: application/json' "
            f"-d {format_example_query(context.domain)}"
        )
        click.echo(f"Rankings side by side: {address}/_attune/")

    run_sidecar(listener, sidecar, build, ready)
