"""How deep the JSON of a request may be nested, and how many values it may have.

OpenSearch 3.5.0 reads a query by recursion: about a thousand levels, a few KB, end the whole node with a
StackOverflowError. A search that Attune reads is refused long before.
"""

import re

from mappings.errors import BadRequest

MAX_DEPTH = 200
"""Levels of objects and lists. Sixty bool queries, each within the last, make about as many."""

MAX_VALUES = 300_000
"""Values of a body that is parsed whole: 10 MB of `[[],[],…` are three million, which take 200 MB."""

OPENING = frozenset(b"{[")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def has_too_many_values(text: bytes) -> bool:
    """Return whether JSON may have more than MAX_VALUES values. Commas within texts count as well."""
    return text.count(b",") + text.count(b"[") + text.count(b"{") > MAX_VALUES


def check_values(text: bytes) -> None:
    """Raise BadRequest where JSON may have more than MAX_VALUES values."""
    if has_too_many_values(text):
        raise BadRequest(f"the body has more than {MAX_VALUES} values")


def check_depth(text: bytes, lines: bool = False) -> None:
    """Raise BadRequest where JSON is nested deeper than MAX_DEPTH; `lines` has one document a line.

    Text that is no JSON may pass: whoever parses it refuses it.
    """
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return
    for document in text.split(b"\n") if lines else (text,):
        depth = 0
        for bracket in _STRINGS.sub(b"", document).translate(None, _OTHERS):
            depth += 1 if bracket in OPENING else -1
            if depth > MAX_DEPTH:
                reason = f"the search is nested deeper than {MAX_DEPTH} levels"
                raise BadRequest(reason, "x_content_parse_exception")
