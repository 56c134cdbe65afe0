from pathlib import Path

import pytest

from mappings.errors import EvaluationError, LabelsError
from mappings.types import Judgement
from reranker.evaluation.trec import read_qrels, read_queries, read_run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.txt"


def test_a_run_is_ordered_by_score_whatever_its_ranks(file: Path) -> None:
    file.write_text("q1 Q0 a 1 0.5 tag\nq1 Q0 b 2 2e1 tag\n\nq2 Q0 a 1 -3 tag\n")
    assert read_run(file, {}) == {"q1": ["b", "a"], "q2": ["a"]}


def test_equal_scores_are_ordered_as_trec_eval_does(file: Path) -> None:
    file.write_text("q Q0 a 1 1 t\nq Q0 c 2 1 t\nq Q0 b 3 1 t\n")
    assert read_run(file, {})["q"] == ["c", "b", "a"]


def test_a_query_id_may_be_a_text_with_spaces(file: Path) -> None:
    file.write_text("USB-C  Cable Q0 a 1 0.5 tag\n")
    assert read_run(file, {}) == {"usb-c cable": ["a"]}


def test_query_ids_are_looked_up(file: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries.tsv"
    queries.write_text("7\tUSB cable\n")
    texts = read_queries(queries)
    file.write_text("7 Q0 a 1 0.5 tag\n")
    assert read_run(file, texts) == {"usb cable": ["a"]}
    file.write_text("7 0 a 3\n")
    assert read_qrels(file, texts) == [Judgement("USB cable", "a", 3)]
    file.write_text("7 Q0 a 1 0.5 tag\n8 Q0 a 1 0.5 tag\n")
    with pytest.raises(EvaluationError, match="line 2 has query id 8, which --queries does not list"):
        read_run(file, texts)


@pytest.mark.parametrize("line", ["q Q0 a 1 0.5", "q Q0 a 1 high tag", "just words"])
def test_a_broken_run_line_is_named(file: Path, line: str) -> None:
    file.write_text(f"q Q0 b 1 0.5 tag\n{line}\n")
    with pytest.raises(EvaluationError, match="line 2 is not QUERY-ID Q0 PRODUCT-ID RANK SCORE TAG"):
        read_run(file, {})


def test_a_product_ranked_twice_is_refused(file: Path) -> None:
    file.write_text("q Q0 b 1 0.5 tag\nq Q0 b 2 0.4 tag\n")
    with pytest.raises(EvaluationError, match="line 2 ranks product b a second time"):
        read_run(file, {})


def test_spam_grades_count_as_0_and_grades_above_3_are_refused(file: Path) -> None:
    file.write_text("a phone 0 x -2\na phone 0 y 3\n")
    assert read_qrels(file, {}) == [Judgement("a phone", "x", 0), Judgement("a phone", "y", 3)]
    file.write_text("q 0 x 4\n")
    with pytest.raises(LabelsError, match="line 1 has grade 4: grades are 0 to 3"):
        read_qrels(file, {})


@pytest.mark.parametrize("line", ["q 0 x", "q 0 x good"])
def test_a_broken_qrels_line_is_named(file: Path, line: str) -> None:
    file.write_text(line)
    with pytest.raises(LabelsError, match="line 1 is not QUERY-ID 0 PRODUCT-ID GRADE"):
        read_qrels(file, {})


def test_files_that_are_empty_or_not_there(file: Path) -> None:
    with pytest.raises(EvaluationError, match=r"file\.txt does not exist"):
        read_run(file, {})
    file.write_text("\n")
    with pytest.raises(EvaluationError, match="holds no ranking"):
        read_run(file, {})
    with pytest.raises(LabelsError, match="holds no judgement"):
        read_qrels(file, {})


def test_queries_without_a_tab_are_named(file: Path) -> None:
    file.write_text("1\tphone\n2 case\n")
    with pytest.raises(EvaluationError, match="line 2 is not QUERY-ID<TAB>TEXT"):
        read_queries(file)
