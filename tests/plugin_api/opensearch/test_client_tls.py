import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mappings.errors import ClusterDown, SettingsError
from mappings.settings import OpenSearchSettings
from plugin_api.opensearch.http_client import HttpClient
from tests.fakes.certificates import Authority
from tests.fakes.http_peer import OK, Peer, keeping, peer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "a shop's own")


@contextmanager
def opensearch(authority: Authority, address: str = "127.0.0.1", asks: bool = False) -> Iterator[Peer]:
    """A server with a certificate for an address, which asks for one where it `asks`."""
    signed = authority.sign("opensearch", address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.certificate, signed.key)
    if asks:
        context.load_verify_locations(authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    with peer(keeping(OK), context) as running:
        yield running


def asked(url: str, times: int = 1, **settings: object) -> bytes:
    client = HttpClient(OpenSearchSettings(url=url, **settings))  # type: ignore[arg-type]
    try:
        return b"".join(client.request("POST", "/_search", {}, b"{}", 30.0).body for _ in range(times))
    finally:
        client.close()


def test_a_certificate_of_the_given_authority_is_trusted(authority: Authority) -> None:
    with opensearch(authority) as server:
        assert asked(server.url, times=5, ca_file=str(authority.certificate)) == b"ok" * 5
        assert server.connections == 1


def test_any_other_is_not_unless_the_settings_say_so(authority: Authority) -> None:
    with opensearch(authority) as server:
        with pytest.raises(ClusterDown, match=r"can't be trusted: .*opensearch.ca_file"):
            asked(server.url)
        assert asked(server.url, verify_certificates=False) == b"ok"
    with opensearch(authority, address="127.0.0.2") as server:
        with pytest.raises(ClusterDown, match="can't be trusted"):
            asked(server.url, ca_file=str(authority.certificate))
        assert asked(server.url, verify_certificates=False) == b"ok"


def test_a_client_certificate_is_shown_where_one_is_asked_for(authority: Authority) -> None:
    own = authority.sign("the sidecar")
    shown = {"client_certificate": str(own.certificate), "client_key": str(own.key)}
    with opensearch(authority, asks=True) as server:
        assert asked(server.url, ca_file=str(authority.certificate), **shown) == b"ok"
        with pytest.raises(ClusterDown, match=r"broke the connection( \(.*CERTIFICATE_REQUIRED\))?"):
            asked(server.url, ca_file=str(authority.certificate))


def test_what_is_wrong_with_a_file_is_said(authority: Authority, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    with pytest.raises(SettingsError, match=r"opensearch.ca_file .*nothing.pem can't be used: No such file"):
        asked("https://localhost", ca_file=str(nothing))
    nothing.write_text("no certificate")
    with pytest.raises(SettingsError, match=r"opensearch.ca_file .*nothing.pem can't be used: "):
        asked("https://localhost", ca_file=str(nothing))
    own = authority.sign("the sidecar")
    with pytest.raises(SettingsError, match=r"opensearch.client_certificate .* can't be used: "):
        asked("https://localhost", client_certificate=str(own.certificate), client_key=str(nothing))
