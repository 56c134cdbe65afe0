"""Runs the sidecar as a child process, and finds one that runs already."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO

from mappings.errors import AttuneError
from mappings.settings import ENV_CONFIG, Settings, SidecarSettings
from plugin_api.sidecar.health import health, local_host
from plugin_api.sidecar.server import listen

_START_SECONDS = 180.0
"""A start takes about three seconds on an idle machine, and a minute on a very busy one."""

_STOP_SECONDS = 35.0
"""Longer than the server gives its workers to finish their requests (30 s)."""

_HEALTH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RunningSidecar:
    """A sidecar that serves. `process` is None, and `seconds` 0, where it was running already."""

    url: str
    process: subprocess.Popen[bytes] | None = None
    seconds: float = 0.0


def choose_free_port(settings: Settings) -> Settings:
    """Return the settings, with port 0 replaced by a port that is free now."""
    if settings.sidecar.port:
        return settings
    with listen(settings.sidecar) as listener:
        return replace(settings, sidecar=replace(settings.sidecar, port=listener.getsockname()[1]))


def sidecar_url(settings: SidecarSettings) -> str:
    """Return the address of the sidecar for programs on this machine."""
    host = local_host(settings)
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def find_served_model(settings: SidecarSettings, seconds: float = _HEALTH_SECONDS) -> str:
    """Return the model version of the sidecar at the configured address; empty where the port is free.

    Raises AttuneError where another program listens there, or a sidecar that is silent for `seconds`.
    """
    model = str(health(settings, seconds).get("model", ""))
    if not model:
        listen(settings).close()
    return model


@contextmanager
def start_sidecar(settings: Settings, environment: Mapping[str, str]) -> Iterator[RunningSidecar]:
    """Run a sidecar with these settings while the block runs.

    Raises AttuneError with the sidecar's last line when it does not start.
    """
    variables = {name: value for name, value in environment.items() if name != ENV_CONFIG}
    with tempfile.TemporaryFile() as log:
        began = time.monotonic()
        process = subprocess.Popen(
            # -P: import nothing from the working directory.
            [sys.executable, "-P", "-m", "plugin_api", "serve"],
            env={**variables, **settings.as_environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,  # Ctrl-C goes to the program at the terminal, which then ends this one
        )
        try:
            _wait(process, settings.sidecar, log)
            yield RunningSidecar(sidecar_url(settings.sidecar), process, time.monotonic() - began)
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], settings: SidecarSettings, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not health(settings, _HEALTH_SECONDS):
        if process.poll() is not None:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1].removeprefix("attune: ") if lines else f"exit status {process.returncode}"
            raise AttuneError(f"the sidecar did not start: {reason}")
        if time.monotonic() > deadline:
            raise AttuneError(
                f"the sidecar does not answer after {_START_SECONDS:.0f} s: `attune serve` says why"
            )
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its workers: it leads a session of its own
        process.wait()
