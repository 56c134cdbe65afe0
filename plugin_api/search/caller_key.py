"""The key of an index as one caller sees it: what is true for one caller need not be true for another."""

import hashlib
from collections.abc import Mapping

_HARMLESS_HEADERS = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "content-encoding",
    "content-length", "content-type", "date", "origin", "pragma", "referer", "traceparent", "tracestate",
    "user-agent", "x-opaque-id", "x-request-id",
})  # fmt: skip
"""Request headers by which OpenSearch does not tell callers apart.

Any other may identify a caller, X-Forwarded-For too: the security plugin trusts a proxy by it.
"""


def has_identity(headers: Mapping[str, str]) -> bool:
    """Return whether OpenSearch may tell the caller with these headers (names in lower case) from others."""
    return not _HARMLESS_HEADERS.issuperset(headers)


def make_caller_key(index: str, headers: Mapping[str, str]) -> str:
    """Return the key of an index as the caller with these headers (names in lower case) sees it.

    One caller may not see the vectors, or some products, that another does.
    """
    identity = sorted((name, value) for name, value in headers.items() if name not in _HARMLESS_HEADERS)
    return hashlib.sha256(repr((index, identity)).encode()).hexdigest()
