"""The medicine domain on a real OpenSearch, with a few codes and diseases of the test's own.

The folder is a copy of the domain's, with another catalogue: a domain of one's own takes no code.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mappings.domains import load_domain
from plugin_api.search.query.keyword_query import keyword_query
from tests.integration.domains.domain_demo import open_sidecar, run_demo

CODES = (
    ("R51.9", "Headache, unspecified", ""),
    ("R50.9", "Fever, unspecified", "Pyrexia NOS"),
    ("R05.9", "Cough, unspecified", ""),
    ("R10.9", "Unspecified abdominal pain", ""),
    ("A01.0", "Typhoid fever", "Infection due to Salmonella typhi"),
    ("G43.9", "Migraine, unspecified", "Headache on one side, with photophobia"),
    ("J45.9", "Asthma, unspecified", "Wheezing"),
    ("R04.0", "Epistaxis", "Hemorrhage from nose"),
    ("R00.2", "Palpitations", "Awareness of heart beat"),
    ("M54.5", "Low back pain", ""),
)
DISEASES = (
    (
        "X:1",
        "Childhood muscle disease",
        "Muscle weakness; Difficulty climbing stairs; Calf muscle pseudohypertrophy",
        1,
    ),
    ("X:2", "Late muscle disease", "Muscle weakness; Difficulty climbing stairs", 40),
)
ULCER = {"history": ["stomach ulcer", "asthma"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("domain") / "clinic"
    shutil.copytree(load_domain("medicine").folder, folder)
    file = folder / "domain.toml"
    text = file.read_text(encoding="utf-8").replace('thesaurus = ["hpo"]\n', "")
    catalogue = 'catalogue = "package:icd-10-cm-categories,package:hpo,treatments.jsonl"'
    assert catalogue in text
    file.write_text(text.replace(catalogue, 'catalogue = "codes.jsonl,treatments.jsonl"'), encoding="utf-8")
    rows: list[dict[str, Any]] = [
        {
            "id": code,
            "title": title,
            "findings": findings,
            "kind": "code",
            "group": ["Symptoms"],
            "source": code,
        }
        for code, title, findings in CODES
    ]
    rows += [
        {"id": name, "title": title, "findings": findings, "kind": "disease", "min_age": age, "max_age": None,
         "broader": "", "source": name}
        for name, title, findings, age in DISEASES
    ]  # fmt: skip
    (folder / "codes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def demo(opensearch: str, folder: str) -> dict[str, Any]:
    return run_demo(opensearch, folder)


@pytest.fixture(scope="module")
def sidecar(opensearch: str, folder: str, demo: dict[str, Any]) -> Any:
    return open_sidecar(opensearch, folder)


def search(
    sidecar: Any, text: str, kind: str = "", client: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return all hits of a text, best first."""
    filters = ({"term": {"attributes.kind": kind}},) if kind else ()
    query = keyword_query(text, filters, load_domain("medicine").minimum_match)
    ext = {"ext": {"attune": {"client": client}}} if client else {}
    answer: Any = sidecar.post("/medicine/_search", json={"query": query, "size": 50, **ext}).json
    assert "error" not in answer, answer
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return hits


def ids(hits: list[dict[str, Any]]) -> list[str]:
    return [hit["_id"] for hit in hits]


def test_a_domain_of_ones_own_has_its_demo(demo: dict[str, Any]) -> None:
    assert len(demo["queries"]) == len(load_domain("medicine").demo.queries)
    assert all(query["attune"] for query in demo["queries"] if "lens" not in query["query"])


def test_every_answer_says_what_it_is_for(sidecar: Any) -> None:
    notice = load_domain("medicine").page.notice
    body = {"query": {"match": {"title": "fever"}}}
    for each in (body, {**body, "size": 0}, {"sort": ["price"]}):
        assert sidecar.post("/medicine/_search", json=each).json["ext"]["attune"]["notice"] == notice
    recommended = sidecar.post("/_attune/recommend", json={"kind": "trending"}).json
    assert recommended["ext"]["attune"]["notice"] == notice


def test_findings_in_chinese_find_their_codes(sidecar: Any) -> None:
    assert set(ids(search(sidecar, "头痛 发烧 咳嗽", "code"))[:4]) >= {"R51.9", "R50.9", "R05.9"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tummy ache", "R10.9"),
        ("nosebleed", "R04.0"),
        ("heart skips beats", "R00.2"),
        ("肚子疼", "R10.9"),
        ("lumbago", "M54.5"),
    ],
)
def test_a_patients_words_find_the_code(sidecar: Any, text: str, code: str) -> None:
    assert code in ids(search(sidecar, text, "code"))[:3]


@pytest.mark.parametrize(
    "text",
    ["headache, no fever", "headache without fever or cough", "头痛 没有发烧", "denies fever, headache"],
)
def test_what_is_absent_is_no_finding(sidecar: Any, text: str) -> None:
    found = ids(search(sidecar, text, "code"))
    assert "R51.9" in found
    assert not {"R50.9", "A01.0"} & set(found)


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("muscle weakness in a 4 year old", None),
        ("4岁 muscle weakness", None),
        ("muscle weakness", {"age": 4}),
    ],
)
def test_the_age_is_respected(sidecar: Any, text: str, client: dict[str, Any] | None) -> None:
    assert ids(search(sidecar, text, "disease", client)) == ["X:1"]
    assert set(ids(search(sidecar, "muscle weakness", "disease", {"age": 60}))) == {"X:1", "X:2"}


def test_contraindicated_treatments_are_not_recommended(sidecar: Any) -> None:
    titles = [
        hit["_source"]["title"] for hit in search(sidecar, "medicine for fever and pain", "treatment", ULCER)
    ]
    assert any(title.startswith("Acetaminophen") for title in titles)
    assert not any(title.startswith(("Ibuprofen", "Aspirin", "Naproxen", "Propranolol")) for title in titles)


def test_contraindicated_treatments_come_last_below_their_warning_where_asked_for(
    sidecar: Any,
) -> None:
    hits = search(sidecar, "medicine for fever and pain", "treatment", {**ULCER, "show": "marked"})
    warned = ["attune.warning" in hit.get("fields", {}) for hit in hits]
    assert sorted(warned) == warned
    assert any(warned)
    for hit, is_warned in zip(hits, warned, strict=True):
        against = hit["_source"]["attributes"].get("contraindicated in", [])
        listed = [against] if isinstance(against, str) else against
        assert is_warned == bool({"peptic ulcer", "asthma"} & set(listed))


def test_a_pregnancy_in_the_query_counts(sidecar: Any) -> None:
    titles = [
        hit["_source"]["title"] for hit in search(sidecar, "hypertension in a pregnant woman", "treatment")
    ]
    assert any(title.startswith("Methyldopa") for title in titles)
    assert not any(title.startswith(("Lisinopril", "Losartan")) for title in titles)


def test_every_treatment_has_a_source() -> None:
    file = load_domain("medicine").folder / "treatments.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len({row["id"] for row in rows}) == len(rows) > 40
    assert all(row["source"] and row["indications"] and row["title_zh"] for row in rows)
