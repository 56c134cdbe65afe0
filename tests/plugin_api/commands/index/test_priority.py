import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, threading
from plugin_api.commands.index import priority

{before}
priority.lower_priority({idle})
thread = threading.Thread(target=lambda: print(os.sched_getscheduler(threading.get_native_id()), os.nice(0)))
thread.start()
thread.join()
"""


def policy_and_nice(before: str = "", idle: bool = True) -> list[int]:
    """What holds in a thread that a process starts after it has stepped back."""
    program = PROGRAM.format(before=before, idle=idle)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [int(of) for of in done.stdout.split()]


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="needs Linux")
def test_a_job_runs_in_idle_time() -> None:
    assert policy_and_nice() == [os.SCHED_IDLE, os.nice(0)]


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="needs Linux")
def test_a_job_is_nice_where_there_is_no_such_policy() -> None:
    expected = [os.SCHED_OTHER, min(19, os.nice(0) + 15)]
    assert policy_and_nice("del os.SCHED_IDLE") == policy_and_nice(idle=False) == expected
