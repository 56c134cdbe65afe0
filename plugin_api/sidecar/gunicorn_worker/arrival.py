"""Whether enough of a request has arrived for a thread to take it up, told from its first bytes."""

import re
from enum import Enum

HEAD_BYTES = 65536
"""Most that a request line and its headers may have; OpenSearch takes 4 and 16 KiB by default."""

WHOLE_BODY_BYTES = 131_072
"""A body up to this size is waited for before a thread takes it; searches seldom have over a few KiB."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_UNTOLD = re.compile(rb"\r\n(?:transfer-encoding|expect):", re.IGNORECASE)


class Arrival(Enum):
    """What to do with the bytes of a request that are there."""

    WAIT = "more must arrive"
    WHOLE = "all of it is there, or what is there is wrong: parsing will read no more from the client"
    STREAM = "its body is long, of untold length, or waits to be asked for: a thread may have to wait for it"
    TOO_LARGE = "its head is longer than allowed"


def arrival(received: bytes | bytearray) -> Arrival:
    """Judge what has been received of one request.

    This decides only how long to wait. What the bytes mean is for the parser, which sees all of them.
    """
    end = received.find(b"\r\n\r\n", 0, HEAD_BYTES + 4)
    if end < 0:
        if received.count(b"\n") != received.count(b"\r\n"):
            return Arrival.WHOLE  # a bare line feed: the parser refuses it at once
        return Arrival.TOO_LARGE if len(received) > HEAD_BYTES else Arrival.WAIT
    head = bytes(received[: end + 2])
    if _UNTOLD.search(head):
        return Arrival.STREAM
    length = _LENGTH.search(head)
    if length is None:
        return Arrival.WHOLE
    digits = length[1].lstrip(b"0")
    if len(digits) > 9 or int(digits or b"0") > WHOLE_BODY_BYTES:
        return Arrival.STREAM
    return Arrival.WHOLE if len(received) >= end + 4 + int(digits or b"0") else Arrival.WAIT
