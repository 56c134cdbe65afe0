"""A made-up Chinese shop: what a Chinese model learns from, since no real one's titles may be redistributed.

A title strings words together as sellers do: brand, type, properties, audience, colour, material, measure, in
an order and with spaces or none, as drawn. Words of a general dictionary are mixed in, so that the encoders
meet more than the 2,500 words of the shop.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mappings.types import Judgement, Product

_WORDS = Path(__file__).parents[1] / "data" / "chinese" / "shop_words.json"

_HELD_OUT = 5

_GRADED_OTHERS = 8
"""Products of other departments that are judged for a query."""

_GRADED_NEAR = 10
"""Products of the same department, and as many that answer, that are judged for a query at most."""


@dataclass(frozen=True)
class MadeProduct:
    """A product and what it was made from."""

    product: Product
    department: str
    type: str
    brand: str
    words: frozenset[str]


@dataclass(frozen=True)
class _Department:
    name: str
    brands: list[str]
    types: list[str]
    words: list[str]


class MadeShop:
    """The made-up shop. `dictionary` are words of a general dictionary. Everything is seeded.

    Every fifth type of product, brand and property of a department is only in shops for tests: models don't
    learn from them.
    """

    def __init__(self, dictionary: Sequence[str], seed: int, for_test: bool = False) -> None:
        values = json.loads(_WORDS.read_text(encoding="utf-8"))
        self._common = {name: text.split() for name, text in values["common"].items()}
        self._phrases = values["phrases"].split()
        self._departments = [
            _Department(
                each["name"],
                *(_select(each[part].split(), for_test) for part in ("brands", "types", "words")),
            )
            for each in values["departments"]
        ]
        self._dictionary = list(dictionary)
        self._seed = seed

    def make_products(self, count: int) -> list[MadeProduct]:
        """Return `count` products."""
        chooser = random.Random(self._seed)
        return [self._make_product(f"zh-{number}", chooser) for number in range(count)]

    def make_judgements(self, made: Sequence[MadeProduct], count: int) -> list[Judgement]:
        """Return graded products of `count` queries: 3 has all that the query names, 1 only the type.

        An accessory or another thing of the same department, and things of other departments, get 0.
        """
        chooser = random.Random(self._seed + 1)
        by_type: dict[str, list[MadeProduct]] = {}
        by_department: dict[str, list[MadeProduct]] = {}
        for each in made:
            by_type.setdefault(each.type, []).append(each)
            by_department.setdefault(each.department, []).append(each)
        judgements: dict[tuple[str, str], Judgement] = {}
        for source in chooser.sample(list(made), count):
            named = _name_parts(source, chooser)
            query = chooser.choice(["", " "]).join(chooser.sample(named, len(named)))
            alike = by_type[source.type]
            near = by_department[source.department]
            pool = [
                source,
                *chooser.sample(alike, min(_GRADED_NEAR, len(alike))),
                *chooser.sample(near, min(_GRADED_NEAR, len(near))),
                *chooser.sample(list(made), _GRADED_OTHERS),
            ]
            for each in pool:
                grade = _grade(source, named, each)
                judgements[query, each.product.id] = Judgement(query, each.product.id, grade)
        return list(judgements.values())

    def _make_product(self, product_id: str, chooser: random.Random) -> MadeProduct:
        department = chooser.choice(self._departments)
        kind = chooser.choice(department.types)
        spellings = chooser.choice(department.brands).split("/") if chooser.random() < 0.8 else []
        common = self._common
        parts: list[list[str]] = [chooser.sample(department.words, chooser.randint(1, 4))]
        if spellings and chooser.random() < 0.85:
            parts.append(spellings if chooser.random() < 0.4 else [chooser.choice(spellings)])
        for name, share in (("openings", 0.5), ("closings", 0.5), ("audiences", 0.25), ("colours", 0.25)):
            if chooser.random() < share:
                parts.append(chooser.sample(common[name], chooser.randint(1, 2)))
        if chooser.random() < 0.25:
            parts.append([chooser.choice(common["materials"])])
        if chooser.random() < 0.3:
            parts.append([chooser.choice(common["measures"]).replace("{n}", str(_draw_number(chooser)))])
        if chooser.random() < 0.25:
            parts.append([_draw_model(chooser)])
        if self._dictionary and chooser.random() < 0.6:
            parts.append(chooser.sample(self._dictionary, min(chooser.randint(1, 3), len(self._dictionary))))
        if chooser.random() < 0.3:
            parts.append([chooser.choice(department.types)] if chooser.random() < 0.3 else [kind])
        chooser.shuffle(parts)
        at = len(parts) - chooser.randint(0, min(2, len(parts)))
        parts.insert(at, [kind])
        space = chooser.choice(["", "", " "])
        title = chooser.choice(["", " "]).join(space.join(part) for part in parts)
        words = frozenset(word for part in parts for word in part) | set(spellings)
        brand = chooser.choice(spellings) if spellings and chooser.random() < 0.5 else ""
        category = f"{department.name} > {kind}" if chooser.random() < 0.3 else ""
        described = chooser.random() < 0.25
        description = "，".join(chooser.sample(self._phrases, chooser.randint(1, 3))) if described else ""
        attributes = {"颜色": chooser.choice(common["colours"])} if chooser.random() < 0.15 else {}
        product = Product(product_id, title, brand, category, description, attributes=attributes)
        return MadeProduct(product, department.name, kind, "/".join(spellings), words)


def _select(words: list[str], for_test: bool) -> list[str]:
    return words if for_test else [word for number, word in enumerate(words) if number % _HELD_OUT != 2]


def _name_parts(source: MadeProduct, chooser: random.Random) -> list[str]:
    """Return what a query for a product names: its type, and mostly its brand or some of its words."""
    named = [source.type]
    if source.brand and chooser.random() < 0.35:
        named.append(chooser.choice(source.brand.split("/")))
    others = sorted(word for word in source.words if word not in source.brand and word != source.type)
    if others and chooser.random() < 0.5:
        named += chooser.sample(others, min(len(others), chooser.randint(1, 2)))
    return named


def _grade(source: MadeProduct, named: Sequence[str], product: MadeProduct) -> int:
    if product.type != source.type:
        return 0
    missing = sum(name not in product.words for name in named)
    return 3 if missing == 0 else 2 if missing == 1 and len(named) > 2 else 1


def _draw_number(chooser: random.Random) -> int:
    return chooser.choice(
        [1, 2, 3, 5, 6, 8, 10, 12, 15, 16, 20, 24, 27, 32, 50, 55, 64, 100, 120, 128, 200, 250, 500]
    )


def _draw_model(chooser: random.Random) -> str:
    letters = "".join(chooser.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=chooser.randint(1, 3)))
    end = chooser.choice(["", "", "A", "S"])
    return f"{letters}{chooser.choice(['', '', '-'])}{chooser.randint(10, 9999)}{end}"
