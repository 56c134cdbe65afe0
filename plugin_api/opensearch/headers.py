"""Headers that go on to another server, and those that speak of one connection alone."""

from collections.abc import Iterable

HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""RFC 9110, 7.6.1; so are those that the `connection` header names."""


def drop_hop_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers that go on, in their order. Names must be in lower case."""
    headers = list(headers)
    named = (value for name, value in headers if name == "connection")
    hop = HOP_BY_HOP.union(*(map(str.strip, value.lower().split(",")) for value in named))
    return [header for header in headers if header[0] not in hop]
