"""Ask a server on this machine whether it lives, before any client of it is set up."""

import http.client
import json
import ssl

from mappings.types import JsonObject

MAX_BYTES = 1_000_000


def get_json(
    port: int,
    path: str,
    seconds: float,
    host: str = "localhost",
    context: ssl.SSLContext | None = None,
) -> JsonObject:
    """Return the JSON object that a port answers a GET with; empty where none comes within `seconds`.

    A `context` asks through TLS. opensearch-py would log each refused connection; proxies are never used.
    """
    connection = (
        http.client.HTTPConnection(host, port, timeout=seconds)
        if context is None
        else http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    )
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = json.loads(response.read(MAX_BYTES))
        return body if response.status == 200 and isinstance(body, dict) else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
