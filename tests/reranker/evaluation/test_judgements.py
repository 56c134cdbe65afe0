import gzip
from pathlib import Path

import pytest

from mappings.errors import LabelsError
from mappings.types import Judgement
from reranker.evaluation.judgements import assign_side, read_judgements, split_by_query
from reranker.training.clicks.click_labels import ClickEvidence


def written(folder: Path, text: str, name: str = "judgements.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_reads_query_product_and_grade(tmp_path: Path) -> None:
    path = written(tmp_path, 'query,product_id,grade\nlaptop,12,3\n"case, black",0099,0\n')
    assert read_judgements(path) == [Judgement("laptop", "12", 3), Judgement("case, black", "0099", 0)]


def test_reads_other_names_delimiters_and_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffRater;Rating;DocID;User Query\r\nann;2.0;12;usb hub\r\n;;;\r\n")
    assert read_judgements(path) == [Judgement("usb hub", "12", 2)]


def test_reads_gzip(tmp_path: Path) -> None:
    path = tmp_path / "judgements.csv.gz"
    path.write_bytes(gzip.compress(b"query\tsku\tlabel\nlaptop\t1\t1\n"))
    assert read_judgements(path) == [Judgement("laptop", "1", 1)]


def test_repeated_pairs_are_averaged_and_noted(tmp_path: Path) -> None:
    path = written(tmp_path, "query,id,grade\nUSB hub,1,3\nusb  hub,1,0\nusb hub,2,1\nUSB HUB,2,1\n")
    notes: list[str] = []
    assert read_judgements(path, notes.append) == [Judgement("USB hub", "1", 2), Judgement("USB hub", "2", 1)]
    assert len(notes) == 1
    assert "2 pairs are graded more than once, 1 of them differently" in notes[0]


def test_bad_lines_are_named_together(tmp_path: Path) -> None:
    path = written(
        tmp_path, 'query,id,grade\n"two\nlines",1,2\na,2,4\nb,3,good\n,4,1\nc,,1\nd,5\ne,6,1.5\nf,7,\n'
    )
    with pytest.raises(LabelsError) as raised:
        read_judgements(path)
    message = str(raised.value)
    assert str(path) in message
    for part in ("line 4: grade '4'", "line 5: grade 'good'", "line 6: no query", "line 7: no product id"):
        assert part in message
    assert "line 8: it ends before the grade" in message
    assert "and 1 more" in message


def test_rows_that_nobody_graded_are_skipped_and_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "Team Name,Case Name,Query Text,Doc ID,Rating\n"
        "T,C,laptop,1,3\nT,C,laptop,2,\nT,C,laptop,3,null\nT,C,tv,4, \n",
    )
    notes: list[str] = []
    assert read_judgements(path, notes.append) == [Judgement("laptop", "1", 3)]
    assert notes == [f"{path}: 3 rows have no grade and are skipped"]
    with pytest.raises(LabelsError, match=r"no judgement \(2 rows without a grade\)"):
        read_judgements(written(tmp_path, "query,docid,rating\na,1,\nb,2,-\n"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no column for query"),
        ("query,grade\na,1\n", "no column for product_id: call it one of product_id"),
        ("query,id,grade\n", "has a header and no judgement"),
        ('query,id,grade\na,1,2\n"b,2,3\nc,3,3\n', "line 3 is broken CSV"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(LabelsError, match=part):
        read_judgements(written(tmp_path, text))


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="does not exist"):
        read_judgements(tmp_path / "none.csv")
    with pytest.raises(LabelsError, match="can't be read"):
        read_judgements(tmp_path)
    with pytest.raises(LabelsError, match="damaged"):
        read_judgements(written(tmp_path, "query,id,grade\n", "broken.csv.gz"))
    latin = tmp_path / "latin.csv"
    latin.write_bytes("query,id,grade\ncafé,1,2\n".encode("latin-1"))
    with pytest.raises(LabelsError, match="line 2 is not UTF-8"):
        read_judgements(latin)


def test_a_query_is_on_one_side_whatever_the_file(tmp_path: Path) -> None:
    judgements = [Judgement(f"query {i}", str(product), 1) for i in range(400) for product in range(2)]
    split = split_by_query(judgements)
    sides = [{j.query for j in side} for side in (split.train, split.dev, split.test)]
    assert sum(map(len, sides)) == 400
    assert [len(side) / 400 for side in sides] == pytest.approx([0.65, 0.15, 0.2], abs=0.06)
    again = split_by_query(reversed(judgements[100:300]))
    assert {j.query for j in again.test} <= sides[2]
    assert len(split.train) + len(split.dev) + len(split.test) == len(judgements)


def test_clicks_split_as_judgements_do() -> None:
    evidence = [ClickEvidence(f"query {i}", "1", 0.5, 0.1, 9.0) for i in range(50)]
    judged = split_by_query(Judgement(f"Query  {i}", "2", 3) for i in range(50))
    clicked = split_by_query(evidence)
    assert {f"Query  {e.query[6:]}" for e in clicked.test} == {j.query for j in judged.test}
    assert len(clicked.train + clicked.dev + clicked.test) == 50


def test_spellings_of_a_query_are_on_one_side() -> None:
    for i in range(50):
        spellings = (f"phone case {i}", f"Phone  Cases {i}", f"{i} case phone", f" PHONE CASE {i}")
        assert len({assign_side(spelling) for spelling in spellings}) == 1
    assert len({assign_side(f"phone case {i}") for i in range(50)}) == 3


def test_sides_do_not_change_with_time() -> None:
    sides = [assign_side(query) for query in ("laptop", "usb hub", "手机", "!!")]
    assert sides == ["train", "train", "test", "test"]


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(ValueError, match="leave a share to train on"):
        assign_side("laptop", 0.5, 0.5)
