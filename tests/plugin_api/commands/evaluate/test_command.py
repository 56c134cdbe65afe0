import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mappings.errors import AttuneError, EvaluationError, LabelsError, ModelMismatch
from plugin_api.commands.context import CommandContext
from plugin_api.commands.evaluate.command import evaluate
from plugin_api.commands.evaluate.systems import SYSTEMS
from reranker.evaluation.measures import fingerprint_query
from reranker.model import load_model, locate_shipped_model
from tests.fakes.judged_shop import JUDGED, PRODUCTS, JudgedShop, served

RUN = """wireless mouse Q0 m2 1 9 old
wireless mouse Q0 m1 2 8 old
keyboard Q0 k1 1 9 old
keyboard Q0 t1 2 8 old
"""


@pytest.fixture(scope="module")
def shop() -> JudgedShop:
    return JudgedShop(load_model(None, threads=1))


@pytest.fixture
def cluster(shop: JudgedShop, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings name a JudgedShop."""
    with served(shop) as url:
        monkeypatch.setenv("ATTUNE_OPENSEARCH_URL", url)
        monkeypatch.setenv("ATTUNE_MODEL_THREADS", "1")
        yield


@pytest.fixture
def judged(tmp_path: Path) -> str:
    path = tmp_path / "judged.csv"
    path.write_text(JUDGED)
    return str(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(evaluate, arguments, obj=CommandContext(None))


def figures(*arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def measure(found: dict[str, Any], protocol: str, system: str, name: str) -> float:
    (one,) = [s for s in found[protocol]["systems"] if s["name"] == system]
    value: float = one["measures"][name]["mean"]
    return value


@pytest.mark.usefixtures("cluster")
def test_every_system_is_measured_under_both_protocols(judged: str) -> None:
    found = figures("--judgements", judged, "--alias", "shop", *systems("attune", "bm25", "vectors", "rrf"))
    assert (found["queries"], found["products"]) == ({"judged": 4, "measured": 3}, len(PRODUCTS))
    for protocol in ("whole_catalogue", "judged_products"):
        names = [system["name"] for system in found[protocol]["systems"]]
        assert names == ["attune", "bm25", "vectors", "rrf"]
        assert list(found[protocol]["compared"]) == names[1:]
        assert all(0 <= measure(found, protocol, name, "ndcg@10") <= 1 for name in names)
    # Every product that answers a query shares a word with it or is the nearest: the model sees them all.
    assert measure(found, "whole_catalogue", "attune", "recall@100") == 1.0
    attune = found["judged_products"]["systems"][0]["queries"]
    assert attune["wireless mouse"]["ndcg@10"] == attune["keyboard"]["ndcg@10"] == 1.0


@pytest.mark.usefixtures("cluster")
def test_judged_products_missing_from_the_index_do_not_count(judged: str) -> None:
    found = figures("--judgements", judged, "--alias", "shop", *systems("attune"))
    assert found["judged_products_missing"] == 1
    assert "not in the index, and not counted: 1 judged product" in found["notes"]
    assert found["judged_products"]["systems"][0]["queries"]["samsung phone"]["recall@100"] == 1.0


@pytest.mark.usefixtures("cluster")
def test_time_coverage_and_calibration_are_reported(judged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_SEARCH_FLOOR", "0")
    found = figures("--judgements", judged, "--alias", "shop", *systems("attune", "bm25"))
    attune, bm25 = found["whole_catalogue"]["systems"]
    assert attune["latency_ms"]["mean"] > 0
    assert bm25["latency_ms"]["p95"] >= 0
    # The first ten of the nearest are all eight products; BM25 shows those with a word in common.
    assert (attune["coverage"], bm25["products_shown"]) == (1.0, 7)
    calibrated = found["judged_products"]["systems"][0]["calibration"]
    # "gone" has no probability; the sofa's two products have, though no ranking of them counts.
    assert calibrated["pairs"] == 11
    assert 0 <= calibrated["error"] <= 1
    assert "f1" in attune["measures"]
    assert "f1" not in bm25["measures"]


@pytest.mark.usefixtures("cluster")
def test_the_article_recipe_is_cross_validated(judged: str) -> None:
    pytest.importorskip("torch")
    found = figures("--judgements", judged, "--alias", "shop", *systems("article"))
    (article,) = found["judged_products"]["systems"]
    assert set(article["queries"]) == {"wireless mouse", "keyboard", "samsung phone"}
    assert article["calibration"]["pairs"] == 11


@pytest.mark.usefixtures("cluster")
def test_figures_of_a_model_trained_on_the_queries_are_marked(judged: str, tmp_path: Path) -> None:
    folder = shutil.copytree(locate_shipped_model(), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["origin"]["trained_queries"] = [
        fingerprint_query("Keyboard"),
        fingerprint_query("sofa"),
        fingerprint_query("else"),
    ]
    (folder / "config.json").write_text(json.dumps(config))
    shop = JudgedShop(load_model(folder, threads=1))
    report = tmp_path / "report.html"
    with served(shop) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTUNE_OPENSEARCH_URL", url)
        common = ("--judgements", judged, "--alias", "shop", "--model", str(folder), "--html", str(report))
        found = figures(*common, *systems("attune", "bm25"))
        table = invoke(*common, *systems("attune", "bm25")).stdout
        left = figures(*common, *systems("attune"), "--held-out")
    attune, bm25 = found["whole_catalogue"]["systems"]
    assert (attune["trained_on"], bm25["trained_on"]) == (1, 0)
    assert "Attune was trained on 1 of these 3 queries" in found["notes"][0]
    assert "[trained on 1]" in table
    assert "trained on 1 of these queries" not in report.read_text()  # the last run held it out
    assert left["whole_catalogue"]["systems"][0]["trained_on"] == 0
    assert set(left["whole_catalogue"]["systems"][0]["queries"]) == {"wireless mouse", "samsung phone"}


@pytest.mark.usefixtures("cluster")
def test_an_unknown_alias_names_those_that_exist(judged: str) -> None:
    result = invoke("--judgements", judged, "--alias", "nowhere")
    assert isinstance(result.exception, EvaluationError)
    assert "no alias or index nowhere; there are: shop" in str(result.exception)


def test_an_index_of_another_model_is_refused(shop: JudgedShop, judged: str, tmp_path: Path) -> None:
    folder = shutil.copytree(locate_shipped_model(), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "figures": {}}))
    with served(shop) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTUNE_OPENSEARCH_URL", url)
        result = invoke("--judgements", judged, "--alias", "shop", "--model", str(folder))
        beside = invoke("--judgements", judged, "--alias", "shop", "--second-model", str(folder),
                        "--second-alias", "shop")  # fmt: skip
    for found in (result, beside):
        assert isinstance(found.exception, ModelMismatch)
        assert f"index shop was made with {shop.version}" in str(found.exception)


def test_a_second_model_is_searched_in_its_own_index(judged: str, tmp_path: Path) -> None:
    folder = shutil.copytree(locate_shipped_model(), tmp_path / "newer")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "figures": {}}))
    shop = JudgedShop(load_model(None, threads=1))
    shop.second = JudgedShop(load_model(folder, threads=1))
    with served(shop) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTUNE_OPENSEARCH_URL", url)
        second = ("--second-model", str(folder), "--second-alias", "second")
        found = figures("--judgements", judged, "--alias", "shop", *systems("attune"), *second)
    attune, newer = found["judged_products"]["systems"]
    assert (newer["name"], newer["label"]) == ("second", "Second model (newer)")
    assert (attune["model"], newer["model"]) == (shop.version, shop.second.version)
    assert attune["model"] != newer["model"]
    # The same weights under another version rank the same.
    assert found["whole_catalogue"]["compared"]["second"]["ties"] == 3


def test_run_files_need_no_index(judged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_OPENSEARCH_URL", "http://127.0.0.1:9")
    old = written(tmp_path / "old.trec", RUN)
    new = written(tmp_path / "new.trec", RUN.replace("m2 1 9", "m2 1 7") + "samsung phone Q0 p1 1 1 new\n")
    found = figures("--judgements", judged, "--run", f"new={new}", "--run", f"old={old}")
    assert (found["index"], found["products"]) == (None, None)
    compared = found["whole_catalogue"]["compared"]["old"]
    assert (compared["wins"], compared["losses"], compared["ties"]) == (2, 0, 1)
    assert next(iter(compared["changes"])) == "keyboard"
    assert measure(found, "whole_catalogue", "new", "mrr") == 1.0
    assert measure(found, "whole_catalogue", "old", "mrr") == pytest.approx(0.5)
    assert "run old has no ranking of 1 query, counted as 0" in found["notes"]
    # Judged alone, a product that a run leaves out comes last, by id.
    assert measure(found, "judged_products", "old", "recall@100") == 1.0


def test_queries_that_lose_to_the_first_other_run_are_listed_by_kind(judged: str, tmp_path: Path) -> None:
    old = written(tmp_path / "old.trec", RUN.replace("m2 1 9", "m2 1 7"))
    new = written(tmp_path / "new.trec", RUN)
    runs = ("--judgements", judged, "--run", f"new={new}", "--run", f"old={old}")
    found = figures(*runs)
    lost = found["whole_catalogue"]["compared"]["old"]["lost_clearly"]
    assert (lost["queries"], lost["lost"]) == (3, 1)
    assert lost["share"]["low"] < 1 / 3 < lost["share"]["high"]
    assert [(one["query"], one["query_type"]) for one in lost["lost_queries"]] == [("wireless mouse", "head")]
    assert lost["by_kind"]["query_type"]["head"]["lost"] == 1
    report = tmp_path / "report.html"
    out = invoke(*runs, "--html", str(report)).stdout
    assert "new: queries that lose more than 0.1 nDCG@10 to old" in out
    assert "one or two words" in out
    assert "lost: wireless mouse -0." in out
    assert "Queries that lose more than 0.1 nDCG@10 to old" in report.read_text()


@pytest.mark.usefixtures("cluster")
def test_losses_are_told_against_the_shops_own_search(judged: str, tmp_path: Path) -> None:
    template = written(tmp_path / "query.json", '{"query": {"multi_match": {"query": "{{text}}"}}}')
    arguments = ("--judgements", judged, "--alias", "shop", *systems("attune", "vectors", "bm25"))
    out = invoke(*arguments, "--query-template", template).stdout
    assert "Attune: queries that lose more than 0.1 nDCG@10 to The shop's own search" in out


def test_interleaved_clicks_are_reported_beside_the_judgements(judged: str, tmp_path: Path) -> None:
    line = {"query": "wireless mouse", "first": ["m2"], "second": ["m1"], "clicked": ["m1"]}
    clicks = written(tmp_path / "clicks.jsonl", 8 * (json.dumps(line) + "\n"))
    run = written(tmp_path / "run.trec", RUN)
    arguments = ("--judgements", judged, "--run", f"x={run}", "--interleaved", clicks)
    found = figures(*arguments)["interleaved_clicks"]
    assert (found["searches"], found["wins"], found["losses"]) == (8, 0, 8)
    assert found["queries_lost"]["lost"] == 1
    assert [one["query"] for one in found["lost_queries"]] == ["wireless mouse"]
    report = tmp_path / "report.html"
    out = invoke(*arguments, "--html", str(report)).stdout
    assert "lost: wireless mouse 0:8" in out
    assert "Interleaved clicks" in report.read_text()


def test_qrels_and_query_ids(tmp_path: Path) -> None:
    qrels = written(tmp_path / "qrels.txt", "1 0 m1 3\n1 0 m2 0\n")
    queries = written(tmp_path / "queries.tsv", "1\twireless mouse\n")
    run = written(tmp_path / "run.trec", "1 Q0 m1 1 2 x\n")
    found = figures("--qrels", qrels, "--queries", queries, "--run", f"x={run}")
    assert list(found["whole_catalogue"]["systems"][0]["queries"]) == ["wireless mouse"]
    assert measure(found, "whole_catalogue", "x", "ndcg@10") == 1.0


def test_tables_name_systems_measures_and_ends(judged: str, tmp_path: Path) -> None:
    old = written(tmp_path / "old.trec", RUN)
    new = written(tmp_path / "new.trec", RUN.replace("m2 1 9", "m2 1 7"))
    out = invoke("--judgements", judged, "--run", f"new={new}", "--run", f"old={old}").stdout
    assert "Whole catalogue" in out
    assert "Judged products only" in out
    for heading in ("nDCG@10", "P@10", "R@100", "MRR", "MAP", "judged@10"):
        assert heading in out
    assert "wireless mouse +0." in out
    assert "F1" not in out  # no probability, no threshold


def test_a_run_of_other_queries_is_refused(judged: str, tmp_path: Path) -> None:
    run = written(tmp_path / "run.trec", "q1 Q0 m1 1 2 x\n")
    error = invoke("--judgements", judged, "--run", f"x={run}").exception
    assert isinstance(error, EvaluationError)
    assert "ranks none of the judged queries" in str(error)
    assert "--queries" in str(error)


def test_judgements_that_nothing_answers_are_refused(tmp_path: Path) -> None:
    judged = written(tmp_path / "judged.csv", "query,product_id,grade\nsofa,t1,1\n")
    run = written(tmp_path / "run.trec", "sofa Q0 t1 1 2 x\n")
    error = invoke("--judgements", judged, "--run", f"x={run}").exception
    assert isinstance(error, EvaluationError)
    assert "none of the 1 queries has a product of grade 2 or more" in str(error)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "one of --judgements FILE.csv and --qrels FILE"),
        (("--judgements", "a", "--qrels", "b"), "one of --judgements FILE.csv and --qrels FILE"),
        (("--judgements", "a", "--second-model", "m"), "go together"),
        (("--judgements", "a", "--run", "file.trec"), "NAME=FILE"),
        (("--judgements", "a", "--run", "bm25=x"), "the name bm25 is taken"),
        (("--judgements", "a", "--run", "x=1", "--run", "x=2"), "the name x is taken"),
        (("--judgements", "a", "--system", "magic"), "magic"),
        (("--judgements", "a", "--threshold", "2"), "--threshold"),
    ],
)
def test_wrong_use_exits_with_2(arguments: tuple[str, ...], what: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert what in result.stderr


def test_failures_are_one_line_and_exit_with_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "plugin_api", "evaluate", "--judgements", str(tmp_path / "none.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("attune: judgements file ")
    assert done.stderr.count("\n") == 1


def test_broken_judgements_are_named_by_line(tmp_path: Path) -> None:
    judged = written(tmp_path / "judged.csv", "query,product_id,grade\nsofa,t1,9\n")
    error = invoke("--judgements", judged).exception
    assert isinstance(error, LabelsError)
    assert "line 2" in str(error)


def test_a_report_that_cannot_be_written_is_an_error(judged: str, tmp_path: Path) -> None:
    run = written(tmp_path / "run.trec", RUN)
    nowhere = str(tmp_path / "no" / "report.html")
    error = invoke("--judgements", judged, "--run", f"x={run}", "--html", nowhere).exception
    assert isinstance(error, AttuneError)
    assert "can't be written" in str(error)


def test_help_needs_no_extra(monkeypatch: pytest.MonkeyPatch, judged: str) -> None:
    for name in ("ir_measures", "scipy", "scipy.stats"):
        monkeypatch.setitem(sys.modules, name, None)
    evaluating = ("reranker.evaluation", "plugin_api.commands.evaluate.")
    for name in [name for name in sys.modules if name.startswith(evaluating)]:
        monkeypatch.delitem(sys.modules, name)
    assert invoke("--help").exit_code == 0
    error = invoke("--judgements", judged).exception
    assert "pip install 'attune[evaluate]'" in str(error)


def systems(*names: str) -> list[str]:
    assert set(names) <= set(SYSTEMS)
    return [part for name in names for part in ("--system", name)]
