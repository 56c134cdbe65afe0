"""The priority of jobs beside searches that share their machine."""

import os
from contextlib import suppress

ENABLED = True
"""False in tests that run commands in their own process: its priority could not be raised again."""

NICE = 15
"""How much lower a job's priority is, as nice(1) counts, where the system has no policy for idle time."""


def lower_priority(idle: bool = True) -> None:
    """Let searches go first on a machine that they share with this process.

    On Linux it then runs in idle time alone (SCHED_IDLE): what else wakes up takes its core at once. Searches
    straight to OpenSearch, on two cores that encode, had a p95 1.6 times that without a rebuild; beside a job
    of nice 15, whose turns last some milliseconds, 1.8 to 2.1 times. Not `idle`, it is nice there as well: so
    Ray wants it, whose processes take each other for dead where they get no time for long.
    """
    if not ENABLED:
        return
    if idle:
        with suppress(AttributeError, OSError):  # another system, or a container that forbids it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            return
    if hasattr(os, "nice"):  # not on Windows
        os.nice(NICE)
