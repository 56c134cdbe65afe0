"""Headers that go on to another server, and those that speak of one connection alone."""

from collections.abc import Iterable

HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""RFC 9110, 7.6.1; so are those that the `connection` header names."""

_SIGNATURE = frozenset({"authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})
"""The headers of a request that is signed as Amazon's services want it (SigV4)."""


def drop_hop_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers that go on, in their order. Names must be in lower case."""
    headers = list(headers)
    named = (value for name, value in headers if name == "connection")
    hop = HOP_BY_HOP.union(*(map(str.strip, value.lower().split(",")) for value in named))
    return [header for header in headers if header[0] not in hop]


def drop_signature(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers without an Amazon signature, if they have one. Names must be in lower case.

    It is of the sidecar's host, and of other bytes than a search is sent on with: OpenSearch would refuse it.
    Whoever signs behind the sidecar does so with a role of its own.
    """
    headers = list(headers)
    if not any(name == "authorization" and value.startswith("AWS4-") for name, value in headers):
        return headers
    return [header for header in headers if header[0] not in _SIGNATURE]
