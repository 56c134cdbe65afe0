"""How fast catalogues are read: records a second of processor time, in turn with another version's tree.

    python -m tests.bench.reading [--against /path/to/tree] [--records 60000] [--runs 5]

A clean CSV file of ten columns, and JSON Lines of the demo's products, are read to their end and nothing else
is done. Each run is a process of its own; ratios are medians of this tree's speed over the other's.
"""

import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

import click

from tests.bench.inputs.measurement import machine, middle

_HERE = Path(__file__).parents[2]
_DEMO = _HERE / "plugin_api" / "commands" / "demo" / "data" / "electronics.jsonl.gz"
_COLUMNS = ("id", "name", "title", "supplier", "short_description", "price", "ean", "date_released")
_READ = """
import sys, time
from pathlib import Path
try:
    from indexer.sources.files import open_catalogue
except ImportError:
    from indexer.reading import open_catalogue
begin = time.process_time()
count = sum(1 for _ in open_catalogue(Path(sys.argv[1])).records())
print(count / (time.process_time() - begin))
"""


@click.command()
@click.option("--against", type=click.Path(exists=True, path_type=Path), help="Tree of another version.")
@click.option("--records", default=60_000, show_default=True)
@click.option("--runs", default=5, show_default=True)
def main(against: Path | None, records: int, runs: int) -> None:
    """Print the figures as JSON."""
    figures = machine()
    trees = {"here": _HERE} | ({"against": against.absolute()} if against else {})
    with tempfile.TemporaryDirectory() as folder:
        for file in (write_csv(Path(folder), records), write_json_lines(Path(folder), records)):
            speeds: dict[str, list[float]] = {name: [] for name in trees}
            for _ in range(runs):
                for name, tree in trees.items():
                    speeds[name].append(measure(tree, file))
            figures[file.suffix[1:]] = {
                "megabytes": round(file.stat().st_size / 1e6, 1),
                **{f"records_per_second_{name}": round(middle(speed)) for name, speed in speeds.items()},
                **(
                    {"ratio": middle([a / b for a, b in zip(*speeds.values(), strict=True)])}
                    if against
                    else {}
                ),
            }
    print(json.dumps(figures))


def write_csv(folder: Path, records: int) -> Path:
    """Write a clean CSV file and return its path."""
    path = folder / "products.csv"
    with (
        path.open("w", encoding="utf-8", newline="") as file,
        gzip.open(_DEMO, "rt", encoding="utf-8") as demo,
    ):
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        products = [json.loads(line) for line in demo]
        writer.writerows(
            [product.get(column, "") for column in _COLUMNS] for product in islice(cycle(products), records)
        )
    return path


def write_json_lines(folder: Path, records: int) -> Path:
    """Write JSON Lines and return their path."""
    path = folder / "products.jsonl"
    with path.open("w", encoding="utf-8") as file, gzip.open(_DEMO, "rt", encoding="utf-8") as demo:
        file.writelines(islice(cycle(list(demo)), records))
    return path


def measure(tree: Path, file: Path) -> float:
    """Return the records a second of processor time that the version in `tree` reads a file at."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(file)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()
