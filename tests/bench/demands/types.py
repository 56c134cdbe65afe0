"""Product types of the electronics catalogue: what shoppers call them, and which products are of each.

Only the measurement knows these. Nothing of them is in the product's own code.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mappings.types import Product

Check = Callable[[Product], bool]


@dataclass(frozen=True, slots=True)
class ProductType:
    """A product type: the words that shoppers use, and whether a product is of it."""

    words: tuple[str, ...]
    check: Check


def number(product: Product, name: str) -> float | None:
    """Return a numeric attribute, None where the product has none."""
    value = product.attributes.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _titled(pattern: str, without: str = r"(?!)") -> Check:
    wanted, other = re.compile(pattern, re.IGNORECASE), re.compile(without, re.IGNORECASE)
    return lambda product: bool(wanted.search(product.title)) and not other.search(product.title)


def _screen(check: Check, low: float, high: float, unsaid: float = 0) -> Check:
    return lambda product: low <= (number(product, "display diagonal") or unsaid) <= high and check(product)


def _cable(pattern: str) -> Check:
    named = _titled(pattern, r"adapter|converter|splitter|switch\b|\bhub\b|mouse|keyboard|headset|webcam")
    return lambda product: number(product, "cable length") is not None and named(product)


def _is_monitor(product: Product) -> bool:
    other = ("internal memory", "processor family", "hdd capacity", "tv tuner integrated type")
    named = _titled(
        r"monitor|pixels|lcd",
        r"notebook|\btv\b|tablet|frame|laptop|projector|camera|case|phone|console|cable|filter|mount|stand|arm\b",
    )
    return named(product) and not any(name in product.attributes for name in other)


def _is_phone(product: Product) -> bool:
    named = _titled(r"phone|\b[345]G\b|galaxy|iphone", r"case|cover|tablet|headphone|camera|frame")
    return "internal memory" in product.attributes and named(product)


_LAPTOP = _titled(
    r"notebook|laptop|chromebook|ultrabook|netbook", r"\b(case|bag|sleeve|adapter|lock|stand)\b"
)
_PARTS = r"\b(case|bag|pad|sleeve|stand|mount|holder|cover|kit|tray|adapter|rest)\b"

TYPES: dict[str, ProductType] = {
    "laptop": ProductType(("laptop", "notebook"), _screen(_LAPTOP, 8, 20)),
    "monitor": ProductType(("monitor", "computer monitor"), _screen(_is_monitor, 14, 100, unsaid=14)),
    "tv": ProductType(("tv",), _screen(_titled(r"\btv\b|television"), 14, 100)),
    "tablet": ProductType(("tablet",), _screen(_titled(r"tablet", _PARTS), 6, 14)),
    "phone": ProductType(("smartphone", "phone"), _screen(_is_phone, 1, 7.5)),
    "desktop": ProductType(
        ("desktop pc", "computer"),
        _titled(
            r"\bpc\b|workstation|tower",
            r"memory|case|cable|power supply|ups\b|mobile|notebook|laptop|headset|speaker",
        ),
    ),
    "usb stick": ProductType(
        ("usb stick", "usb flash drive"), _titled(r"usb (flash )?(drive|stick)|flash drive|usb-stick")
    ),
    "memory card": ProductType(
        ("memory card", "sd card"),
        _titled(r"memory card|\bsd(hc|xc)?\b|microsd|compact ?flash", r"reader|adapter$"),
    ),
    "ssd": ProductType(
        ("ssd",), _titled(r"\bssd\b|solid.state", r"notebook|\bpc\b|workstation|server|cm \(")
    ),
    "hard drive": ProductType(
        ("hard drive", "hard disk"),
        _titled(
            r"hard (disk )?drive|\bhdd\b|hard disk",
            r"notebook|\bpc\b|workstation|server|cm \(|caddy|enclosure",
        ),
    ),
    "hdmi cable": ProductType(("hdmi cable",), _cable(r"hdmi.*cable|cable.*hdmi")),
    "usb cable": ProductType(("usb cable",), _cable(r"usb.*cable")),
    "network cable": ProductType(
        ("network cable", "ethernet cable", "patch cable"),
        _cable(r"network(ing)? cable|patch cable|\bcat ?[567]"),
    ),
    "vga cable": ProductType(("vga cable",), _cable(r"vga.*cable")),
    "dvi cable": ProductType(("dvi cable",), _cable(r"dvi.*cable")),
    "displayport cable": ProductType(("displayport cable",), _cable(r"displayport.*cable")),
    "fibre cable": ProductType(("fibre optic cable", "fiber cable"), _cable(r"fib(re|er).*cable")),
    "power cable": ProductType(("power cable", "power cord"), _cable(r"power (cable|cord)")),
    "keyboard": ProductType(("keyboard",), _titled(r"\bkeyboard\b", rf"{_PARTS}|notebook|tablet")),
    "mouse": ProductType(
        ("mouse",), _titled(r"\bmouse\b", rf"{_PARTS}|families|keyboard|notebook|pillow|wrist")
    ),
    "headphones": ProductType(
        ("headphones", "headset"),
        _titled(r"headphones?\b|headset|earphones?|earbuds", rf"{_PARTS}|cable|amplifier"),
    ),
    "speaker": ProductType(
        ("speaker", "speakers"), _titled(r"\b(loud)?speakers?\b", rf"{_PARTS}|cable|monitor|notebook")
    ),
    "camera": ProductType(
        ("camera", "digital camera"),
        _titled(r"\bcamera\b", rf"{_PARTS}|cable|battery|lens\b|strap|phone|tripod"),
    ),
    "notebook case": ProductType(
        ("laptop bag", "notebook case"), _titled(r"(notebook|laptop).*(case|bag|sleeve|backpack)|backpack")
    ),
    "printer": ProductType(
        ("printer", "laser printer"),
        _titled(r"\bprinter\b|laserjet|ppm\b", r"toner|cartridge|memory|tray|kit|cable|paper|stand|cabinet"),
    ),
    "toner": ProductType(("toner", "toner cartridge"), _titled(r"toner")),
    "ink": ProductType(("ink", "ink cartridge"), _titled(r"\bink\b")),
    "paper": ProductType(
        ("paper", "photo paper"), _titled(r"\bpaper\b|printing paper", r"tray|printer|cassette|feed")
    ),
    "mouse pad": ProductType(("mouse pad",), _titled(r"mouse ?pad")),
}
"""What shoppers call each product type first, then other words for it."""
