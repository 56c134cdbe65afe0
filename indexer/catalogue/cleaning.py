"""Text as shops export it → text as shoppers type it.

HTML goes, entities are resolved, Unicode is normalised (NFKC: full-width Ａ → A, ﬁ → fi, ㎝ → cm), control
and invisible characters go, white space collapses. Letter case stays. Plain NFKC would damage some of what
a shop writes, so these come first:

    ™ ® © ℠     dropped: nobody types them (NFKC: TM)
    2½, 1⁄2     2 1/2, 1/2 (NFKC: 21⁄2 with a slash that no keyboard has)
    m², 10²     m2, 10^2 (NFKC: 102)
    90º, µF     90°, µF (NFKC: 90o, and a Greek μ)
    15.6″ ’ –   15.6" ' - (all the typographic quotes, primes and dashes)
"""

import re
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser

from mappings.errors import CatalogueError

_INLINE = "a abbr b bdi bdo big code em font i ins mark s small span strong sub sup tt u wbr"
_DROPPED = frozenset(("script", "style"))
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--")
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
# Controls that are no white space, soft hyphens, zero-width and direction marks, unpaired surrogates,
# private use, the replacement character. Joiners (U+200C, U+200D) stay: some scripts need them to spell.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffd\ud800-\udfff\ue000-\uf8ff]"
)
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")


def clean_text(text: str) -> str:
    """Return `text` on one line, without markup, as described at the top of this module."""
    if "<" in text or "&" in text:
        text = _without_html(text)
    if not text.isascii():
        text = _MARKS.sub(lambda match: f" {match[1]}" if match[1] else "", text)
        text = _FRACTION.sub(lambda match: f"{match[1]} {match[2]}" if match[1] else match[2], text)
        text = _POWER.sub("^", text)
        text = _DEGREE.sub("°", text).translate(_TYPED)
        text = "µ".join(unicodedata.normalize("NFKC", part) for part in text.split("µ"))
        text = text.translate(_TYPED)
    text = _ESCAPED_BREAK.sub(" ", text)
    return " ".join(_INVISIBLE.sub("", text).split())


def make_cleaner(simplified: bool) -> Callable[[str], str]:
    """Return `clean_text`, or a cleaner that also turns Traditional into Simplified Chinese.

    Raises CatalogueError when `simplified` is asked for and OpenCC is not installed.
    """
    if not simplified:
        return clean_text
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise CatalogueError("--simplified needs OpenCC: pip install 'attune[chinese]'") from error
    converter = OpenCC("t2s")

    def clean(text: str) -> str:
        text = clean_text(text)
        # The converter is pure Python and slow: only text with Han characters goes through it.
        return str(converter.convert(text)) if _HAN.search(text) else text

    return clean


def clean_id(text: str) -> str:
    """Return an id without surrounding white space and control characters, otherwise as it is."""
    return _INVISIBLE.sub("", text).strip()


class _TextOnly(HTMLParser):
    """Collects text; every tag that is not inline separates words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._inline = frozenset(_INLINE.split())
        self.parts: list[str] = []
        self._dropping = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in _DROPPED:
            self._dropping = tag
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._dropping:
            self._dropping = ""
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self.parts.append(data)

    def _separate(self, tag: str) -> None:
        if tag not in self._inline:
            self.parts.append(" ")


def _without_html(text: str) -> str:
    # Feeds often escape their markup once more (&lt;p&gt;): what still looks like markup gets a second pass.
    for _ in range(2):
        parser = _TextOnly()
        parser.feed(text)
        parser.close()
        text = "".join(parser.parts)
        if not _TAG.search(text):
            break
    return text
