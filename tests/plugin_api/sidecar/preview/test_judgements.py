import errno
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
    path.write_bytes("\ufeffjudge;Search Term;SKU;Rating\nAnna;mouse;m1;1\n\nBo;mouse;m2;".encode())
    path.chmod(0o640)
    JudgementsFile(path).save("mouse", "m1", 3)
    JudgementsFile(path).save("mouse", "m2", 2)
    JudgementsFile(path).save("mouse", "m3", 0)
    assert path.read_text(encoding="utf-8-sig").splitlines() == [
        "judge;Search Term;SKU;Rating",
        "Anna;mouse;m1;3",
        "",
        "Bo;mouse;m2;",
        ";mouse;m2;2",
        ";mouse;m3;0",
    ]
    assert path.stat().st_mode & 0o777 == 0o640
    assert len(read_judgements(path)) == 3


def test_a_save_changes_its_row_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"
    rows = [f'"shoes, size {n % 7}",p{n},{n % 4}.0' for n in range(50)]
    path.write_text("\r\n".join(["query,product_id,grade", *rows, 'shoes,p1,1\r\nshoes,p1,"2"']))
    before, inode = path.read_bytes(), path.stat().st_ino
    JudgementsFile(path).save("Shoes,  size 3", "p3", 0)
    JudgementsFile(path).save("shoes", "p1", 3)
    after = path.read_bytes()
    assert (len(after), path.stat().st_ino) == (len(before), inode)
    assert (
        after.replace(b'3",p3,0  ', b'3",p3,3.0').replace(b'1,3\r\nshoes,p1," "', b'1,1\r\nshoes,p1,"2"')
        == before
    )
    judged = {(found.query, found.product_id): found.grade for found in read_judgements(path)}
    assert (judged["shoes, size 3", "p3"], judged["shoes", "p1"]) == (0, 3)


def test_grades_come_and_go_without_the_file_growing(tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"
    file = JudgementsFile(path)
    file.save("mouse", "m1", 3)
    size = path.stat().st_size
    for grade in (None, 2, 0, None, 1):
        file.save("mouse", " m1", grade)
        assert file.grades("Mouse", ["m1"]) == ({} if grade is None else {"m1": grade})
    assert path.stat().st_size == size


def test_what_another_worker_or_a_person_writes_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"
    one, other = JudgementsFile(path), JudgementsFile(path)
    for file, other_file, grade in ((one, other, 1), (other, one, 2), (one, other, 3)):
        file.save("mouse", "m1", grade)
        file.save("mouse", f"m{grade + 1}", grade)
        assert other_file.grades("mouse", ["m1", f"m{grade + 1}"]) == {"m1": grade, f"m{grade + 1}": grade}
    edited = "query,product_id,grade\nold mouse,m9,0\nmouse,m1,0\n"
    path.write_text(edited)
    assert one.grades("mouse", ["m1", "m2"]) == {"m1": 0}
    one.save("mouse", "m1", 2)
    assert other.grades("mouse", ["m1", "m2"]) == {"m1": 2}
    other.save("mouse", "m1", 3)
    assert path.read_text() == edited.replace("m1,0", "m1,3")


def test_a_file_does_not_grow_without_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"
    file = JudgementsFile(path, max_bytes=60)
    file.save("mouse", "m1", 1)
    with pytest.raises(LabelsError, match=r"set preview\.judgements to a new file"):
        file.save("a mouse with a very long name", "m2", 1)
    file.save("mouse", "m1", 2)
    assert file.grades("mouse", ["m1"]) == {"m1": 2}
    with pytest.raises(LabelsError, match="is larger than 10 bytes"):
        JudgementsFile(path, max_bytes=10).grades("mouse", ["m1"])


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "judged.csv"
    file = JudgementsFile(path)
    file.save("mouse", "m1", 1)
    before, write = path.read_bytes(), os.pwrite

    def full_disk(descriptor: int, data: bytes, offset: int) -> int:
        write(descriptor, data[:5], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full_disk)
        with pytest.raises(LabelsError, match="No space left on device"):
            file.save("mouse", "m2", 1)
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == [".judged.csv.lock", "judged.csv"]
    file.save("mouse", "m2", 1)
    assert file.grades("mouse", ["m1", "m2"]) == {"m1": 1, "m2": 1}


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
