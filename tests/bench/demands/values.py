"""The values that queries demand, by kind: the words that ask for each, and which products have it."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mappings.types import Product
from tests.bench.demands.types import TYPES, Check, number

LEAST = 3
"""Products that must satisfy a query for it to count."""


@dataclass(frozen=True, slots=True)
class ValueOfKind:
    """One value of one kind for some types: words that ask for it, and whether a product has it."""

    kind: str
    value: str
    types: tuple[str, ...]
    wordings: tuple[str, ...]  # {} stands for the type's words
    check: Check


def list_values(products: Sequence[Product], rows: dict[str, list[int]]) -> Iterator[ValueOfKind]:
    yield from _inches()
    yield from _gigabytes()
    yield from _metres()
    yield from _memory()
    yield from _colours()
    yield from _materials()
    yield from _sizes()
    yield from _processors()
    yield from _prices(products, rows)
    yield from _without()
    yield from _fits(products, rows)


def _near(names: Sequence[str], value: float, tolerance: float, product: Product) -> bool:
    numbers = (number(product, name) for name in names)
    return any(v is not None and abs(v - value) <= tolerance * value for v in numbers)


def _inches() -> Iterator[ValueOfKind]:
    for value in (
        7,
        8,
        10.1,
        13.3,
        14,
        15.4,
        15.6,
        17,
        17.3,
        19,
        20,
        21.5,
        22,
        23,
        23.8,
        24,
        27,
        32,
        40,
        42,
        47,
    ):
        wordings = (f"{value} inch {{}}", f'{value}" {{}}', f"{{}} {value} inch", f"{value}in {{}}")
        types = ("monitor", "laptop", "tv", "tablet")
        said = re.compile(rf"(?<![\d.,]){value}(\"|''|”| ?-?in(ch)?\b)", re.IGNORECASE)
        check = partial(_says_or_near, said, ("display diagonal",), value, 0.012)
        yield ValueOfKind("inches", str(value), types, wordings, check)


def _gigabytes() -> Iterator[ValueOfKind]:
    names = (
        "flash memory",
        "capacity",
        "memory capacity",
        "ssd capacity",
        "hdd capacity",
        "storage capacity",
        "internal memory",
        "total storage capacity",
        "hard drive capacity",
    )
    for value in (
        1,
        2,
        4,
        8,
        16,
        32,
        64,
        80,
        120,
        128,
        160,
        240,
        250,
        256,
        320,
        480,
        500,
        512,
        1000,
        2000,
        4000,
    ):
        wordings = (f"{value}gb {{}}", f"{value} gb {{}}", f"{{}} {value}GB")
        if value >= 1000:
            wordings = (f"{value // 1000}tb {{}}", f"{{}} {value // 1000} TB", f"{value}gb {{}}")
        said = re.compile(
            rf"(?<![\d.,]){value} ?gb\b|{f'(?<![0-9.,]){value // 1000} ?tb' if value >= 1000 else '(?!)'}",
            re.I,
        )
        types = ("usb stick", "memory card", "ssd", "hard drive")
        yield ValueOfKind(
            "gigabytes", str(value), types, wordings, partial(_says_or_near, said, names, value, 0.03)
        )


def _says_or_near(
    said: re.Pattern[str], names: Sequence[str], value: float, tolerance: float, product: Product
) -> bool:
    return bool(said.search(product.title)) or _near(names, value, tolerance, product)


def _metres() -> Iterator[ValueOfKind]:
    cables = tuple(name for name in TYPES if name.endswith("cable"))
    for value in (0.3, 0.5, 0.9, 1, 1.5, 1.8, 2, 2.1, 3, 4.6, 5, 6, 7, 7.6, 10, 15, 20, 30):
        wordings = (f"{value}m {{}}", f"{value} metre {{}}", f"{{}} {value} m", f"{{}} {value}m")
        check = partial(_near, ("cable length",), value, 0.03)
        yield ValueOfKind("metres", str(value), cables, wordings, check)


def _memory() -> Iterator[ValueOfKind]:
    for value in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64):
        wordings = (
            f"{{}} {value}gb ram",
            f"{value} gb ram {{}}",
            f"{{}} with {value}gb memory",
            f"{{}} {value} gb ram",
        )
        check = partial(_near, ("internal memory", "ram capacity"), value, 0.01)
        yield ValueOfKind("memory", str(value), ("laptop", "desktop", "phone", "tablet"), wordings, check)


_COLOURS = {
    "black": "black",
    "white": "white",
    "grey": "gr[ae]y",
    "silver": "silver",
    "blue": "blue|navy",
    "red": "red",
    "green": "green",
    "yellow": "yellow",
    "pink": "pink",
    "orange": "orange",
    "purple": "purple|violet",
    "brown": "brown",
    "gold": "gold",
    "beige": "beige",
}


def _colours() -> Iterator[ValueOfKind]:
    types = (
        "keyboard",
        "mouse",
        "headphones",
        "notebook case",
        "speaker",
        "camera",
        "laptop",
        "phone",
        "network cable",
        "usb cable",
        "usb stick",
        "mouse pad",
    )
    for colour, pattern in _COLOURS.items():
        wordings = (f"{colour} {{}}", f"{{}} {colour}", f"{colour} {{}}")
        if colour == "grey":
            wordings = ("grey {}", "gray {}")
        check = partial(_is_coloured, re.compile(rf"\b({pattern})", re.IGNORECASE))
        yield ValueOfKind("colour", colour, types, wordings, check)


def _is_coloured(pattern: re.Pattern[str], product: Product) -> bool:
    names = ("product colour", "cable colour", "colour name", "colour of product", "housing colour")
    values = [str(product.attributes[name]) for name in names if name in product.attributes]
    return any(map(pattern.search, values)) if values else bool(pattern.search(product.title))


def _materials() -> Iterator[ValueOfKind]:
    for material in (
        "leather",
        "nylon",
        "polyester",
        "neoprene",
        "aluminium",
        "plastic",
        "metal",
        "steel",
        "rubber",
    ):
        wordings = (f"{material} {{}}", f"{{}} {material}")
        types = ("notebook case", "mouse pad", "headphones", "laptop", "keyboard", "mouse", "usb stick")
        pattern = re.compile(rf"\b{material}".replace("ium", "i?um"), re.IGNORECASE)
        yield ValueOfKind("material", material, types, wordings, partial(_is_made_of, pattern))


def _is_made_of(pattern: re.Pattern[str], product: Product) -> bool:
    values = [str(v) for name, v in product.attributes.items() if "material" in name]
    return any(map(pattern.search, values)) if values else bool(pattern.search(product.title))


def _sizes() -> Iterator[ValueOfKind]:
    for size in ("A3", "A4", "A5", "A6", "A2", "10x15", "13x18"):
        spaced = size.replace("x", r"\s?x\s?")
        pattern = re.compile(rf"(?<![\w]){spaced}(?![\w+])", re.IGNORECASE)
        yield ValueOfKind(
            "size",
            size,
            ("paper", "printer"),
            (f"{size} {{}}", f"{{}} {size.lower()}"),
            partial(_is_sized, pattern),
        )


def _is_sized(pattern: re.Pattern[str], product: Product) -> bool:
    names = (
        "paper size",
        "sheet size",
        "standard media sizes",
        "maximum iso a series paper size",
        "media sizes",
    )
    said = " ".join(str(product.attributes.get(name, "")) for name in names)
    return bool(pattern.search(f"{product.title} {said}"))


def _processors() -> Iterator[ValueOfKind]:
    families = {
        "i3": r"\bi3\b",
        "i5": r"\bi5\b",
        "i7": r"\bi7\b",
        "i9": r"\bi9\b",
        "celeron": "celeron",
        "pentium": "pentium",
        "xeon": "xeon",
        "ryzen": "ryzen",
        "core 2 duo": r"core ?.?2 duo",
        "atom": r"\batom\b",
        "ryzen 5": r"ryzen.? 5",
        "ryzen 7": r"ryzen.? 7",
        "athlon": "athlon",
    }
    for family, pattern in families.items():
        wordings = (f"{{}} {family}", f"{family} {{}}", f"{{}} with {family}", f"{{}} {family} processor")
        check = partial(_has_processor, re.compile(pattern, re.IGNORECASE))
        yield ValueOfKind("processor", family, ("laptop", "desktop"), wordings, check)


def _has_processor(pattern: re.Pattern[str], product: Product) -> bool:
    names = ("processor family", "processor model", "processor series", "processor brand name")
    said = " ".join(str(product.attributes.get(name, "")) for name in names)
    return bool(pattern.search(f"{product.title} {said}".replace("™", " ").replace("®", " ")))


def _prices(products: Sequence[Product], rows: dict[str, list[int]]) -> Iterator[ValueOfKind]:
    for name in (
        "headphones",
        "keyboard",
        "mouse",
        "laptop",
        "monitor",
        "printer",
        "speaker",
        "usb stick",
        "toner",
        "notebook case",
        "camera",
        "memory card",
        "hdmi cable",
        "phone",
        "tablet",
        "tv",
    ):
        prices = [price for row in rows[name] if (price := products[row].price)]
        if len(prices) < 2 * LEAST:
            continue
        for share in (0.2, 0.35, 0.5):
            limit = _round(float(np.quantile(prices, share)))
            above = _round(float(np.quantile(prices, 1 - share)))
            under = (
                f"{{}} under {limit}",
                f"{{}} below {limit} euro",
                f"{{}} under ${limit}",
                f"{{}} less than {limit}",
            )
            over = (f"{{}} over {above}", f"{{}} above ${above}")
            between = (f"{{}} between {limit} and {2 * limit}", f"{{}} from {limit} to {2 * limit} euro")
            yield ValueOfKind("price", f"{name} < {limit}", (name,), under, partial(_costs, 0, limit))
            yield ValueOfKind("price", f"{name} > {above}", (name,), over, partial(_costs, above, 1e9))
            yield ValueOfKind(
                "price", f"{name} {limit} to {2 * limit}", (name,), between, partial(_costs, limit, 2 * limit)
            )


def _round(price: float) -> int:
    step = 10 ** max(len(str(int(price))) - 2, 0) * 5
    return max(int(price) // step * step, 5)


def _costs(low: float, high: float, product: Product) -> bool:
    return product.price is not None and low <= product.price <= high


def _without() -> Iterator[ValueOfKind]:
    wordings = ("{} without {}", "{} no {}", "{} with no {}")
    wireless = partial(
        _says, re.compile(r"wireless|bluetooth|cordless|\bwlan\b", re.IGNORECASE), "connectivity technology"
    )
    for thing in ("cable", "wire", "cord"):
        ways = tuple(w.format("{}", thing) for w in wordings)
        yield ValueOfKind("without", thing, ("mouse", "keyboard", "headphones", "speaker"), ways, wireless)
    lacks = {
        "touchscreen": "touchscreen",
        "numeric keypad": "numeric keypad",
        "fingerprint reader": "fingerprint reader",
        "bluetooth": "bluetooth",
        "wifi": "wi fi",
        "built in speakers": "built in speaker s",
        "ethernet": "ethernet lan",
        "duplex printing": "duplex printing",
        "backlight": "keyboard backlit",
        "card reader": "card reader integrated",
        "tv tuner": "tv tuner integrated",
        "microphone": "built in microphone",
        "camera": "built in camera",
    }
    for thing, name in lacks.items():
        ways = tuple(w.format("{}", thing) for w in wordings)
        types = ("laptop", "desktop", "monitor", "printer", "keyboard", "tv", "headphones", "phone")
        yield ValueOfKind("without", thing, types, ways, partial(_lacks, name))
    for thing, pattern in {
        "optical drive": "optical drive type",
        "operating system": "operating system installed",
    }.items():
        ways = tuple(w.format("{}", thing) for w in wordings)
        yield ValueOfKind("without", thing, ("laptop", "desktop"), ways, partial(_has_none, pattern))


def _says(pattern: re.Pattern[str], name: str, product: Product) -> bool:
    return bool(pattern.search(f"{product.title} {product.attributes.get(name, '')}"))


def _lacks(name: str, product: Product) -> bool:
    return product.attributes.get(name) is False


def _has_none(name: str, product: Product) -> bool:
    value = product.attributes.get(name)
    return isinstance(value, str) and value.casefold() in (
        "n",
        "no",
        "none",
        "not available",
        "not supported",
    )


_MODEL = re.compile(r"(?<![\w-])[A-Za-z]{1,4}[- ]?\d{2,5}[A-Za-z]{0,4}(?![\w-])")


def _fits(products: Sequence[Product], rows: dict[str, list[int]]) -> Iterator[ValueOfKind]:
    for name in ("toner", "ink"):
        models: dict[str, int] = {}
        for row in rows[name]:
            for model in set(_MODEL.findall(str(products[row].attributes.get("compatibility", "")))):
                models[model] = models.get(model, 0) + 1
        often = [
            model for model, count in models.items() if LEAST <= count <= 40 and len(_compact(model)) > 3
        ]
        often.sort(key=lambda model: hashlib.blake2b(model.encode(), digest_size=8).digest())
        for model in often[:60]:
            forms = dict.fromkeys(
                (model.lower(), _compact(model), model, re.sub(r"(?<=[A-Za-z])(?=\d)", "-", model))
            )
            ways = (
                *(f"{{}} for {form}" for form in forms),
                f"{model} {{}}",
                f"{{}} compatible with {model}",
            )
            yield ValueOfKind("fits", model, (name,), ways, partial(_is_for, _compact(model)))


def _compact(text: str) -> str:
    return re.sub(r"[\s\-_/.]", "", text).casefold()


def _is_for(model: str, product: Product) -> bool:
    said = f"{product.title} | {product.description} | {product.attributes.get('compatibility', '')}"
    return bool(re.search(rf"(?<![a-z0-9]){re.escape(model)}(?![0-9])", _joined(said)))


def _joined(text: str) -> str:
    """Write model numbers together: `HL-2140` and `HL 2140` are hl2140."""
    return re.sub(r"(?<=[a-z])[\s-](?=\d)", "", text.casefold())
