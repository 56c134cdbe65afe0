"""JSON Lines: one object a line, from a file or a stream. A broken line costs one record."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from indexer.catalogue.records import Record, Reject
from indexer.sources.files.json.containers import unwrap
from indexer.sources.files.lines import MAX_LINE_BYTES, Line
from indexer.sources.files.nesting import MAX_LEVELS, check_levels

_MAX_DIGITS = 300
_EXTENDED = frozenset(
    ("$oid", "$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$uuid")
)


def _parse_integer(digits: str) -> int | str:
    """Return a number, or its text where no floating-point number is that large."""
    return int(digits) if len(digits) < _MAX_DIGITS else digits


DECODER = json.JSONDecoder(parse_int=_parse_integer)
"""Decodes JSON, numbers of 300 digits and more as text."""


def json_line_records(lines: Iterable[Line], encoding: str = "utf-8") -> Iterator[Record | Reject]:
    """Yield the record of every line that isn't blank."""
    decode = DECODER.decode
    for number, data, too_long, share in lines:
        if too_long:
            yield Reject(
                number, f"line longer than {MAX_LINE_BYTES:,} bytes", data.decode(encoding, "replace")
            )
            continue
        try:
            raw = data.decode(encoding).strip("\r\n\ufeff\0")
        except UnicodeDecodeError as error:
            shown = data.decode(encoding, "replace").rstrip("\r\n")
            yield Reject(number, f"not {encoding.upper()}: byte {data[error.start]:#04x}", shown)
            continue
        try:
            value = decode(raw)
        except (ValueError, RecursionError) as error:
            if raw.strip():
                yield Reject(number, f"broken JSON: {error}", raw)
            continue
        yield to_record(number, value, raw, share)


def to_record(line: int, value: object, raw: str, share: float) -> Record | Reject:
    """Return a decoded value as a record, or as a Reject where it is not an object or nested too deep.

    Envelopes are taken off, and what MongoDB writes as {"$oid": "…"} is its value.
    """
    value = unwrap(value)
    if not isinstance(value, dict):
        return Reject(line, f"wrong type: a JSON {type(value).__name__}, not an object", raw)
    try:
        if "\\" in raw and ("\\ud" in raw or "\\uD" in raw):
            value = _replace_surrogates(value)
        # Counting in the text is faster than looking at every value.
        if raw.count("{") + raw.count("[") > MAX_LEVELS:
            check_levels(value)
        if '"$' in raw:
            value = {key: _replace_extended(inner) for key, inner in value.items()}
        return Record(line, value, raw, share)
    except (ValueError, RecursionError) as error:
        return Reject(line, str(error), raw)


def _replace_extended(value: Any) -> Any:
    """Return a value with plain ones for those of MongoDB's extended JSON."""
    if isinstance(value, list):
        return [_replace_extended(element) for element in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (key := next(iter(value))) in _EXTENDED:
        return _replace_extended(value[key])
    return {key: _replace_extended(inner) for key, inner in value.items()}


def _replace_surrogates(value: dict[str, Any]) -> dict[str, Any]:
    """Return a record with U+FFFD for halves of surrogate pairs, which no index takes."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    replaced: dict[str, Any] = json.loads(text.decode("utf-8", "replace"))
    return replaced
