"""The queries of the demo, and what each of them shows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoQuery:
    """A shopper's query, and what its hits show, in one line."""

    text: str
    shows: str


DEMO_QUERIES = (
    DemoQuery("ear phones", "two words for what the catalogue spells in one: no keyword matches"),
    DemoQuery("something to carry my laptop in", "a need in a sentence, no product's own words"),
    DemoQuery("wireless mice", "a plural that no stemmer undoes"),
    DemoQuery("notebook for gaming", "a purpose: by keyword, games for gaming come first"),
    DemoQuery("speakers for pc", "the thing itself: by keyword, cables that go with it"),
    DemoQuery("cheap printer for home office", "printers, not whatever has the most of these words"),
    DemoQuery("headphones for running", "a use: by keyword, a jigsaw puzzle about running comes first"),
    DemoQuery(
        "ink for epson stylus photo", "an accessory for a device: by keyword, photo paper comes in between"
    ),
    DemoQuery("27 inch monitor", "a measure: by keyword, any monitor with inches in its title"),
    DemoQuery(
        "toner for brother hl-2140", "what fits a printer, known by its number: here keyword search is better"
    ),
    DemoQuery("netgear", "a brand: keyword search is just as good"),
    DemoQuery("rt n12", "a model number, spaced another way: keyword search is just as good"),
)
"""Chosen from some fifty queries. In the last three, keyword search is as good or better."""
