import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mappings.errors import CatalogueError, LabelsError, ModelError, SettingsError
from mappings.types import Product
from plugin_api.cli import attune
from reranker.model import load_model
from tests.reranker.training.conftest import products, tiny_bert  # noqa: F401  fixtures

STEPS = 12


@pytest.fixture
def catalogue(products: list[Product], tmp_path: Path) -> Path:  # noqa: F811
    path = tmp_path / "shop.csv"
    rows = [f"{p.id},{p.title},{p.brand},{p.category},{p.description}" for p in products]
    path.write_text("\n".join(["id,title,brand,category,description", *rows]), encoding="utf-8")
    return path


@pytest.fixture
def arguments(catalogue: Path, tiny_bert: Path) -> list[str]:  # noqa: F811
    encoder = ["--query-encoder", str(tiny_bert), "--steps", str(STEPS)]
    return [str(catalogue), "--out", str(catalogue.parent / "model"), *encoder]


def run(arguments: Sequence[str]) -> Result:
    return CliRunner().invoke(attune, ["train", *arguments], catch_exceptions=False)


def test_ctrl_c_ends_a_run_that_the_same_command_goes_on_with(arguments: list[str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "plugin_api", "train", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        assert "bm25s" not in line
        if "product tower learns: 2" in line:
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("attune: stopped; the same command continues from")
    assert not (tmp_path / "model").exists()
    report = json.loads(run([*arguments, "--json"]).stdout)
    assert (report["resumed"], report["steps"], report["products"]) == (True, STEPS, 72)
    assert load_model(tmp_path / "model").version == report["model"]


def test_judgements_and_clicks_are_read_and_the_summary_tells_figures(
    arguments: list[str],
    products: list[Product],  # noqa: F811
    tmp_path: Path,
) -> None:
    judged = tmp_path / "judged.csv"
    rows = [
        f"{word} {noun},{p.id},{3 if p.category == noun else 0}"
        for word in ("red", "blue", "acme", "logi", "brother", "white")
        for noun in ("mouse", "toner", "cable")
        for p in products[::4]
    ]
    judged.write_text("\n".join(["query,product_id,grade", *rows]), encoding="utf-8")
    queries, events = tmp_path / "queries.jsonl", tmp_path / "events.jsonl"
    shown = [p.id for p in products[::6]]
    with queries.open("w") as asked, events.open("w") as acted:
        for n in range(40):
            search = {"query_id": f"q{n}", "client_id": f"c{n % 8}", "user_query": "laptop"}
            time = {"timestamp": f"2026-01-{1 + n % 28:02d}T10:00:00Z"}
            asked.write(json.dumps({**search, **time, "query_response_hit_ids": shown}) + "\n")
            at = n % len(shown)
            clicked = {"object": {"object_id": shown[at]}, "position": {"ordinal": at + 1}}
            action = {"action_name": "click", "query_id": f"q{n}", "client_id": f"c{n % 8}"}
            acted.write(json.dumps({**action, **time, "event_attributes": clicked}) + "\n")
    result = run([*arguments, "--judgements", str(judged), "--clicks", str(queries), str(events)])
    assert result.exit_code == 0
    assert "judged queries, never trained on: nDCG@10" in result.stdout
    assert "kept: 1 queries" in result.stderr
    origin = load_model(tmp_path / "model").config.origin
    assert set(origin["sources"]) == {"catalogue", "judgements", "clicks"}


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        (["--base", "nowhere"], ModelError, "nowhere lacks config.json"),
        (["--judgements", "none.csv"], LabelsError, "none.csv does not exist"),
        (["--clicks", "a", "b", "--clicks-from-cluster"], SettingsError, "choose one"),
    ],
)
def test_what_is_wrong_is_named(
    arguments: list[str], more: list[str], error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(error, match=said):
        run([*arguments, *more])


def test_a_catalogue_without_products_is_refused(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("id,title\n1,\n")
    with pytest.raises(CatalogueError, match="no usable product"):
        run([str(tmp_path / "empty.csv"), *arguments[1:]])


def test_wrong_options_exit_with_two(arguments: list[str]) -> None:
    assert run([arguments[0]]).exit_code == 2
    assert run([*arguments, "--budget", "0"]).exit_code == 2
