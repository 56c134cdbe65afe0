import subprocess
import sys

import pytest

from mappings.errors import SettingsError
from plugin_api.sidecar.telemetry.tracing import Tracing


def test_without_opentelemetry_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"pip install 'attune\[tracing\]'"):
        Tracing("http://localhost:4318")


def test_opentelemetry_is_loaded_only_when_asked_for() -> None:
    code = (
        "import sys, plugin_api.sidecar.telemetry.tracing, plugin_api.sidecar.telemetry.middleware\n"
        "import plugin_api.sidecar.app\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
