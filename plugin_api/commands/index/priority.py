"""The priority of jobs beside searches that share their machine."""

import os

ENABLED = True
"""False in tests that run commands in their own process: its priority could not be raised again."""

_NICE = 5
"""How much lower a job's priority is, as nice(1) counts: 25 % of a core beside one other busy thread."""


def lower_priority() -> None:
    """Let searches go first on a machine that they share with this process, and all processes it starts.

    A local rebuild needs more than that, and does it for its encoding threads (`indexer.rebuild.background`).
    A rollback takes seconds. Ray's processes take each other for dead where they get no time for long.
    """
    if ENABLED and hasattr(os, "nice"):  # not on Windows
        os.nice(_NICE)
