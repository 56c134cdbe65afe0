"""Numbers in queries and product texts: measures with a unit, model numbers and plain numbers.

What makes one word of the scorer, or a model number, is decided here alone. `reranker.understanding` has
units of its own, with their factors.
"""

import re

_UNITS = (
    "mm|cm|dm|m|km|in|inch|ft|yd|mg|g|kg|lb|oz|ml|cl|l|litre|liter|gal|kb|mb|gb|tb|mah|ah|wh|kwh|w|kw|v|mv|a"
    "|hz|khz|mhz|ghz|mp|px|dpi|ppm|rpm|btu|lm|k|p|fps|bit|gbit|mbit|gbps|mbps|pack|pc|ct"
)
"""Units that make one word with the number before them: `128 GB` is `128gb`. An alternation for regexes."""

_COUNTED = (
    "amps?|core|count|d|days?|drawer|feet|grams?|h|hours?|i|inches|kv|lbs|months?|nd|nm|packs|pcs?|persons?|"
    "pieces?|pin|ports?|rd|s|seater|sets?|st|t|th|tier|volts?|watts?|way|x|years?"
)
"""What else makes a number a measure, a count or an ordinal and so not a model number: `3rd`, `4-port`."""

_NUMBER = r"[0-9]+(?:[.,][0-9]+)*"
_ANY_UNIT = re.compile(f"(?:{_UNITS}|{_COUNTED})")
_MEASURE = re.compile(
    rf"[0-9]+(?:[x.,/'-]+[0-9]+)*(?:{_UNITS}|{_COUNTED})?(?:[x/-][0-9]+(?:{_UNITS}|{_COUNTED})?)*"
)
SPACED_UNIT = re.compile(rf"(?<![\w.,])({_NUMBER})[ -]?({_UNITS})(?:es|s)?(?!\w)")
"""A number and its unit, written together or apart."""

_HAS_DIGIT = re.compile("[0-9]")
_HAS_LETTER = re.compile(r"[^\W\d_]")
_SHORTEST_MODEL = 3
"""Characters of the shortest model number: `A4` and `x2` are not one."""


def is_unit(word: str) -> bool:
    """Whether a case-folded word is a unit, or what is counted: `gb`, `inches`, `pack`."""
    return bool(_ANY_UNIT.fullmatch(word))


def is_measure(word: str) -> bool:
    """Whether a case-folded word is a number with a unit, a size or an ordinal: `128gb`, `24-70mm`, `3rd`."""
    return bool(_MEASURE.fullmatch(word) and _HAS_LETTER.search(word))


def is_model_number(word: str) -> bool:
    """Whether a case-folded word mixes letters and digits and is not a measure: `tn2110`, `wh-1000xm4`."""
    return (
        len(word) >= _SHORTEST_MODEL
        and bool(_HAS_DIGIT.search(word) and _HAS_LETTER.search(word))
        and not is_measure(word)
    )


def classify_number(word: str) -> str:
    """Return what a case-folded word with a digit is: "unit" (128gb), "model" (tn2110) or "number" (13).

    A word without a digit gets "".
    """
    if not any(map(str.isdigit, word)):
        return ""
    if is_measure(word):
        return "unit"
    return "model" if is_model_number(word) else "number"
