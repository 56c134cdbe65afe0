"""Fixtures for tests in containers. Without Docker these tests are skipped, saying so."""

import csv
import gzip
import json
import os
import subprocess
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from tests.integration.indexing.shop import Shop
from tests.integration.stack import (
    COMPOSE,
    ROOT,
    Stack,
    running_opensearch,
    running_stack,
)

DEMO = ROOT / "plugin_api/commands/demo/data"
QUERIES = (
    "laptop",
    "memory stick",
    "tv",
    "scanner",
    "external dvd drive",
    "usb stick",
    "laptop stand",
    "gaming laptop",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session", autouse=True)
def docker() -> None:
    """Skip, or fail where TESTS_REQUIRE_DOCKER is set, unless `docker compose` reaches a daemon."""
    try:
        for command in (["docker", "info"], ["docker", "compose", "version"]):
            subprocess.run(command, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"needs Docker with compose: {error}"
        if os.environ.get("TESTS_REQUIRE_DOCKER"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def images(docker: None) -> None:
    """Build the images from this checkout; layers that did not change are reused.

    The images whose names they took are removed: a day's work would fill the disk with them.
    """
    done = subprocess.run(
        [*COMPOSE, "--profile", "nginx", "build", "-q"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    replaced = ["--filter", "dangling=true", "--filter", "label=org.opencontainers.image.title=attune"]
    subprocess.run(["docker", "image", "prune", "--force", *replaced], capture_output=True, check=True)


@pytest.fixture(scope="session")
def grades() -> dict[str, dict[str, int]]:
    """Query → product id → grade, of QUERIES."""
    judged: dict[str, dict[str, int]] = defaultdict(dict)
    with (ROOT / "reranker/training/data/electronics/judgements.csv").open(
        encoding="utf-8", newline=""
    ) as file:
        for row in csv.DictReader(file):
            if row["query"] in QUERIES:
                judged[row["query"]][row["product_id"]] = int(row["grade"])
    return dict(judged)


@pytest.fixture(scope="session")
def catalogue(grades: Mapping[str, Mapping[str, int]]) -> Iterator[Path]:
    """A folder that a container's user can read: the judged products of QUERIES, and the field map."""
    judged = {product for products in grades.values() for product in products}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            gzip.open(DEMO / "electronics.jsonl.gz", "rt", encoding="utf-8") as demo,
            (folder / "products.jsonl").open("w", encoding="utf-8") as sample,
        ):
            sample.writelines(line for line in demo if json.loads(line)["id"] in judged)
        (folder / "fields.toml").write_bytes((DEMO / "electronics.toml").read_bytes())
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session", params=["3.5.0", "2.19.1"])
def stack(request: pytest.FixtureRequest, images: None, catalogue: Path) -> Iterator[Stack]:
    with running_stack(request.param, catalogue) as stack:
        yield stack


@pytest.fixture(scope="session")
def opensearch(docker: None) -> Iterator[str]:
    """The address of an OpenSearch 3.5.0 that tests of indexing and of domains share."""
    with running_opensearch() as url:
        yield url


@pytest.fixture(scope="session")
def client(opensearch: str) -> Iterator[OpenSearch]:
    with OpenSearch(opensearch, timeout=60) as client:
        yield client


@pytest.fixture
def shop(client: OpenSearch, tmp_path: Path) -> Iterator[Shop]:
    """A shop with an alias of its own."""
    shop = Shop(client, tmp_path, f"shop-{uuid.uuid4().hex[:8]}")
    yield shop
    shop.remove()
