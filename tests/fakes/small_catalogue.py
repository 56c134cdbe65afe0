"""A small catalogue with typed attributes: screens, notebooks, cables, mice and toner of several brands."""

from collections.abc import Iterator

from mappings.types import Product
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.vocabulary import CatalogueVocabulary

_BRANDS = ("Acme", "Bolt", "Cobra", "Dune", "Elma")
_COLOURS = ("Black", "White", "Silver", "Blue")


def make_small_catalogue() -> list[Product]:
    """Return its 145 products."""
    return [*_screens(), *_notebooks(), *_cables(), *_mice(), *_toners()]


def _screens() -> Iterator[Product]:
    for i, inches in enumerate((19.0, 22.0, 24.0, 27.0, 32.0) * 5):
        title = f'{_BRANDS[i % 5]} M{i} monitor {inches * 2.54:.1f} cm ({inches:g}") {_COLOURS[i % 4]}'
        attributes = {
            "display diagonal": inches,
            "product colour": _COLOURS[i % 4],
            "built in speakers": i % 2 == 0,
        }
        yield Product(f"screen-{i}", title, _BRANDS[i % 5], attributes=attributes, price=100.0 + 10 * i)


def _notebooks() -> Iterator[Product]:
    for i, memory in enumerate((4.0, 8.0, 16.0, 32.0) * 5):
        family = ("Corex i5", "Corex i7", "Razen 5")[i % 3]
        title = f"{_BRANDS[i % 5]} N{i} notebook {_COLOURS[i % 4]} {family} {memory:g} GB RAM 512 GB SSD"
        attributes = {
            "internal memory": memory,
            "ssd capacity": 512.0,
            "processor family": family,
            "product colour": _COLOURS[i % 4],
            "touchscreen": i % 2 == 0,
        }
        yield Product(f"notebook-{i}", title, _BRANDS[i % 5], attributes=attributes, price=400.0 + 20 * i)
        title = f'{_BRANDS[i % 5]} notebook case 39.6 cm (15.6") {_COLOURS[i % 4]}'
        yield Product(
            f"case-{i}", title, _BRANDS[i % 5], attributes={"product colour": _COLOURS[i % 4]}, price=25.0
        )


def _cables() -> Iterator[Product]:
    for i, metres in enumerate((0.5, 1.0, 1.8, 2.0, 5.0) * 5):
        title = f"{_BRANDS[i % 5]} HDMI cable {metres:g} m {_COLOURS[i % 4]}"
        attributes = {"cable length": metres, "cable colour": _COLOURS[i % 4]}
        yield Product(f"cable-{i}", title, _BRANDS[i % 5], attributes=attributes, price=5.0 + i)


def _mice() -> Iterator[Product]:
    for i in range(30):
        how = "Wireless" if i % 3 == 0 else "Wired"
        title = f"{_BRANDS[i % 5]} P{i} mouse {how} {_COLOURS[i % 4]}"
        attributes = {"connectivity technology": how, "product colour": _COLOURS[i % 4]}
        yield Product(f"mouse-{i}", title, _BRANDS[i % 5], attributes=attributes, price=10.0 + i)


def _toners() -> Iterator[Product]:
    for i in range(25):
        models = f"{_BRANDS[i % 5]} HL-21{i}0, HL-31{i}0"
        title = f"{_BRANDS[i % 5]} TN{i}00 toner cartridge {_COLOURS[i % 4]}"
        yield Product(f"toner-{i}", title, _BRANDS[i % 5], attributes={"compatibility": models}, price=40.0)


def learn_titles(*titles: str, **attributes: str | float) -> CatalogueVocabulary:
    """Return the vocabulary of titles that several brands have, all with the same attributes."""
    products = [
        Product(f"{brand}-{place}", f"{brand} {title}", brand, attributes=attributes)
        for brand in ("Acme", "Bolt", "Cobra", "Dune", "Elma")
        for place, title in enumerate(titles)
    ]
    return learn_vocabulary(products)
