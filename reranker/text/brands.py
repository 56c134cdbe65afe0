"""Brands that are known by a Chinese and by a Latin name: 苹果 is Apple, 华为 is Huawei."""

import re
from functools import cache
from importlib import resources

from reranker.text.chinese import simplify_characters

_AMBIGUOUS = "*"
"""Marks a Chinese name that is a word, too (苹果, an apple): in a title it is not taken for a brand."""


def find_other_spellings(brand: str, title: str) -> tuple[str, ...]:
    """Return the names in the other script of a product's brand, and of brands that its Chinese title names.

    Names that the title or the brand has already are left out.
    """
    brand, title = simplify_characters(brand).casefold(), simplify_characters(title).casefold()
    table = _load_table()
    names = [name for part in re.split(r"[/()（）]", brand) for name in table.of_brand.get(part.strip(), ())]
    names += [table.of_title[match] for match in table.in_title.findall(title)]
    return tuple(name for name in dict.fromkeys(names) if name.casefold() not in f"{brand} {title}")


class _Table:
    """The brands: the other names by a brand's case-folded name, and by a Chinese name in a title."""

    def __init__(self, lines: list[str]) -> None:
        self.of_brand: dict[str, tuple[str, ...]] = {}
        self.of_title: dict[str, str] = {}
        for line in lines:
            chinese, latin = line.split()
            latin, name = latin.replace("_", " "), chinese.removesuffix(_AMBIGUOUS)
            self.of_brand[name] = (latin,)
            self.of_brand[latin.casefold()] = (name,)
            if name == chinese:
                self.of_title[name] = latin
        self.in_title = re.compile("|".join(sorted(self.of_title, key=len, reverse=True)))


@cache
def _load_table() -> _Table:
    text = resources.files("reranker.text").joinpath("data/brands.txt").read_text(encoding="utf-8")
    return _Table(text.splitlines())
