"""JSON that is taken apart one level at a time: what is not read stays the very bytes that came.

Numbers of OpenSearch's are not always numbers of Python's (long decimals, 1.0E10), and parsing what is only
passed on is most of the cost of a search's answer. No library but msgspec leaves parts of a document raw.
"""

from typing import Any

import msgspec
from msgspec import Raw

RawObject = dict[str, Raw]

_object = msgspec.json.Decoder(RawObject)
_objects = msgspec.json.Decoder(list[RawObject])
_encoder = msgspec.json.Encoder()


def raw_object(data: bytes | Raw) -> RawObject:
    """Read an object's keys. Raises ValueError (msgspec.DecodeError) where it is none."""
    return _object.decode(data)


def raw_objects(data: bytes | Raw) -> list[RawObject]:
    """Read a list of objects. Raises ValueError (msgspec.DecodeError) where it is none."""
    return _objects.decode(data)


def dumps(value: Any) -> bytes:
    """Write JSON; Raw parts go in as they are."""
    return _encoder.encode(value)


def prettify(data: bytes) -> bytes:
    """Indent JSON for people."""
    return msgspec.json.format(data, indent=2)


def decoded(raw: Raw | None, default: object = None) -> object:
    """The value of a key of a raw object; the default where it is missing."""
    return default if raw is None else msgspec.json.decode(raw)


def as_list(value: object) -> list[object]:
    """A value that may stand for a list of one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
