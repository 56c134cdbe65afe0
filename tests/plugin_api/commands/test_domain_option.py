import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from indexer.catalogue.field_map import FieldMap
from indexer.sources.files import open_catalogue
from mappings.domains import load_domain
from plugin_api.cli import attune
from plugin_api.commands.domain_option import fit_domain_map, format_example_query, put_domain


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "index",
        "attach",
        "follow",
        "search",
        "serve",
        "recommend",
        "count",
        "train",
        "tune",
        "evaluate",
    ],
)
def test_every_command_that_reads_or_searches_a_catalogue_takes_a_domain(command: str) -> None:
    result = CliRunner().invoke(attune, [command, "--help"])
    assert "--domain" in result.output


@pytest.mark.parametrize(
    "arguments", [["tune"], ["attach", "x"], ["follow", "x"], ["count"], ["evaluate", "--recommend"]]
)
def test_a_domain_that_is_not_there_is_refused_before_anything_is_done(arguments: list[str]) -> None:
    result = CliRunner().invoke(attune, [*arguments, "--domain", "no-such-domain"])
    assert result.exit_code != 0
    assert "no domain no-such-domain" in str(result.exception)


def test_a_catalogue_with_the_domains_columns_is_read_by_its_map(tmp_path: Path) -> None:
    finance = load_domain("finance")
    fitting = fit_domain_map(open_catalogue(finance.folder / "products.jsonl"), finance)
    assert fitting
    assert (fitting.domain, fitting.title) == ("finance", ("name", "name_zh"))
    other = tmp_path / "other.csv"
    other.write_text("sku,label\n1,x\n", encoding="utf-8")
    assert fit_domain_map(open_catalogue(other), finance) is None
    assert fit_domain_map(open_catalogue(other), load_domain("shop")) is None


def test_a_map_keeps_the_domain_that_it_names() -> None:
    finance = load_domain("finance")
    assert put_domain(FieldMap("id"), finance).domain == "finance"
    assert put_domain(FieldMap("id", domain="medicine"), finance).domain == "medicine"
    assert put_domain(FieldMap("id"), load_domain("shop")).domain == ""


def test_an_example_is_one_of_the_domains() -> None:
    (body,) = shlex.split(format_example_query(load_domain("medicine")))
    assert json.loads(body)["query"]["match"]["title"] == load_domain("medicine").page.placeholder
    assert "wireless mouse" in format_example_query(load_domain("shop"))
