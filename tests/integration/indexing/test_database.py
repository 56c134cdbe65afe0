"""A PostgreSQL table as a shop's catalogue: indexed whole, its changes applied, the two compared."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from mappings.client import connect
from mappings.settings import OpenSearchSettings
from plugin_api.cli import attune
from tests.fakes.postgres import PostgresServer, postgres
from tests.integration.stack import Stack

__all__ = ["postgres"]

ALIAS = "from-database"
TABLE = ("--table", '"Shop".products', "--watermark", "changed", "--deleted", "deleted")


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenSearch]:
    client = connect(OpenSearchSettings(url=stack.direct, timeout_seconds=120))
    yield client
    for index in client.indices.get(index=f"{ALIAS}-*"):
        client.indices.delete(index=index)


def test_a_table_is_followed(
    stack: Stack,
    client: OpenSearch,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = {
        "ATTUNE_OPENSEARCH_URL": stack.direct,
        "ATTUNE_OPENSEARCH_TIMEOUT_SECONDS": "120",
        "ATTUNE_DATABASE_URL": postgres.url,
    }

    def index(*options: str) -> dict[str, Any]:
        rejects = str(tmp_path / "rejects.jsonl")
        command = ["index", "--alias", ALIAS, "--rejects", rejects, "--json", *options, *TABLE]
        done = CliRunner().invoke(attune, command, env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    postgres.execute(
        'DROP SCHEMA IF EXISTS "Shop" CASCADE',
        'CREATE SCHEMA "Shop"',
        """CREATE TABLE "Shop".products (id int PRIMARY KEY, title text, price numeric(10, 2),
        changed timestamptz DEFAULT now(), deleted timestamptz)""",
        """INSERT INTO "Shop".products SELECT n, 'Mug ' || n, 9.5, now() - interval '1 day' FROM
        generate_series(1, 40) AS n""",
        """UPDATE "Shop".products SET deleted = now() WHERE id = 40""",
    )
    fields = tmp_path / "fields.toml"  # without a version: the watermark is
    fields.write_text('id = "id"\ntitle = "title"\nprice = "price"\n')
    assert index("--fields", str(fields))["indexed"] == 39
    answer = client.get(index=ALIAS, id="5", _source="attune.version")
    assert answer["_version"] < (time.time() - 3600) * 1000
    postgres.execute(
        """UPDATE "Shop".products SET price = 7.25, changed = now() WHERE id IN (1, 2)""",
        """UPDATE "Shop".products SET title = 'Red cup', changed = now() WHERE id = 3""",
        """UPDATE "Shop".products SET deleted = now(), changed = now() WHERE id = 4""",
        """INSERT INTO "Shop".products VALUES (41, 'Jug', 12)""",
    )
    report = index("--changes")
    assert report["changes"] == 41  # the first look has every row
    assert (report["deleted"], report["encoded"], report["rejected"]) == (2, 2, 0)
    client.indices.refresh(index=ALIAS)
    assert client.count(index=ALIAS)["count"] == 39
    assert client.get(index=ALIAS, id="1")["_source"]["price"] == 7.25
    assert client.get(index=ALIAS, id="3")["_source"]["title"] == "Red cup"
    assert not client.exists(index=ALIAS, id="4")
    assert index("--verify")["equal"] is True
    postgres.execute("""UPDATE "Shop".products SET price = 1, changed = now() WHERE id = 41""")
    report = index("--changes", "--fields", str(fields))
    assert report["stale"] == 0
    assert report["changes"] < 10  # from the watermark on
    assert (report["upserted"], report["encoded"]) == (1, 0)
