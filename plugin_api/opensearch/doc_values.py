"""Read the doc values of a hit, as OpenSearch shows them under `fields`: a list for each field."""

import binascii
from collections.abc import Sequence


def read_binary(values: Sequence[object] | None) -> bytes:
    """Return the first value of a binary field; empty where there is none, or it is not base64.

    >>> read_binary(["YWJjZA"])
    b'abcd'
    """
    first = values[0] if values else None
    if not isinstance(first, str):
        return b""
    try:
        return binascii.a2b_base64(f"{first}==")  # OpenSearch leaves out the padding
    except ValueError:
        return b""


def read_lowest(values: Sequence[object]) -> float | None:
    """Return the least of a field's numbers; None where it has none."""
    return min((value for value in values if isinstance(value, int | float)), default=None)
