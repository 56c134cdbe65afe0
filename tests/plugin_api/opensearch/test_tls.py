"""HTTPS to clients, through real handshakes."""

import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from mappings.errors import SettingsError
from mappings.settings import Settings, SidecarSettings
from plugin_api.commands.demo.sidecar_process import sidecar_url
from plugin_api.opensearch.tls import create_server_context
from tests.fakes.certificates import Authority, Signed
from tests.fakes.echo_server import (
    PROGRAM,
    ROOT,
    Server,
    connected,
    echo_server,
    error_of,
    rest_of,
    status_of,
    talk,
)

REQUEST = b"GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "shop")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Signed:
    return authority.sign("sidecar")


def with_tls(certificate: Signed, client_ca: Path | None = None) -> Settings:
    sidecar = SidecarSettings(
        port=0,
        threads=2,
        tls_certificate=str(certificate.certificate),
        tls_key=str(certificate.key),
        client_ca=str(client_ca or ""),
    )
    return replace(Settings(), sidecar=sidecar)


@pytest.fixture(scope="module")
def server(certificate: Signed) -> Iterator[Server]:
    with echo_server(with_tls(certificate)) as server:
        yield server


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.certificate))


def test_requests_are_answered_through_tls(server: Server, trusting: ssl.SSLContext) -> None:
    response = talk(server.port, REQUEST, context=trusting)
    assert json.loads(response.partition(b"\r\n\r\n")[2])["scheme"] == "https"


def test_a_client_reads_why_a_large_head_is_refused(server: Server, trusting: ssl.SSLContext) -> None:
    head = b"GET /a HTTP/1.1\r\n" + b"a" * 2_000_000
    assert status_of(talk(server.port, head, context=trusting)) == 431


def test_connections_are_kept_and_bodies_whole(server: Server, trusting: ssl.SSLContext) -> None:
    body = b"x" * 100_000
    request = b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with connected(server.port, context=trusting) as sock:
        sock.sendall(request + request + REQUEST)
        answers = rest_of(sock)
    assert answers.count(body) == 2
    assert answers.count(b"200 OK") == 3


def test_long_uploads_and_downloads_arrive_whole(server: Server, trusting: ssl.SSLContext) -> None:
    size = 20_000_000
    head = b"POST /count HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    assert talk(server.port, head % size + b"x" * size, 30, trusting).endswith(b"%d" % size)
    with connected(server.port, 30, trusting) as sock:
        sock.sendall(REQUEST.replace(b"/a", b"/big?blocks=300"))
        time.sleep(1.5)  # slower than a thread waits
        assert rest_of(sock).partition(b"\r\n\r\n")[2].count(b"x") == 300 * 65536


def test_tls_before_1_2_is_refused(server: Server, trusting: ssl.SSLContext) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        trusting.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    trusting.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        talk(server.port, REQUEST, context=trusting)


def test_stalled_handshakes_hold_nobody_up(server: Server, trusting: ssl.SSLContext) -> None:
    with ExitStack() as stack:
        for started in (b"", b"\x16\x03\x01\x02\x00\x01") * 10:
            stack.enter_context(connected(server.port)).sendall(started)
        began = time.monotonic()
        assert status_of(talk(server.port, REQUEST, context=trusting)) == 200
        assert time.monotonic() - began < 1


def test_a_handshake_that_never_ends_is_given_up(tmp_path: Path) -> None:
    little_time = """
from plugin_api.sidecar.serving import worker
worker.HANDSHAKE_SECONDS = 0.3
"""
    signed = Authority(tmp_path, "shop").sign("sidecar")
    tls = SidecarSettings(port=0, tls_certificate=str(signed.certificate), tls_key=str(signed.key))
    with echo_server(replace(Settings(), sidecar=tls), little_time + PROGRAM, quiet=True) as server:
        for started in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with connected(server.port) as sock, suppress(ConnectionResetError):
                sock.sendall(started)
                assert rest_of(sock) == b""


def test_plain_http_gets_no_answer(server: Server) -> None:
    with connected(server.port) as sock:
        sock.sendall(REQUEST)
        with suppress(ConnectionResetError):
            assert rest_of(sock)[:4] != b"HTTP"


def test_client_certificates_are_asked_for_but_by_probes(
    authority: Authority, certificate: Signed, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    with echo_server(with_tls(certificate, authority.certificate)) as server:
        refused = talk(server.port, REQUEST, context=trusting)
        assert status_of(refused) == 401
        assert error_of(refused)["type"] == "security_exception"
        for path in (b"/_attune/health", b"/_attune/ready"):
            assert status_of(talk(server.port, REQUEST.replace(b"/a", path), context=trusting)) == 200
        for path in (b"/_attune/health/../a", b"//_attune/health", b"/_attune/metrics"):
            assert status_of(talk(server.port, REQUEST.replace(b"/a", path), context=trusting)) == 401
        mine = authority.sign("caller")
        trusting.load_cert_chain(mine.certificate, mine.key)
        assert status_of(talk(server.port, REQUEST, context=trusting)) == 200
        stranger = Authority(tmp_path, "stranger").sign("caller")
        other = ssl.create_default_context(cafile=str(authority.certificate))
        other.load_cert_chain(stranger.certificate, stranger.key)
        with suppress(OSError):
            assert talk(server.port, REQUEST, context=other) == b""


def test_a_renewed_certificate_is_taken_up_on_a_hangup(
    authority: Authority, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    first, second = authority.sign("first"), authority.sign("second")
    shown = Signed(tmp_path / "shown.crt", tmp_path / "shown.key")
    shutil.copy(first.certificate, shown.certificate)
    shutil.copy(first.key, shown.key)
    with echo_server(with_tls(shown)) as server:
        assert _name(server.port, trusting) == "first"
        shutil.copy(second.certificate, shown.certificate)
        shutil.copy(second.key, shown.key)
        server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while _name(server.port, trusting) != "second":
            assert time.monotonic() < end
            time.sleep(0.2)
        assert status_of(talk(server.port, REQUEST, context=trusting)) == 200


def _name(port: int, context: ssl.SSLContext) -> str:
    with connected(port, context=context) as sock:
        assert isinstance(sock, ssl.SSLSocket)
        shown = sock.getpeercert()
        assert shown
        return str(dict(pair[0] for pair in shown["subject"])["commonName"])  # type: ignore[misc]


def test_what_is_wrong_with_a_certificate_is_said(certificate: Signed, tmp_path: Path) -> None:
    def complaint(**settings: str) -> str:
        with pytest.raises(SettingsError) as raised:
            create_server_context(SidecarSettings(**settings))  # type: ignore[arg-type]
        return str(raised.value)

    mine = str(certificate.certificate)
    assert "No such file" in complaint(tls_certificate="/nowhere.pem")
    assert "sidecar.tls_certificate" in complaint(tls_certificate=__file__, tls_key=str(certificate.key))
    other = Authority(tmp_path, "other").sign("other")
    assert "can't be used" in complaint(tls_certificate=mine, tls_key=str(other.key))
    said = complaint(tls_certificate=mine, tls_key=str(certificate.key), client_ca="/nowhere.pem")
    assert said.startswith("sidecar.client_ca /nowhere.pem can't be used: No such file")
    loaded = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert "is encrypted" in complaint(tls_certificate=mine, tls_key=str(locked))


def test_the_containers_health_check_asks_through_tls(
    server: Server, certificate: Signed, authority: Authority
) -> None:
    def exit_code(port: int, settings: Settings) -> int:
        variables = replace(settings, sidecar=replace(settings.sidecar, port=port)).as_environment()
        command = [sys.executable, "-m", "plugin_api.sidecar.health"]
        return subprocess.run(command, env={**variables, "PYTHONPATH": str(ROOT)}, check=False).returncode

    assert exit_code(server.port, with_tls(certificate)) == 0
    assert exit_code(server.port, Settings()) == 1
    with echo_server(with_tls(certificate, authority.certificate)) as strict:
        assert exit_code(strict.port, with_tls(certificate, authority.certificate)) == 0
    assert exit_code(strict.port, with_tls(certificate)) == 1
    assert sidecar_url(with_tls(certificate).sidecar).startswith("https://127.0.0.1:")


def test_the_socket_is_left_alone_by_a_client_that_only_looks(server: Server) -> None:
    for _ in range(20):
        socket.create_connection(("127.0.0.1", server.port)).close()
    assert server.process.poll() is None
