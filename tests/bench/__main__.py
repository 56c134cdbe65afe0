"""`make bench`: every measurement in turn, or the one named, written to bench-results/."""

import json
import subprocess
import sys
from pathlib import Path

NAMES = (
    "rerank", "encode", "compression", "token_vectors", "serve", "proxy", "candidates", "relevance",
    "hostile", "rebuild", "attach", "price_changes", "searching_during", "index_memory", "reading",
    "experiments", "behaviour", "tuning",
)  # fmt: skip
RESULTS = Path(__file__).parents[2] / "bench-results"


def main() -> None:
    """Run each measurement in a process of its own: none inherits another's memory, threads or caches."""
    arguments = sys.argv[1:]
    if set(arguments) & {"-h", "--help"} or not set(arguments[:1]) <= set(NAMES):
        print(f"usage: python -m tests.bench [{'|'.join(NAMES)} [OPTIONS]]; see tests/bench/README.md")
        sys.exit(0 if set(arguments) & {"-h", "--help"} else 2)
    runs = [arguments] if arguments else [[name] for name in NAMES]
    failed = [run[0] for run in runs if not measured(run[0], run[1:])]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def measured(name: str, options: list[str]) -> bool:
    """Run one measurement; write and print what it found, and tell whether it found anything."""
    command = [sys.executable, "-m", f"tests.bench.{name}", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        return False
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(json.loads(done.stdout), indent=2) + "\n")
    return True


if __name__ == "__main__":
    main()
