"""An index as one caller sees it: what holds of it for one need not hold for another."""

import hashlib
from collections.abc import Mapping

IMPERSONAL = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "content-encoding",
    "content-length", "content-type", "date", "forwarded", "pragma", "referer", "traceparent", "tracestate",
    "user-agent", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-opaque-id",
    "x-real-ip", "x-request-id",
})  # fmt: skip
"""Request headers that don't say as whom OpenSearch takes the caller; any other may."""


def view_key(index: str, headers: Mapping[str, str]) -> str:
    """Return the key of an index as the caller with these headers (names in lower case) sees it.

    One caller may not see the vectors, or some products, that another does.
    """
    told = sorted((name, value) for name, value in headers.items() if name not in IMPERSONAL)
    return f"{index} {hashlib.sha256(repr(told).encode()).hexdigest()}"
