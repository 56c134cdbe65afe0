"""TLS on both sides of the sidecar: towards its clients, and towards OpenSearch."""

import ssl
from typing import NoReturn

from mappings.errors import SettingsError
from mappings.settings import OpenSearchSettings, SidecarSettings


def create_server_context(settings: SidecarSettings) -> ssl.SSLContext:
    """The context that clients are served with: TLS 1.2 or newer, HTTP/1.1.

    A client certificate is asked for where `sidecar.client_ca` is set. One that does not hold ends the
    handshake; who has none is refused later, by path, because orchestrators' probes have none.
    Raises SettingsError naming the file that can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    certificate, key = settings.tls_certificate, settings.tls_key
    try:
        context.load_cert_chain(certificate, key or None, password=_refuse_password)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"sidecar.tls_certificate {certificate} with sidecar.tls_key {key or certificate} can't be used: "
            f"{error.strerror or error}; both must be PEM files, and the key the certificate's own"
        ) from error
    if settings.client_ca:
        try:
            context.load_verify_locations(settings.client_ca)
        except OSError as error:
            raise SettingsError(
                f"sidecar.client_ca {settings.client_ca} can't be used: {error.strerror or error}; "
                "it must be a PEM file of certificates"
            ) from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(settings: OpenSearchSettings) -> ssl.SSLContext:
    """The context for asking OpenSearch: its certificate is verified unless the settings say otherwise.

    Raises SettingsError naming the file that can't be used.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise SettingsError(
            f"opensearch.ca_file {settings.ca_file} can't be used: {error.strerror or error}; "
            "it must be a PEM file of certificates"
        ) from error
    if not settings.verify_certificates:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = settings.client_certificate, settings.client_key
    if certificate:
        try:
            context.load_cert_chain(certificate, key or None, password="")
        except OSError as error:
            raise SettingsError(
                f"opensearch.client_certificate {certificate} with opensearch.client_key "
                f"{key or certificate} can't be used: {error.strerror or error}; both must be PEM files, "
                "the key without a password"
            ) from error
    return context


def _refuse_password() -> NoReturn:
    """Instead of a question at the terminal."""
    raise SettingsError(
        "sidecar.tls_key is encrypted: give it without a password, readable by the sidecar alone"
    )
