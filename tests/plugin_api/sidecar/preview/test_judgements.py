import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from mappings.errors import LabelsError
from mappings.settings import PreviewSettings, Settings
from mappings.types import Judgement
from plugin_api.sidecar.app import create_app
from plugin_api.sidecar.preview.judgements import JudgementsFile
from reranker.evaluation.judgements import read_judgements
from tests.fakes.shop import Shop, StandInModel


def web(path: Path | None) -> FlaskClient:
    settings = Settings(preview=PreviewSettings(judgements=str(path) if path else ""))
    return create_app(settings, Shop(), StandInModel()).test_client()  # type: ignore[arg-type]


def judge(client: FlaskClient, query: str, product_id: str, grade: int | None) -> int:
    body = {"query": query, "product_id": product_id, "grade": grade}
    return client.post("/_attune/judgements", json=body).status_code


def grades(client: FlaskClient, query: str, *product_ids: str) -> dict[str, int]:
    answer = client.post("/_attune/grades", json={"query": query, "product_ids": product_ids})
    assert answer.json is not None
    found: dict[str, int] = answer.json["grades"]
    return found


def test_what_is_saved_is_what_attune_evaluate_reads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "judged.csv"
    client = web(path)
    for query, product_id, grade in (
        ("wireless  mouse ", "m1", 3),
        ('27" monitor, curved', "a,b", 2),
        ("苹果手机", "手机-1", 0),
        ("line\nbreak", "m1", 1),
        ("Wireless Mouse", "m1", 1),
        ("wireless mouse", "m2", 2),
    ):
        assert judge(client, query, product_id, grade) == 200
    assert read_judgements(path) == [
        Judgement("wireless mouse", "m1", 1),
        Judgement('27" monitor, curved', "a,b", 2),
        Judgement("苹果手机", "手机-1", 0),
        Judgement("line break", "m1", 1),
        Judgement("wireless mouse", "m2", 2),
    ]
    assert path.read_text(encoding="utf-8").startswith("query,product_id,grade\nwireless mouse,m1,1\n")


def test_a_judgement_taken_back_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"
    client = web(path)
    judge(client, "mouse", "m1", 3)
    judge(client, "mouse", "m2", 0)
    assert grades(client, "MOUSE", "m1", "m2", "m3") == {"m1": 3, "m2": 0}
    judge(client, "Mouse", "m1", None)
    judge(client, "mouse", "never judged", None)
    assert grades(client, "mouse", "m1", "m2") == {"m2": 0}
    assert grades(client, "mouse", "m1") == {}
    assert grades(client, "keyboard", "m2") == {}


def test_an_existing_file_keeps_its_columns_and_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"
    path.write_bytes("\ufeffjudge;Search Term;SKU;Rating\nAnna;mouse;m1;1\n\nBo;mouse;m2\n".encode())
    path.chmod(0o640)
    JudgementsFile(path).save("mouse", "m1", 3)
    JudgementsFile(path).save("mouse", "m2", 2)
    JudgementsFile(path).save("mouse", "m3", 0)
    assert path.read_text(encoding="utf-8").splitlines() == [
        "judge;Search Term;SKU;Rating",
        "Anna;mouse;m1;3",
        "Bo;mouse;m2;2",
        ";mouse;m3;0",
    ]
    assert path.stat().st_mode & 0o777 == 0o640
    assert len(read_judgements(path)) == 3


def test_many_people_judge_at_once(tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"

    def judged(person: int) -> None:
        mine = JudgementsFile(path)  # as each worker has its own
        for i in range(10):
            mine.save("mouse", f"{person}-{i}", i % 4)

    with ThreadPoolExecutor(6) as people:
        list(people.map(judged, range(6)))
    assert len(read_judgements(path)) == 60
    assert [of for of in os.listdir(tmp_path) if not of.endswith(".lock")] == ["judged.csv"]


@pytest.mark.parametrize(
    "wrong",
    [{"grade": 4}, {"grade": -1}, {"grade": "3"}, {"grade": 1.5}, {"query": ""}, {"product_id": ""},
     {"query": "x" * 3000}, {"product_id": "x" * 600}],
)  # fmt: skip
def test_what_is_no_judgement_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    body = {"query": "mouse", "product_id": "m1", "grade": 3, **wrong}
    assert web(tmp_path / "judged.csv").post("/_attune/judgements", json=body).status_code == 400
    assert not list(tmp_path.iterdir())


def test_without_a_file_they_are_the_browsers(tmp_path: Path) -> None:
    client = web(None)
    assert judge(client, "mouse", "m1", 3) == 400
    refused = client.post("/_attune/grades", json={"query": "mouse", "product_ids": []})
    assert refused.json is not None
    assert "set preview.judgements" in refused.json["error"]["reason"]


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1,2\n", b"\xff\xfe", b'query,product_id,grade\n"open,1,2\n'],
    ids=["columns", "bytes", "quote"],
)
def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "judged.csv"
    path.write_bytes(content)
    with pytest.raises(LabelsError, match=r"judged\.csv"):
        JudgementsFile(path).save("mouse", "m1", 3)
    assert path.read_bytes() == content


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = web(tmp_path / "file" / "judged.csv").post(
        "/_attune/judgements", json={"query": "mouse", "product_id": "m1", "grade": 3}
    )
    assert answer.status_code == 500
    assert answer.json is not None
    assert "set preview.judgements to a CSV file that the sidecar may write" in answer.json["error"]["reason"]
