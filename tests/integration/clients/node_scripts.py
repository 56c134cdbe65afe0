"""Running the scripts of tests/integration/clients/node with Node."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

NODE_PROJECT = Path(__file__).parent / "node"
INSTALL_SECONDS = 300
SCRIPT_SECONDS = 240


def installed(folder: Path) -> Path:
    """Copy the scripts to a folder, with the packages of their lock file."""
    shutil.copytree(NODE_PROJECT, folder, ignore=shutil.ignore_patterns("node_modules"))
    _ran(["npm", "ci"], folder, INSTALL_SECONDS)
    return folder


def printed(project: Path, script: str, base: str, *queries: str) -> Any:
    """What a script prints of an address and queries."""
    return json.loads(_ran(["node", script, base, *queries], project, SCRIPT_SECONDS))


def _ran(command: list[str], folder: Path, seconds: float) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
