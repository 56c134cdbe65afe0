"""The sidecar as a child process: found where one serves already, started, waited for, stopped."""

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

START_SECONDS = 180.0
"""Some three seconds where nothing else runs; a machine at its limits takes a minute."""

STOP_SECONDS = 35.0
"""Longer than gunicorn gives its workers to end what they are at (30 s)."""

HEALTH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A serving sidecar. `process` is None, and `seconds` 0, where it ran already."""

    url: str
    process: subprocess.Popen[bytes] | None = None
    seconds: float = 0.0


def with_free_port(settings: Settings) -> Settings:
    """Return the settings with port 0 replaced by a port that is free now."""
    if settings.sidecar.port:
        return settings
    with listen(settings.sidecar) as listener:
        return replace(settings, sidecar=replace(settings.sidecar, port=listener.getsockname()[1]))


def sidecar_url(settings: SidecarSettings) -> str:
    """Where programs on this machine find the sidecar."""
    host = local_host(settings)
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def served_model(settings: SidecarSettings) -> str:
    """Version of the model that a sidecar at the configured address serves; empty where the port is free.

    Raises AttuneError where something else listens there.
    """
    model = str(health(settings, HEALTH_SECONDS).get("model", ""))
    if not model:
        listen(settings).close()
    return model


@contextmanager
def serving(settings: Settings, environment: Mapping[str, str]) -> Iterator[Sidecar]:
    """Run a sidecar with these settings while the block runs.

    Raises AttuneError, with the sidecar's own last line, when it does not come up.
    """
    variables = {name: value for name, value in environment.items() if name != ENV_CONFIG}
    with tempfile.TemporaryFile() as log:
        began = time.monotonic()
        process = subprocess.Popen(
            # -P: whatever lies in the working directory is not ours to import.
            [sys.executable, "-P", "-m", "plugin_api", "serve"],
            env={**variables, **settings.as_environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,  # a Ctrl-C is for the program at the terminal, which then ends this one
        )
        try:
            _wait(process, settings.sidecar, log)
            yield Sidecar(sidecar_url(settings.sidecar), process, time.monotonic() - began)
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], settings: SidecarSettings, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not health(settings, HEALTH_SECONDS):
        if process.poll() is not None:
            log.seek(0)
            said = log.read().decode(errors="replace").strip().splitlines()
            reason = said[-1].removeprefix("attune: ") if said else f"exit status {process.returncode}"
            raise AttuneError(f"the sidecar did not start: {reason}")
        if time.monotonic() > deadline:
            raise AttuneError(f"the sidecar does not answer after {START_SECONDS:.0f} s: see `attune serve`")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers too: it leads a session of its own
        process.wait()
