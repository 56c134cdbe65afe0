"""Chinese text: Traditional characters to Simplified ones, and the script of a text."""

import re
from functools import cache
from importlib import resources

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA_OR_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7af]")


def simplify_characters(text: str) -> str:
    """Return `text` with each Traditional character as a Simplified one; the length stays the same.

    Characters are replaced one by one, which is right for all but a few words of shops (乾 is 干 even in
    乾隆). 2,500 characters are known: those of Big5 that have a Simplified form in GB 2312.
    """
    return text if text.isascii() else text.translate(simplified_table())


@cache
def simplified_table() -> dict[int, str]:
    """Return the Simplified character of each Traditional one, by code point."""
    lines = resources.files("reranker.text").joinpath("data/simplified.txt").read_text(encoding="utf-8")
    traditional, simplified = lines.split()
    return {ord(one): other for one, other in zip(traditional, simplified, strict=True)}


def is_chinese(text: str) -> bool:
    """Return whether a text is Chinese: it has a Han character, and neither kana nor hangul."""
    return not text.isascii() and bool(_HAN.search(text)) and not _KANA_OR_HANGUL.search(text)
