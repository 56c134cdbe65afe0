"""The commands of the READMEs, run as a reader would: in order, in one folder, on one OpenSearch."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from opensearchpy import OpenSearch
from PIL import Image

from tests.integration.stack import ROOT, SLOW_MACHINE_SECONDS
from tests.readmes import Command, commands

ELSEWHERE = {
    ("up",): "tests/integration/commands/test_demo.py",
    ("serve",): "tests/integration/clients/test_clients.py",
    ("install",): "tests/integration/commands/test_install.py",
    ("train",): "tests/plugin_api/commands/train/test_command.py",
    ("follow",): "tests/integration/attach/test_follow.py",
    ("--follow",): "tests/integration/indexing/test_index_command.py",
    ("--reencode",): "tests/integration/indexing/test_model_change.py",
    ("--images", "web"): "tests/indexer/pictures/test_sources.py",
    ("--engine",): "tests/integration/indexing/test_ray.py",
    ("--model",): "tests/plugin_api/commands/train/test_command.py",
    ("--second-model",): "tests/plugin_api/commands/evaluate/test_command.py",
    ("--domain",): "tests/integration/domains/test_medicine.py",
    ("risk",): "tests/plugin_api/commands/risk/test_command.py",
    ("evaluate", "--recommend"): "tests/integration/shoppers/test_shoppers.py",
    ("evaluate", "--personal"): "tests/plugin_api/commands/evaluate/behaviour/test_personal_job.py",
}
"""Words of commands that need more than a folder and an OpenSearch → the tests that run them."""

PRODUCTS = """sku,name,brand,category,price,in_stock
1,Logitech M185 wireless mouse,Logitech,Mice,14.90,yes
2,USB-C charging cable 2 m,Anker,Cables,9.90,yes
3,Canon PIXMA inkjet printer,Canon,Printers,79.00,no
"""


def is_run_here(command: Command) -> bool:
    if command.inline or command.words[0] != "attune":
        return False
    return not any(set(words) <= set(command.words) for words in ELSEWHERE)


@pytest.mark.parametrize("path", sorted(set(ELSEWHERE.values())))
def test_the_other_tests_are_there(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the READMEs name."""
    folder = tmp_path_factory.mktemp("reader")
    changes = [
        {
            "sku": "1",
            "name": "Logitech M185 cordless mouse",
            "price": 12.9,
            "_version": "2036-03-01T09:30:00Z",
        },
        {"sku": "2", "_op": "update", "price": 4.9, "in_stock": True},
        {"sku": "3", "_op": "delete"},
    ]
    files = {
        "products.csv": PRODUCTS,
        "products.txt": PRODUCTS.replace(",", "\t"),
        "changes.jsonl": "".join(json.dumps(change) + "\n" for change in changes),
        "judged.csv": "query,product_id,grade\nwireless mouse,1,3\nwireless mouse,2,0\nprinter,3,3\n",
        "orders.csv": "customer,sku,ordered_at\n4711,1,2026-11-02T10:00:00Z\n4712,2,2026-11-03T10:00:00Z\n",
        "search.json": json.dumps({"query": {"match": {"title": "{{text}}"}}}),
        "qrels.txt": "q1 0 1 3\nq1 0 2 0\n",
        "queries.tsv": "q1\twireless mouse\n",
        "old.trec": "q1 Q0 2 1 0.9 old\nq1 Q0 1 2 0.5 old\n",
        "new.trec": "q1 Q0 1 1 0.9 new\nq1 Q0 2 2 0.5 new\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "photos").mkdir()
    Image.new("RGB", (64, 64), "navy").save(folder / "photos" / "1.jpg")
    return folder


@pytest.fixture(scope="module")
def environment(opensearch: str, client: OpenSearch) -> Iterator[Mapping[str, str]]:
    own = {"settings": {"index.knn": True}, "mappings": {"properties": {"name": {"type": "text"}}}}
    client.indices.create(index="myshop", body=own)
    client.index(index="myshop", id="1", body={"name": "Logitech M185 wireless mouse"}, refresh=True)
    settings = {"ATTUNE_OPENSEARCH_URL": opensearch, "ATTUNE_SHOPPERS_KEY": "0123456789abcdef" * 4}
    yield {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    client.indices.delete(index="myshop,attune-*", ignore=[404])
    for alias in ("shop", "products"):
        for index in client.indices.get_alias(name=alias, ignore=[404]):
            client.indices.delete(index=index, ignore=[404])


@pytest.mark.parametrize("command", list(filter(is_run_here, commands())), ids=str)
def test_commands_do_what_they_say(command: Command, folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plugin_api", *command.words[1:]],
        cwd=folder,
        env=environment,
        input="",
        capture_output=True,
        text=True,
        timeout=SLOW_MACHINE_SECONDS,
        check=False,
    )
    allowed = (0, 1) if "--verify" in command.words else (0,)  # 1: the changes made the index differ
    assert done.returncode in allowed, done.stderr
    assert "Traceback" not in done.stderr
