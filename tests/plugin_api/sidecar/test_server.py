import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mappings.errors import AttuneError
from mappings.settings import SidecarSettings
from plugin_api.sidecar.server import listen

PROGRAM = """
import sys
from mappings.errors import ModelError
from mappings.settings import Settings, SidecarSettings
from plugin_api.sidecar.server import listen, run_sidecar
from plugin_api.sidecar.serving.asgi import respond
from plugin_api.search.answer import Answer

sidecar = SidecarSettings(port=0, workers=2, threads=2)
listener = listen(sidecar)
port = listener.getsockname()[1]

async def ready(scope, receive, send):
    await respond(send, Answer(200, b'{"status": "ready"}'))

def build(stack):
    if sys.argv[1:] == ["broken"]:
        raise ModelError("the model lacks a file")
    return ready

run_sidecar(listener, sidecar, build, lambda: print(port, flush=True))
"""


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    process = start()
    yield process
    process.kill()
    process.communicate()


def start(*arguments: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_serves_until_terminated(server: subprocess.Popen[str]) -> None:
    assert server.stdout is not None
    port = int(server.stdout.readline())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_attune/ready", timeout=30) as response:
        assert json.load(response)["status"] == "ready"
    server.send_signal(signal.SIGTERM)
    out, err = server.communicate(timeout=60)
    assert (server.returncode, out, err) == (0, "", "")


def test_a_model_that_cannot_be_loaded_is_one_line() -> None:
    process = start("broken")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out == ""
    assert set(err.splitlines()) == {"attune: the model lacks a file"}


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AttuneError, match=f"127.0.0.1:{port}: Address already in use; choose another"):
            listen(SidecarSettings(port=port))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(AttuneError, match=r"can't listen at 192\.0\.2\.1:8080"):
        listen(SidecarSettings(host="192.0.2.1"))
