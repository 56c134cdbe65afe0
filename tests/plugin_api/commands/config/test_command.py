import json

import pytest
from click.testing import CliRunner

from plugin_api.commands.config.command import config
from plugin_api.commands.context import CommandContext


def test_config_tells_values_and_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_SEARCH_WINDOW", "50")
    monkeypatch.setenv("ATTUNE_OPENSEARCH_PASSWORD", "secret")
    result = CliRunner().invoke(config, ["--json"], obj=CommandContext(None))
    rows = {row["setting"]: row for row in json.loads(result.stdout)}
    assert (rows["search.window"]["value"], rows["search.window"]["origin"]) == (
        50,
        "environment ATTUNE_SEARCH_WINDOW",
    )
    assert rows["search.fusion"]["origin"] == "default"
    table = CliRunner().invoke(config, [], obj=CommandContext(None)).stdout
    assert "search.window" in table
    assert "secret" not in result.stdout + table
