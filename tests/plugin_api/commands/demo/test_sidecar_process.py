import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mappings.errors import AttuneError
from mappings.settings import ModelSettings, OpenSearchSettings, Settings, SidecarSettings, load_settings
from plugin_api.commands.demo.sidecar_process import (
    RunningSidecar,
    choose_free_port,
    find_served_model,
    sidecar_url,
    start_sidecar,
)
from reranker.model import load_model
from tests.fakes.certificates import Authority

ANY_PORT = replace(Settings(), sidecar=SidecarSettings(port=0))


@pytest.fixture(scope="module")
def settings() -> Settings:
    return choose_free_port(ANY_PORT)


@pytest.fixture(scope="module")
def sidecar(settings: Settings) -> Iterator[RunningSidecar]:
    # It overrides the settings' own variables, which would be refused in a child.
    with start_sidecar(settings, {**os.environ, "ATTUNE_CONFIG": "/nowhere/attune.toml"}) as sidecar:
        yield sidecar


def test_a_child_gets_the_same_settings_through_its_environment() -> None:
    settings = Settings(
        opensearch=OpenSearchSettings(
            url="https://shop:9200", password="ä b", verify_certificates=False, timeout_seconds=1.5
        ),
        sidecar=SidecarSettings(port=1234),
    )
    assert load_settings(None, settings.as_environment()) == settings


def test_a_sidecar_serves_with_the_settings_given(settings: Settings, sidecar: RunningSidecar) -> None:
    assert sidecar.url == sidecar_url(settings.sidecar) == f"http://127.0.0.1:{settings.sidecar.port}"
    assert sidecar.seconds > 0
    assert find_served_model(settings.sidecar) == load_model(None).version


def test_a_sidecar_is_gone_with_its_workers_when_the_block_ends() -> None:
    settings = choose_free_port(ANY_PORT)
    with start_sidecar(settings, os.environ) as sidecar:
        assert sidecar.process is not None
        family = [child for child in psutil.Process().children(recursive=True) if _serves(child, sidecar)]
        assert len(family) == 2
    assert not any(member.is_running() for member in family)
    assert find_served_model(settings.sidecar) == ""


def _serves(process: psutil.Process, sidecar: RunningSidecar) -> bool:
    assert sidecar.process is not None
    return sidecar.process.pid in (process.pid, process.ppid())


def test_why_a_sidecar_did_not_start_is_said_in_its_own_words(tmp_path: Path) -> None:
    settings = replace(choose_free_port(ANY_PORT), model=ModelSettings(folder=str(tmp_path)))
    said = r"^the sidecar did not start: model folder .* lacks config\.json"
    with pytest.raises(AttuneError, match=said), start_sidecar(settings, os.environ):
        pytest.fail("there is no model to serve")


def test_a_port_that_something_else_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = SidecarSettings(port=other.getsockname()[1])
        with pytest.raises(AttuneError, match=f"can't listen at 127.0.0.1:{settings.port}: .*--port"):
            find_served_model(settings, seconds=0.05)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://localhost:81"), ("::1", "http://[::1]:81"), ("::", "http://localhost:81")],
)
def test_the_address_is_one_that_can_be_connected_to(host: str, url: str) -> None:
    assert sidecar_url(SidecarSettings(host=host, port=81)) == url


def test_a_sidecar_that_speaks_https_is_found(tmp_path: Path) -> None:
    signed = Authority(tmp_path, "shop").sign("sidecar")
    port = choose_free_port(ANY_PORT).sidecar.port
    tls = SidecarSettings(port=port, tls_certificate=str(signed.certificate), tls_key=str(signed.key))
    with start_sidecar(replace(Settings(), sidecar=tls), os.environ) as sidecar:
        assert sidecar.url == f"https://127.0.0.1:{port}"
        assert find_served_model(tls) == load_model(None).version
