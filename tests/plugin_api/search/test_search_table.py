"""plugin_api/SEARCH.md says what the tests prove."""

import ast
from pathlib import Path

from tests.integration.search.cases import CASES, PROOFS
from tests.integration.search.table import FILE, table

COMPATIBILITY = Path(__file__).parents[2] / "integration/search/test_compatibility.py"


def test_the_page_is_what_the_cases_say() -> None:
    assert FILE.read_text(encoding="utf-8") == table(), "run `python -m tests.integration.search.table`"


def test_every_row_is_there_once_and_proved_by_a_test() -> None:
    rows = [(row.group, row.feature) for row in (*CASES, *PROOFS)]
    assert len(set(rows)) == len(rows)
    tree = ast.parse(COMPATIBILITY.read_text(encoding="utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {proof.test for proof in PROOFS} <= tests
