"""Clean text: what shops export becomes what shoppers type.

Markup is removed, character references are resolved, Unicode is normalised (NFKC: full-width Ａ → A, ﬁ → fi,
㎝ → cm), control and invisible characters are removed, and white space collapses. Letter case stays. NFKC
alone would damage some of what shops write, so these replacements come first:

    ™ ® © ℠     removed, because nobody types them (NFKC: TM)
    2½, 1⁄2     2 1/2, 1/2 (NFKC: 21⁄2 with a slash that no keyboard has)
    m², 10²     m2, 10^2 (NFKC: 102)
    90º, µF     90°, µF (NFKC: 90o, and a Greek μ)
    15.6″ ’ –   15.6" ' - (all typographic quotes, primes and dashes)
"""

import re
import unicodedata
from collections.abc import Callable

from indexer.catalogue.markup import strip_markup
from reranker.text.chinese import simplify_characters

_MAX_TEXT = 100_000
"""Characters of a cell that are cleaned; what follows is cut. The encoder reads 600 of a description."""

_MARKS = re.compile(r"[™®©℠]+(\w)?")
_FRACTION = re.compile(r"(\d?)([¼½¾⅐-⅞↉])")
_POWER = re.compile(r"(?<=\d)(?=[²³¹⁰⁴-⁹])")
_TYPED = str.maketrans(
    {
        **dict.fromkeys("“”„‟″〃", '"'),
        **dict.fromkeys("‘’‚‛′´", "'"),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        "⁄": "/",
    }
)
_DEGREE = re.compile(r"(?<=\d)º")
_ESCAPED_BREAK = re.compile(r"\\(?:r\\n|n|r)")
# Control characters other than white space, soft hyphens, zero-width and direction marks, unpaired
# surrogates, private use and the replacement character. Joiners (U+200C, U+200D) stay: some scripts need
# them to spell.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffd\ud800-\udfff\ue000-\uf8ff]"
)
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")


def clean_text(text: str) -> str:
    """Return `text` on one line, without markup, as described at the top of this module.

    Text beyond _MAX_TEXT characters is cut.
    """
    text = text[:_MAX_TEXT]
    if "<" in text or "&" in text:
        text = strip_markup(text)
    if not text.isascii():
        text = _MARKS.sub(lambda match: f" {match[1]}" if match[1] else "", text)
        text = _FRACTION.sub(lambda match: f"{match[1]} {match[2]}" if match[1] else match[2], text)
        text = _POWER.sub("^", text)
        text = _DEGREE.sub("°", text).translate(_TYPED)
        text = "µ".join(unicodedata.normalize("NFKC", part) for part in text.split("µ"))
        text = text.translate(_TYPED)
    if "\\" in text:
        text = _ESCAPED_BREAK.sub(" ", text)
    if not (text.isascii() and text.isprintable()):
        text = _INVISIBLE.sub("", text)
    return " ".join(text.split())


def make_cleaner(simplified: bool) -> Callable[[str], str]:
    """Return `clean_text`, or a function that also turns Traditional into Simplified Chinese.

    With OpenCC (extra `chinese`) by whole words, else character by character.
    """
    if not simplified:
        return clean_text
    try:
        from opencc import OpenCC
    except ImportError:
        return lambda text: simplify_characters(clean_text(text))
    converter = OpenCC("t2s")

    def clean(text: str) -> str:
        text = clean_text(text)
        # The converter is pure Python and slow: only text with Han characters goes through it.
        return str(converter.convert(text)) if _HAN.search(text) else text

    return clean


def clean_id(text: str) -> str:
    """Return an id or an address without white space around it and without control characters."""
    if not (text.isascii() and text.isprintable()):
        text = _INVISIBLE.sub("", text)
    return text.strip()
