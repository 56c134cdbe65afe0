"""The options `--domain` and `--client` of commands that index, search or serve."""

import json
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from typing import Any

import click

from indexer.catalogue.field_map import FieldMap, load_field_map
from indexer.catalogue.records import Source
from mappings.domains import SHOP_DOMAIN, Domain
from mappings.errors import SettingsError
from mappings.types import JsonObject
from plugin_api.commands.context import CommandContext
from reranker.understanding.domain_language import use_language


def domain_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, which takes its context first, the option `--domain`.

    The domain's settings and words are in force before the command runs.
    """

    @wraps(command)
    def run(context: CommandContext, *arguments: Any, domain: str | None, **options: Any) -> None:
        if domain:
            context.choose_domain(domain)
        use_language(context.domain.language)
        command(context, *arguments, **options)

    return click.option(
        "--domain",
        metavar="NAME|FOLDER",
        help="shop, finance, medicine, or a folder. Default: the setting domain.name.",
    )(run)


def put_domain(field_map: FieldMap, domain: Domain) -> FieldMap:
    """Return the map with a domain, whose thesaurus then holds for the index and its changes.

    A map that names one keeps it.
    """
    is_shop = domain.name == SHOP_DOMAIN
    return field_map if is_shop or field_map.domain else replace(field_map, domain=domain.name)


def fit_domain_map(catalogue: Source, domain: Domain) -> FieldMap | None:
    """Return the field map of a domain; None where it has none, or the catalogue has other columns."""
    if domain.field_map is None:
        return None
    try:
        return put_domain(load_field_map(domain.field_map, catalogue), domain)
    except SettingsError:
        return None


def format_example_query(domain: Domain) -> str:
    """Return the body of a search that a domain has something for, quoted for a shell."""
    text = domain.page.placeholder or "wireless mouse"
    return shlex.quote(json.dumps({"query": {"match": {"title": text}}}, ensure_ascii=False))


def client_option(command: Any) -> Any:
    """Give a command the option `--client`, for which only what suits the client is shown."""
    return click.option(
        "--client",
        "client_values",
        multiple=True,
        metavar="KEY=VALUE",
        help="What is known of the client, in a domain with rules, as risk=3. May be repeated.",
    )(command)


def parse_client(pairs: Iterable[str]) -> JsonObject:
    """Return `ext.attune.client` from pairs KEY=VALUE: numbers, or texts separated by commas."""
    client: JsonObject = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not value.strip():
            raise click.BadParameter(f"{pair!r} is not of the form KEY=VALUE", param_hint="--client")
        try:
            number = float(value)
            client[name.strip()] = int(number) if number.is_integer() else number
        except (OverflowError, ValueError):
            texts = [part.strip() for part in value.split(",") if part.strip()]
            client[name.strip()] = texts if len(texts) > 1 else texts[0]
    return client
