import subprocess
import sys

PROGRAM = "import os\nfrom plugin_api import priority\npriority.step_back()\nprint(os.nice(0))"


def test_a_job_lets_others_go_first() -> None:
    done = subprocess.run(
        ["nice", "-n", "0", sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    own = subprocess.run(["nice"], capture_output=True, text=True, check=True)
    assert int(done.stdout) == min(19, int(own.stdout) + 15)
