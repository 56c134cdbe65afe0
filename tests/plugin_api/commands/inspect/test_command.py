import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from plugin_api.cli import attune

EXPORTS = Path(__file__).parents[3] / "indexer/catalogue/exports"


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(attune, ["inspect", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text(
        "id,title,price,availability,status\n"
        '1,Mug [blue],"19,90 €",auf Lager,active\n'
        '2,Cup,"1.299 €",ask Bob,active\n'
        "3,Bowl,plenty,yes,draft\n"
        "4,,1,yes,active\n"
        "1,Mug again,1,yes,active\n"
    )
    return path


def test_a_file_is_shown_with_all_that_would_be_missing(catalogue: Path) -> None:
    output = run(catalogue)
    for text in (
        "Read as   CSV; delimiter comma",
        "2 of 5 records",
        "1 left out, 2 rejected",
        'id = "id"',
        'decimal = ","',
        "1  Mug [blue]",
        "19.90 EUR  ·  available",
        "1,299.00 EUR",
        "available: 'ask Bob' (line 3)",
        "status is draft: 3 (line 4)",
        "no text: title and description are empty: line 5",
        "duplicate of id … on line …, which is kept: line 6",
        "attune index",
    ):
        assert text in output
    assert list(catalogue.parent.iterdir()) == [catalogue]


def test_json_has_everything_for_programs(catalogue: Path) -> None:
    report = json.loads(run(catalogue, "--json"))
    assert (report["products"], report["records"]) == (2, 5)
    assert report["filled"]["price"] == 2
    assert [product["id"] for product in report["samples"]] == ["1", "2"]
    assert report["samples"][1]["price"] == 1299.0
    assert report["unreadable"]["available"]["examples"] == [{"line": 3, "value": "'ask Bob'"}]
    assert report["left_out"]["status is draft"]["count"] == 1
    assert report["rejected"]["no text: title and description are empty"] == {"count": 1, "lines": [5]}


def test_the_field_map_that_is_shown_can_be_given_back(catalogue: Path) -> None:
    shown = json.loads(run(catalogue, "--json"))
    fields = catalogue.parent / "map.toml"
    fields.write_text(shown["field_map_toml"])
    again = json.loads(run(catalogue, "--json", "--fields", fields))
    assert again == shown


def test_an_export_is_named_and_its_map_can_be_given_back(tmp_path: Path) -> None:
    output = run(EXPORTS / "shopify.csv")
    assert "Shopify, product export (CSV) (--preset shopify-csv)" in output
    shown = json.loads(run(EXPORTS / "shopify.csv", "--json", "--preset", "shopify"))
    (tmp_path / "map.toml").write_text(shown["field_map_toml"])
    assert json.loads(run(EXPORTS / "shopify.csv", "--json", "--fields", tmp_path / "map.toml")) == shown


def test_how_a_file_is_read_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("id;title;title;price\n1;Mütze;M;3,50\n".encode("cp1252"))
    report = json.loads(run(tmp_path / "a.csv", "--json", "--read-as", "encoding=cp1252 delimiter=;"))
    assert report["samples"][0]["title"] == "Mütze"
    assert report["read_as"][0]["delimiter"] == ";"
    assert report["read_as"][0]["renamed_columns"] == {"title.2": "title"}
    assert "a second column title is called title.2" in run(tmp_path / "a.csv")


def test_the_number_of_samples(catalogue: Path) -> None:
    assert len(json.loads(run(catalogue, "--json", "--samples", "1"))["samples"]) == 1
    assert "Products as they would be indexed" not in run(catalogue, "--samples", "0")
