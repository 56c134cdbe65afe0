import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, threading
from plugin_api.commands.index import priority
priority.lower_priority()
thread = threading.Thread(target=lambda: print(os.nice(0)))
thread.start()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "nice"), reason="Windows has no niceness")
def test_a_job_is_nice_and_so_are_its_threads() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) == min(19, os.nice(0) + 5)
