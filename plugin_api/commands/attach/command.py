"""The commands `attach`, `follow` and `detach`."""

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from opensearchpy import OpenSearch

from indexer.attach.attachment import Attachment
from indexer.attach.estimate import estimate_attaching
from indexer.attach.job import FollowJob, attach_index, detach_index, follow_index
from indexer.attach.sample import guess_shop_map, load_shop_map, read_sample
from indexer.attach.shop_index import find_shop_indexes, read_attachment
from indexer.attach.updater import AttachReport
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item
from indexer.pictures.encoding import CataloguePictures
from indexer.pictures.sources import WEB
from indexer.store.opensearch_errors import translate_errors
from mappings.errors import SettingsError
from mappings.settings import Settings
from plugin_api.commands.attach.summary import summarize_estimate
from plugin_api.commands.context import CommandContext
from plugin_api.commands.domain_option import domain_option, put_domain
from plugin_api.commands.index.attached import summarize_attach
from plugin_api.commands.index.metrics import JobMetrics
from plugin_api.commands.index.models import model_folders, names_model
from plugin_api.commands.index.pictures import open_pictures, summarize_pictures
from plugin_api.commands.index.priority import lower_priority
from plugin_api.commands.index.session import open_job_session, open_service_session
from plugin_api.commands.index.signals import stop_on_signals
from plugin_api.commands.searched_index import check_index_exists
from plugin_api.terminal import JobProgress, format_count
from reranker.shipped_models import choose_shipped_model

_A_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("name", metavar="INDEX")
@click.option(
    "--fields", type=_A_PATH,
    help="Field map in TOML. Default: that of an earlier run, else guessed and printed.",
)  # fmt: skip
@click.option("--language", default="", help='Of fields in several languages, encode this one, such as "de".')
@click.option(
    "--images", default="", metavar="PLACE",
    help="Encode pictures: a folder of files named by id or as in documents, or `web`.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be done, how long it takes and what it adds.")
@click.option("--model", type=_A_PATH, help="Model folder. Default: the one shipped with Attune.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
@click.pass_obj
@domain_option
def attach(
    context: CommandContext,
    name: str,
    fields: Path | None,
    language: str,
    images: str,
    dry_run: bool,
    model: Path | None,
    as_json: bool,
) -> None:
    """Add vectors to the index that a shop already has.

    INDEX is the index or alias that the shop's searches use. Its mapping, analyzers, queries and writers stay
    as they are: documents only gain the field `attune`, by updates that give way to every write of the
    shop's. The same command continues a killed run. An index without the setting index.knn is replaced by a
    copy that has it; the old one is kept. Name the index as its writers do.

    Which field is a product's title, brand and so on is guessed from the mapping and a sample, and printed.
    Correct it in a file and pass that by --fields. Paths lead into objects and lists:

    \b
      title = "name.de"
      brand = "manufacturer.label"
      category = "categories.name"
      description = ["teaser", "body"]     # several fields are joined
      price = "offers.price"
      attributes = ["color", "specs"]
      image = "media.url"                  # of the picture, for --images

    Afterwards `attune follow INDEX` keeps the vectors in step with the shop's writers, and `attune detach
    INDEX` takes them out again.
    """
    lower_priority()
    settings, stop = context.settings, threading.Event()
    with stop_on_signals(stop), JobProgress("attaching", hidden=as_json) as progress:
        models = model_folders(model, settings.model)
        session = open_job_session(settings, name, models, stop, progress)
        _check_name(session.client, name)
        indexes = find_shop_indexes(session)
        sample = read_sample(session, indexes)
        earlier = next((index.attachment for index in indexes if index.attachment), None)
        pictures = _open_pictures(images, earlier, settings)
        session = replace(session, pictures=pictures)
        if fields:
            field_map = put_domain(load_shop_map(fields, sample), context.domain)
        elif earlier and not language:
            field_map = earlier.field_map
        else:
            field_map = put_domain(guess_shop_map(sample, language), context.domain)
            progress.say(f"The field map, guessed; correct it by --fields:\n\n{field_map.as_toml()}\n")
        if not names_model(model, settings.model) and not (earlier and models.prefer_version(earlier.model)):
            sampled = read_products(sample.records(), field_map)
            models.prefer(choose_shipped_model(each.product for each in sampled if isinstance(each, Item)))
        if dry_run:
            estimate = estimate_attaching(session, indexes, sample, field_map)
            report, summary = asdict(estimate), summarize_estimate(estimate)
        else:
            done = attach_index(session, field_map)
            report = asdict(done) | _report_pictures(pictures)
            summary = "\n".join([*_summarize_pictures(pictures), summarize_attach(done)])
    click.echo(
        json.dumps(report | {"fields": field_map.as_json()}, ensure_ascii=False) if as_json else summary
    )


@click.command()
@click.argument("name", metavar="INDEX")
@click.option(
    "--every", type=click.FloatRange(min=0.05), default=0.25, show_default=True, metavar="SECONDS",
    help="Seconds between two looks for changes.",
)  # fmt: skip
@click.option(
    "--once", is_flag=True, help="End when all changes up to now are done, as a job of a scheduler."
)
@click.option("--full", is_flag=True, help="Begin with a look at every document, and at its pictures.")
@click.option(
    "--images", default="", metavar="PLACE",
    help="Folder of the pictures, or `web`. Default: where `attune attach` had them from.",
)  # fmt: skip
@click.option("--model", type=_A_PATH, help="Folder of the model that INDEX was attached with.")
@click.option("--metrics", type=_A_PATH, help="Write metrics for Prometheus to this .prom file.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
@click.pass_obj
@domain_option
def follow(
    context: CommandContext,
    name: str,
    every: float,
    once: bool,
    full: bool,
    images: str,
    model: Path | None,
    metrics: Path | None,
    as_json: bool,
) -> None:
    """Keep an attached index in step with the shop's own writers.

    Looks for new and changed documents four times a second, and encodes those whose text changed. Vectors
    that a writer dropped, by writing a document anew, come back. Deletes need nothing. What is done is
    remembered: a run that was killed continues, and finds what was written meanwhile.

    It runs until it is stopped (SIGTERM or Ctrl-C), and waits for OpenSearch where that is away. With --once
    it ends when there is nothing left to do, or when OpenSearch is away for `index.retry_seconds`.
    """
    lower_priority()
    settings, stop, stop_now = context.settings, threading.Event(), threading.Event()
    file = JobMetrics(metrics, name, "follow")
    with (
        stop_on_signals(stop, stop_now),
        file.record_failure(),
        JobProgress("following", as_json) as progress,
    ):
        models = model_folders(model, settings.model)
        if once:
            session = open_job_session(settings, name, models, stop_now, progress)
            _check_name(session.client, name)
        else:
            session = open_service_session(settings, name, models, (stop, stop_now), progress)
        with translate_errors(f"looking up {name}"):
            earlier = read_attachment(session.client, name)
        pictures = _open_pictures(images, earlier, settings)
        session = replace(session, pictures=pictures)

        def write_running(report: AttachReport) -> None:
            file.write_running(asdict(report))

        report = follow_index(session, FollowJob(every, once, full), stop, write_running)
        file.write_success(asdict(report))
    if as_json:
        click.echo(json.dumps(asdict(report) | _report_pictures(pictures), ensure_ascii=False))
    else:
        click.echo("\n".join([*_summarize_pictures(pictures), summarize_attach(report)]))


@click.command()
@click.argument("name", metavar="INDEX")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def detach(context: CommandContext, name: str, as_json: bool) -> None:
    """Take out of an index what `attune attach` put in.

    Removes the field `attune` of every document. The shop's own fields stay as they are. The names of the
    fields stay in the mapping, without values: OpenSearch can't remove them.
    """
    lower_priority()
    stop = threading.Event()
    with stop_on_signals(stop), JobProgress("detaching", hidden=as_json) as progress:
        models = model_folders(None, context.settings.model)
        session = open_job_session(context.settings, name, models, stop, progress)
        _check_name(session.client, name)
        report = detach_index(session)
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        click.echo(
            f"Took the vectors of {format_count(report.documents, 'document')} "
            f"out of {', '.join(report.indexes)}."
        )


def _check_name(client: OpenSearch, name: str) -> None:
    """Raise SettingsError where the shop has no index or alias of a name."""
    with translate_errors(f"looking up {name}"):
        check_index_exists(client, name, "Name the one that your searches use")


def _open_pictures(images: str, earlier: Attachment | None, settings: Settings) -> CataloguePictures | None:
    """Return the pictures at the place that is named, by default at that of an earlier run."""
    recorded = earlier.pictures.place if earlier and earlier.pictures else ""
    if recorded not in ("", WEB) and not images and not Path(recorded).is_dir():
        raise SettingsError(
            f"the index was attached with pictures of the folder {recorded}, which is not on this machine: "
            "name the folder that they are in by --images"
        )
    return open_pictures(images or recorded, settings, earlier.vectors if earlier else "")


def _report_pictures(pictures: CataloguePictures | None) -> dict[str, Any]:
    return {"pictures": asdict(pictures.stats)} if pictures else {}


def _summarize_pictures(pictures: CataloguePictures | None) -> Iterator[str]:
    return summarize_pictures(pictures.stats) if pictures else iter(())
