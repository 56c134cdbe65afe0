import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch

from mappings.errors import ClusterDown, InstallError
from mappings.settings import OpenSearchSettings
from plugin_api.cli import attune
from plugin_api.commands.install import command
from tests.fakes.ml_cluster import MlCluster, ml_cluster

URL = ("--sidecar-url", "http://10.0.0.8:8080")
DEFAULT = "index.search.default_pipeline"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[MlCluster]:
    client, there = ml_cluster()
    there.indexes = {"products-1": {}, "shop-1": {}}

    def connect(_: OpenSearchSettings) -> OpenSearch:
        return client

    monkeypatch.setattr(command, "connect", connect)
    yield there
    client.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(attune, ["install", *arguments], catch_exceptions=False)


def test_steps_are_told_and_what_searches_need(there: MlCluster) -> None:
    said = run(*URL).stdout
    assert "create connector attune-rewrite to http://10.0.0.8:8080\n" in said
    assert "create search pipeline attune\n" in said
    assert "?search_pipeline=attune are reranked now (the first 100 hits)" in said
    assert "cluster:admin/opensearch/ml/predict" in said
    assert run(*URL).stdout == "Installed already: nothing to change.\n"
    assert "delete search pipeline attune\n" in run("--uninstall").stdout
    assert run("--uninstall").stdout == "Nothing of Attune is installed in this cluster.\n"
    assert not there.pipelines


def test_as_default_it_is_the_alias_of_the_settings_unless_one_is_named(there: MlCluster) -> None:
    assert "All searches of products are reranked now" in run(*URL, "--default").stdout
    assert there.indexes == {"products-1": {DEFAULT: "attune"}, "shop-1": {}}
    assert "All searches of shop are reranked now" in run(*URL, "--default", "--alias", "shop").stdout
    assert there.indexes["shop-1"] == {DEFAULT: "attune"}


def test_it_says_what_a_pipeline_does_not_read_of_an_index(
    there: MlCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "attune tune" not in run(*URL, "--default").output
    there.tuned = {"keep_order": "model", "window": 50}
    assert "chosen search.keep_order = model, search.window = 50" in run(*URL, "--default").stderr
    monkeypatch.setenv("ATTUNE_SEARCH_KEEP_ORDER", "model")
    assert "chosen search.window = 50 for this index" in run(*URL, "--default").stderr


def test_a_dry_run_shows_what_would_be_sent_but_no_key(there: MlCluster) -> None:
    before = there.state
    shown = run(*URL, "--dry-run", "--api-key", "sesame")
    assert there.state == before
    assert not there.changes
    assert "would create search pipeline attune\n  PUT /_search/pipeline/attune\n  {\n" in shown.stdout
    assert "sesame" not in shown.output
    steps = json.loads(run(*URL, "--dry-run", "--json", "--api-key", "sesame").stdout)
    assert [step["method"] for step in steps] == ["PUT"] * 3 + ["POST"] * 4 + ["PUT"]
    assert steps[3]["body"]["credential"] == {"key": "***"}


def test_options_are_in_what_is_sent(there: MlCluster) -> None:
    run(*URL, "--fusion", "rrf", "--window", "30", "--no-hybrid")
    assert "score-ranker-processor" in str(there.pipelines["attune"])
    (rewrite,) = [of for of in there.connectors.values() if of["name"] == "attune-rewrite"]
    assert rewrite["parameters"] == {"sidecar": "http://10.0.0.8:8080", "window": "30", "hybrid": "false"}


@pytest.mark.parametrize(
    ("options", "hybrid", "warned"),
    [((), "false", True), (("--hybrid",), "true", False), (("--no-hybrid",), "false", False)],
)
def test_with_document_level_security_vectors_add_hits_only_where_told_to(
    there: MlCluster, options: tuple[str, ...], hybrid: str, warned: bool
) -> None:
    there.security = {"dealer": {"index_permissions": [{"dls": '{"term": {"brand": "HP"}}'}]}}
    done = run(*URL, "--json", *options)
    assert json.loads(done.stdout)
    assert ("users of dealer have document-level security" in done.stderr) is warned
    (rewrite,) = [of for of in there.connectors.values() if of["name"] == "attune-rewrite"]
    assert rewrite["parameters"]["hybrid"] == hybrid


def test_where_nothing_can_cut_hits_off_each_page_is_reranked_by_itself(there: MlCluster) -> None:
    there.processors.remove("oversample")
    with pytest.raises(InstallError, match="--window 0"):
        run(*URL, "--window", "50")
    assert "are reranked now (each page by itself)" in run(*URL).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (*URL, "--alias", "shop"),
        ("--sidecar-url", "sidecar:8080"),
        ("--sidecar-url", "http://10.0.0.8:8080/?x"),
        ("--sidecar-url", "http://${credential.key}"),
        (*URL, "--window", "1001"),
        (*URL, "--fusion", "sum"),
    ],
)
def test_wrong_use_sends_nothing(there: MlCluster, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
    assert not there.sent


def test_without_opensearch_it_says_which_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_OPENSEARCH_URL", "http://127.0.0.1:9")
    with pytest.raises(ClusterDown, match=r"opensearch\.url"):
        run(*URL)
