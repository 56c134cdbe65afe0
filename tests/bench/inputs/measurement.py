"""Facts of the machine that a measurement ran on, and the median and percentiles of what it measured."""

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from mappings.types import JsonObject


def machine(*packages: str) -> JsonObject:
    """Cores, processor and versions; `load_before` tells what else ran (1-minute load average)."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": next(_processors(), platform.machine()),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


def middle(values: Sequence[float], digits: int = 2) -> float:
    """The median, rounded."""
    return round(statistics.median(values), digits)


def percentiles(values: Sequence[float], *ranks: int) -> JsonObject:
    """Return percentiles by name, such as p95, rounded to one decimal."""
    return {f"p{rank}": round(float(np.percentile(values, rank)), 1) for rank in ranks}


def _processors() -> Iterator[str]:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                yield value.strip()
