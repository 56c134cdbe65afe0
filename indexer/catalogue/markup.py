"""Strip HTML from text in time proportional to its length, whatever it holds.

The standard library's parser takes minutes for a megabyte of unclosed tags. Every pattern here stops at the
next `<`, so that no character is looked at more than a few times.
"""

import html
import re

_PASSES = 3
"""Feeds escape their markup once or twice more (`&amp;lt;p&amp;gt;`)."""

_INLINE = frozenset(
    [
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "big",
        "code",
        "em",
        "font",
        "i",
        "ins",
        "mark",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "tt",
        "u",
        "wbr",
    ]
)
"""Tags that do not separate words: all others do."""

_TAG = re.compile(r"""</?([A-Za-z][A-Za-z0-9]*)(?:(?:[^<>"']|"[^"<]*"|'[^'<]*')*+>|[^<>]*>)|<[!?][^<>]*>""")
_INVISIBLE_CONTENT = re.compile(r"<(script|style)\b[^<>]*>|<!--", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"&#(?:x[0-9a-f]{7,}|[0-9]{8,});?", re.IGNORECASE)
_ESCAPED = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def strip_markup(text: str) -> str:
    """Return `text` without tags, comments, scripts and styles, with character references resolved."""
    for _ in range(_PASSES):
        text = html.unescape(_LONG_NUMBER.sub(" ", _strip_tags(text)))
        if not (_TAG.search(text) or _ESCAPED.search(text)):
            break
    return text


def _strip_tags(text: str) -> str:
    if "<" not in text:
        return text
    return _TAG.sub(lambda match: "" if (match[1] or "").lower() in _INLINE else " ", _drop_content(text))


def _drop_content(text: str) -> str:
    """Return text without comments and without the content of scripts and styles."""
    parts: list[str] = []
    start = 0
    lower = ""
    while opening := _INVISIBLE_CONTENT.search(text, start):
        parts.append(text[start : opening.start()])
        parts.append(" " if opening[1] else "")
        lower = lower or text.lower()
        closing = f"</{opening[1].lower()}" if opening[1] else "-->"
        end = lower.find(closing, opening.end())
        if end < 0:
            # Without its end a comment or script is dropped to the end of the text, as browsers do.
            return "".join(parts)
        start = end + (0 if opening[1] else len(closing))
    return "".join((*parts, text[start:]))
