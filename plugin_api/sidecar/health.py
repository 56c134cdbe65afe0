"""Check that the configured sidecar lives.

The container's health check is `python -m plugin_api.sidecar.health`.
"""

import os
import ssl
import sys

from mappings.errors import AttuneError
from mappings.settings import SidecarSettings, load_settings
from mappings.types import JsonObject
from plugin_api.opensearch.probe import get_json

EVERYWHERE = ("0.0.0.0", "::")
SECONDS = 5.0


def health(settings: SidecarSettings, seconds: float) -> JsonObject:
    """What the sidecar on this machine says of itself; empty when it says nothing within `seconds`."""
    context = None
    if settings.tls_certificate:
        # Its name need not be localhost, and an expired certificate is no reason to restart the sidecar;
        # nothing is sent that others may not see.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return get_json(settings.port, "/_attune/health", seconds, local_host(settings), context)


def local_host(settings: SidecarSettings) -> str:
    """The host by which this machine reaches the sidecar."""
    return "localhost" if settings.host in EVERYWHERE else settings.host


def main() -> None:
    """Exit with 0 where the sidecar lives, else with 1."""
    try:
        alive = health(load_settings(None, os.environ).sidecar, SECONDS)
    except AttuneError:
        alive = {}
    sys.exit(0 if alive else 1)


if __name__ == "__main__":
    main()
