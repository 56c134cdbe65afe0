"""A fourth domain: a folder of one's own, and no code."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.domains.domain_demo import open_sidecar, run_demo

FILES = {
    "domain.toml": """
concept_weight = 3

[settings.search]
alias = "bakery"
floor = 0.9

[[rules]]
name = "allergies"
field = "attributes.contains"
test = "none_of"
says = "contains what the client ({client}) must not eat"
pattern = 'without ([a-z]+)'

[rules.values]
gluten = "wheat|coeliac"

[language]
before = ["bake me"]

[page]
title = "Bakery"
placeholder = "dark bread"
notice = "Ask us before you eat it."

[demo]
catalogue = "goods.csv"
source = "Made up."

[[demo.queries]]
text = "something dark for breakfast"
shows = "a kind of bread, in no word of its own"

[[demo.queries]]
text = "黑麦面包"
shows = "rye bread in Chinese"
""",
    "fields.toml": """
id = "number"
title = "what"
description = "made_of"
attributes = ["contains"]
""",
    "thesaurus.txt": """
pumpernickel < rye bread
rye bread | 黑麦面包 < bread | dark food
bread | loaf | 面包
croissant < pastry
""",
    "goods.csv": (
        "number,what,made_of,contains\n"
        "1,Pumpernickel,Baked for a day,gluten\n"
        "2,Croissant,With butter,gluten\n"
        "3,Corn bread,With honey,\n"
        "4,Almond cake,Sweet,nuts\n"
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("domains") / "bakery"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def demo(opensearch: str, folder: Path) -> dict[str, Any]:
    return run_demo(opensearch, str(folder))


@pytest.fixture(scope="module")
def sidecar(opensearch: str, folder: Path, demo: dict[str, Any]) -> Any:
    return open_sidecar(opensearch, str(folder))


def search(sidecar: Any, text: str, client: dict[str, Any] | None = None) -> list[str]:
    query = {"multi_match": {"query": text, "fields": ["title", "description"]}}
    ext = {"ext": {"attune": {"client": client}}} if client else {}
    answer = sidecar.post("/bakery/_search", json={"query": query, **ext}).json
    assert "error" not in answer, answer
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def test_its_demo_shows_its_catalogue(demo: dict[str, Any]) -> None:
    assert demo["catalogue"]["products"] == 4
    assert [query["query"] for query in demo["queries"]] == ["something dark for breakfast", "黑麦面包"]
    assert demo["queries"][1]["attune"]


def test_its_words_and_what_they_are_kinds_of_are_searched(sidecar: Any) -> None:
    assert search(sidecar, "bread")[0] in ("1", "3")
    stored = sidecar.get("/bakery/_search", json={"query": {"term": {"attune.concepts": "dark_food"}}}).json
    assert [hit["_id"] for hit in stored["hits"]["hits"]] == ["1"]


@pytest.mark.parametrize(
    ("text", "client"),
    [("bread croissant without gluten", None), ("bread croissant", {"allergies": "wheat"})],
)
def test_its_rules_hold(sidecar: Any, text: str, client: dict[str, Any] | None) -> None:
    assert "2" in search(sidecar, "bread croissant")
    assert set(search(sidecar, text, client)) <= {"3", "4"}


def test_its_page_has_its_wording(sidecar: Any) -> None:
    wording = sidecar.get("/_attune/preview").json["domain"]
    assert (wording["title"], wording["notice"]) == ("Bakery", "Ask us before you eat it.")
