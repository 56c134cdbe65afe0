import subprocess
import sys
import threading
from pathlib import Path

import pytest

from indexer.store.id_set import IdSet
from mappings.errors import CatalogueError

ROOT = Path(__file__).parents[3]
PEAK = """
import resource, sys
from indexer.store.id_set import IdSet
with IdSet() as seen:
    for number in range(int(sys.argv[1])):
        seen.add(f"{number * 7919 % 1_000_003:040d}", number)
    print(len(seen), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_the_line_where_an_id_came_first() -> None:
    with IdSet() as seen:
        assert seen.add("a", 1) is None
        assert seen.add("b", 2) is None
        assert seen.add("a", 3) == 1
        assert seen.add("a", 4) == 1
        assert "a" in seen
        assert "A" not in seen
        assert len(seen) == 2


@pytest.mark.parametrize("product_id", ["", "商品-1", "a'b\"", "1", "01", "1e3", " 1", "x" * 512, "a\x00b"])
def test_ids_are_told_apart_as_they_stand(product_id: str) -> None:
    with IdSet() as seen:
        for other in ("0", "1.0", "1000", "a", product_id.swapcase() + "_"):
            assert seen.add(other, 1) is None
        assert product_id not in seen
        assert seen.add(product_id, 2) is None
        assert seen.add(product_id, 3) == 2


def test_another_thread_than_the_maker_may_use_it() -> None:
    found: list[int | None] = []
    with IdSet() as seen:
        seen.add("a", 1)
        thread = threading.Thread(target=lambda: found.append(seen.add("a", 2)))
        thread.start()
        thread.join()
    assert found == [1]


def test_memory_stays_the_same_however_many_ids() -> None:
    def peak_kib(count: int) -> int:
        run = subprocess.run(
            [sys.executable, "-c", PEAK, str(count)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        held, peak = map(int, run.stdout.split())
        assert held == count
        return peak

    # 400,000 ids of 40 characters are about 20 MB on disk; a dict of them takes 60.
    assert peak_kib(400_000) - peak_kib(20_000) < 24 * 1024


def test_a_full_disk_is_an_error_that_says_what_to_do() -> None:
    with IdSet() as seen:
        seen._database.execute("PRAGMA max_page_count = 20")
        with pytest.raises(CatalogueError, match=r"temporary file: .*full.*SQLITE_TMPDIR"):
            all(seen.add(f"{number:040d}", number) is None for number in range(10_000))
