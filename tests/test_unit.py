"""`make check` leaves out what needs torch, a container, a browser or another program, and nothing else."""

import pytest

from tests.unit import ROOT, is_unit


@pytest.mark.parametrize(
    ("module", "unit"),
    [
        ("tests/reranker/text/test_intent.py", True),
        ("tests/indexer/change/test_changes.py", True),
        ("tests/reranker/training/clicks/test_robots_filter.py", True),
        ("tests/reranker/training/scoring/test_scorer.py", False),  # torch
        ("tests/integration/search/test_search.py", False),  # containers
        ("tests/integration/indexing/test_changes.py", False),  # by the folder's conftest.py
        ("tests/plugin_api/sidecar/preview/page/test_searching.py", False),  # a browser
        ("tests/indexer/store/test_lock.py", False),  # other processes
    ],
)
def test_what_a_module_imports_decides(module: str, unit: bool) -> None:
    assert is_unit(ROOT / module) is unit
