"""The demo, whole, on a small catalogue: from an empty OpenSearch to rankings side by side, twice."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from mappings.errors import AttuneError
from plugin_api.cli import attune
from plugin_api.commands.demo import catalogue as demo_catalogue
from tests.integration.stack import running_opensearch

PRODUCTS = 200


@pytest.fixture(scope="module")
def opensearch(docker: None) -> Iterator[str]:
    """The address of an OpenSearch that nothing was indexed in."""
    with running_opensearch() as url:
        yield url


@pytest.fixture(autouse=True)
def small_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gzip.open(demo_catalogue.CATALOGUE, "rb") as whole:
        lines = [next(whole) for _ in range(PRODUCTS)]
    with gzip.open(tmp_path / demo_catalogue.CATALOGUE.name, "wb") as part:
        part.writelines(lines)
    monkeypatch.setattr(demo_catalogue, "CATALOGUE", tmp_path / demo_catalogue.CATALOGUE.name)
    monkeypatch.setattr(demo_catalogue, "PRODUCTS", PRODUCTS)


def demo(url: str, *arguments: str) -> str:
    # What is tested is not how fast a busy machine is.
    environment = {"ATTUNE_OPENSEARCH_URL": url, "ATTUNE_SIDECAR_DEADLINE_MS": "10000"}
    result = CliRunner().invoke(attune, ["demo", "--port", "0", *arguments], env=environment)
    if result.exception:
        raise result.exception
    return result.output


def test_a_second_run_finds_everything_in_place(opensearch: str) -> None:
    first: dict[str, Any] = json.loads(demo(opensearch, "--json"))
    assert first["catalogue"]["products"] == PRODUCTS
    assert first["catalogue"]["seconds"] > 0
    assert len(first["queries"]) == 15
    phones = [hit["title"] for hit in first["queries"][-2]["attune"]]
    assert phones
    assert all("手机" in title and "手机壳" not in title for title in phones)
    assert {query["reason"] for query in first["queries"]} == {""}
    assert [shopper["shopper"] for shopper in first["shoppers"]] == ["anna", "ben", "carla"]
    again = demo(opensearch)
    assert f"200 products in {first['catalogue']['index']}" in again
    assert "indexed already" in again
    assert "stored already" in again
    assert "for carla, who takes photos" in again
    assert "attune search" in again


def test_a_catalogue_of_somebody_elses_is_never_replaced(opensearch: str) -> None:
    client = OpenSearch(opensearch)
    client.indices.create(index="theirs-1", body={"aliases": {"theirs": {}}})
    with pytest.raises(AttuneError, match="theirs holds another catalogue than the demo's"):
        demo(opensearch, "--alias", "theirs")
    assert list(client.indices.get_alias(name="theirs")) == ["theirs-1"]
    client.close()
