"""Kill the node that `attune up` has started, and start it again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import psutil

from mappings.settings import Settings
from plugin_api.commands.node import lifecycle as node

_ROOT = Path(__file__).parents[3]


def restart_killed_node(settings: Settings) -> None:
    """Kill OpenSearch as a lack of memory or power would, and start it again."""
    running = node.find_node(node.node_home(settings.node, os.environ))
    if running is None:
        raise click.ClickException("no embedded OpenSearch runs: `attune up` first, with its ATTUNE_HOME")
    dying = psutil.Process(running.pid)
    dying.send_signal(signal.SIGKILL)
    dying.wait(60)  # until its port is free
    subprocess.run(
        [sys.executable, "-P", "-m", "plugin_api", "up"],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
