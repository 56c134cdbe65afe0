"""Numbers with units, in queries and in products' texts, converted to one unit a dimension."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

EXACT, EQUAL = 0.005, 0.02
"""By how much measures may differ to be exactly equal, and equal (24 or 23.8 inches, 6 ft or 1.8 m)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: 1 of it is `factor` of its dimension's base. Units of a `scale` are said of the same things."""

    name: str
    dimension: str
    factor: float
    scale: int
    number: int


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with a unit as a text says it; `value` is in the dimension's base unit."""

    value: float
    number: float
    unit: Unit
    start: int
    end: int
    decimals: int = 0

    @property
    def tolerance(self) -> float:
        """By how much another measure may differ and be equal, as the logarithm of a ratio.

        Half of what its last digit counts: 15.4 inches are not 15.6, and 24 may be 23.8.
        """
        half = 0.5 * 10.0**-self.decimals / max(self.number, 1e-9)
        return min(max(half, EXACT), EQUAL)


UnitTable = Mapping[str, Mapping[str, tuple[float, int, str]]]
"""Units by dimension and name: factor, scale, and spellings, separated by | or blanks."""


def _read_units() -> UnitTable:
    data: UnitTable = json.loads(
        resources.files(__package__).joinpath("data/units.json").read_text(encoding="utf-8")
    )
    return data


UNITS: list[Unit] = []
"""Every unit, by its number. Those of a domain come after the engine's own."""

_SPELLINGS: dict[str, Unit] = {}
_NUMBER = r"(?<![\w.,/])([0-9]{1,9}(?:[.,][0-9]{1,6})*)"


def _make_pattern() -> re.Pattern[str]:
    spellings = "|".join(map(re.escape, sorted(_SPELLINGS, key=len, reverse=True)))
    return re.compile(rf"{_NUMBER}[ -]?({spellings})(?![a-zà-ÿ0-9²³])", re.IGNORECASE)


def use_units(domain: UnitTable) -> None:
    """Know a domain's units beside the engine's own, in this process, in place of another domain's.

    A spelling of the domain's wins over the same of the engine's.
    """
    global _measure
    UNITS.clear()
    _SPELLINGS.clear()
    for table, is_own in ((_read_units(), True), (domain, False)):
        for dimension, named in table.items():
            for name, (factor, scale, spelt) in named.items():
                unit = Unit(name, dimension, factor, scale, len(UNITS))
                UNITS.append(unit)
                for spelling in spelt.split("|") if "|" in spelt else spelt.split():
                    if not is_own or spelling not in _SPELLINGS:
                        _SPELLINGS[spelling] = unit
    _measure = _make_pattern()
    find_unit.cache_clear()


_MOBILE = re.compile(r"[2-6]\s?G")


def find_measures(text: str) -> list[Measure]:
    """Return the numbers with units of a normalised text. `4G` is a network, `2 in 1` no length."""
    measures = []
    for match in _measure.finditer(text):
        unit = _SPELLINGS[match.group(2).casefold()]
        following = text[match.end() : match.end() + 2].strip()
        if _MOBILE.fullmatch(match.group()) or (
            match.group(2).casefold() == "in" and following[:1].isdigit()
        ):
            continue
        number = parse_number(match.group(1))
        decimals = 0 if number.is_integer() else len(re.split("[.,]", match.group(1))[-1])
        measures.append(Measure(number * unit.factor, number, unit, match.start(), match.end(), decimals))
    return measures


def parse_number(text: str) -> float:
    """Return a number: a comma before exactly three digits groups thousands, any other is the decimal one."""
    if re.fullmatch(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?", text):
        return float(text.replace(",", ""))
    integer, _, rest = text.replace(",", ".").partition(".")
    return float(f"{integer}.{re.sub('[^0-9]', '', rest) or 0}")


@lru_cache(maxsize=4096)
def find_unit(word: str) -> Unit | None:
    """Return the unit that a case-folded word names, None for another word."""
    return _SPELLINGS.get(word)


_measure: re.Pattern[str]
use_units({})
