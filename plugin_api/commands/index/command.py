"""`attune index`: a catalogue, or its changes, into OpenSearch."""

from pathlib import Path

import click

from indexer.change.changes import ChangeKind
from indexer.sources.files import parse_read_options
from mappings.errors import SettingsError
from plugin_api.commands.context import CommandContext
from plugin_api.commands.domain_option import domain_option
from plugin_api.commands.index.run import IndexRun
from plugin_api.commands.index.sources import IndexOptions


@click.command()
@click.argument("source", required=False, default="")
@click.option(
    "--full", "mode", flag_value="full", default="full", help="Rebuild the whole index (the default)."
)
@click.option("--changes", "mode", flag_value="changes", help="Apply changes to the index in use.")
@click.option(
    "--verify", "mode", flag_value="verify",
    help="Compare catalogue and index, and change nothing.",
)  # fmt: skip
@click.option(
    "--reencode", "mode", flag_value="reencode",
    help="Rebuild from the index itself, as for another --model; no SOURCE.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--alias", help="Name that searches use. Default: the setting search.alias (products).")
@click.option(
    "--fields", type=click.Path(path_type=Path),
    help="Field map in TOML. Default: guessed; for --changes and --verify, that of the index.",
)  # fmt: skip
@click.option(
    "--preset", default="", help="Read SOURCE as this export, such as shopify. Default: recognised."
)
@click.option(
    "--read-as", default="", metavar="OPTIONS",
    help='How to read SOURCE where detection is wrong, as "encoding=cp1252 delimiter=; quote=none".',
)  # fmt: skip
@click.option(
    "--model", type=click.Path(path_type=Path), help="Model folder. Default: the one shipped with Attune."
)
@click.option(
    "--rejects", type=click.Path(path_type=Path), help="Reject file. Default: SOURCE.rejects.jsonl."
)
@click.option(
    "--images", default="", metavar="PLACE",
    help="Encode pictures: a folder of files named by id or as in SOURCE, or `web`.",
)  # fmt: skip
@click.option("--simplified", is_flag=True, help="Turn Traditional into Simplified Chinese.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after this many products.")
@click.option(
    "--operation", type=click.Choice(["upsert", "update", "delete"]), default="upsert", show_default=True,
    help="Kind of a change without an operation of its own.",
)  # fmt: skip
@click.option(
    "--follow", type=click.FloatRange(min=0.1), is_flag=False, flag_value=5.0, metavar="[SECONDS]",
    help="Keep running: look at the folder or database again every so many seconds (5).",
)  # fmt: skip
@click.option("--table", help="Table of the database, as in shop.products.")
@click.option("--query", help="Query of the database, instead of a table.")
@click.option("--watermark", help="Column that grows with every change of a row: a time or a number.")
@click.option("--deleted", help="Column that is true, or not null, in deleted rows.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="Where products are encoded.")  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(min=1), help="Encoding workers of --engine ray. Default: all cores."
)
@click.option(
    "--metrics", type=click.Path(path_type=Path), help="Write metrics for Prometheus to this .prom file."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
@click.pass_obj
@domain_option
def index(
    context: CommandContext,
    source: str,
    mode: str,
    dry_run: bool,
    alias: str | None,
    fields: Path | None,
    preset: str,
    read_as: str,
    model: Path | None,
    rejects: Path | None,
    images: str,
    simplified: bool,
    limit: int | None,
    operation: ChangeKind,
    follow: float | None,
    table: str | None,
    query: str | None,
    watermark: str | None,
    deleted: str | None,
    engine: str,
    workers: int | None,
    metrics: Path | None,
    as_json: bool,
) -> None:
    """Clean, encode and index a catalogue, or what changed in it.

    SOURCE is a file with one product a record: JSON Lines (.jsonl), CSV (.csv, .tsv; comma, semicolon, tab
    or pipe), each also gzipped (.gz), or Parquet (.parquet). Or it is the URL of a database, with --table or
    --query (better in ATTUNE_DATABASE_URL, for its password). Changes also come from standard input (-) as
    JSON Lines, and from a folder, whose files are moved to done/ when they are applied.

    A rebuild (--full) writes a new index, checks it and moves the alias to it. Searches see all of the old
    catalogue until then, and `attune rollback` returns to it. The same command continues a killed run. Only
    text without vectors is encoded.

    Changes (--changes) are whole products. A record with `_op` = `update` holds only what changed (price and
    stock need no encoding), one with `_op` = `delete` only the id. `_version`, a time or a count, orders
    changes; without it the time of the file does.

    Which column is which field is guessed and printed. --changes and --verify use the field map that the
    index was made with, and its --simplified. To set it yourself, pass a field map by --fields:

    \b
      id = "sku"
      title = ["name", "variant"]        # several columns are joined
      brand = "supplier"
      category = "department"
      description = "long_text"
      price = "price_cents"
      price_scale = 0.01                 # the column is in cents
      available = "in_stock"
      image = "photo"
      url = "link"
      attributes = ["colour", "attr_*"]  # * matches any text
      version = "updated_at"
      operation = "event"

    Records that can't be used are written to the reject file with line number and reason.

    Of an index that `attune attach` gave its vectors, --verify without SOURCE compares documents and vectors,
    and --reencode encodes it anew, as by another --model.

    Exit status: 0 done (for --verify: equal), 1 failed or different, 2 wrong use, 3 another job is running
    on this alias.
    """
    has_source = bool(source or table or query)
    if has_source and mode == "reencode":
        raise SettingsError(
            "--reencode reads the index itself: leave SOURCE out. `attune index --help` says more"
        )
    if images and engine == "ray":
        raise SettingsError(
            "--engine ray encodes no pictures: leave --engine out, and this machine encodes texts and "
            "pictures by all of its cores"
        )
    if images and mode == "verify":
        raise SettingsError("--verify compares no pictures: leave --images out")
    if engine == "ray" and (mode in ("changes", "verify") or dry_run):
        raise SettingsError("--engine ray is for rebuilds: --full and --reencode")
    options = IndexOptions(
        source=source,
        alias=alias if alias is not None else context.settings.search.alias,
        fields=fields,
        preset=preset,
        read_as=parse_read_options(read_as),
        model=model,
        rejects=rejects,
        images=images,
        simplified=simplified,
        limit=limit,
        operation=operation,
        follow=follow,
        table=table or "",
        query=query or "",
        watermark=watermark or "",
        deleted=deleted or "",
        engine=engine,
        workers=workers or 0,
        metrics=metrics,
        as_json=as_json,
        domain=context.domain,
    )
    run = IndexRun(context.settings, options)
    if not has_source and not dry_run and mode in ("verify", "reencode") and run.find_attachment():
        run.verify_attached() if mode == "verify" else run.reencode_attached()
    elif not has_source and mode != "reencode":
        raise SettingsError("SOURCE is missing. `attune index --help` says more")
    elif mode == "changes":
        run.apply_changes(dry_run)
    elif mode == "verify" or dry_run:
        run.verify(mode, dry_run)
    else:
        run.rebuild(mode)
