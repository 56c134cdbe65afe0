"""ICD-10-CM, the codes of diagnoses in the United States, from the package simple-icd-10-cm."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import cache

from defusedxml.ElementTree import parse

from indexer.terminologies.terminology import Terminology, find_package_folder
from mappings.errors import CatalogueError
from mappings.types import JsonObject

_PACKAGE = "simple_icd_10_cm"
_NOTES = ("inclusionTerm", "includes")
_CATEGORY = 4
"""Characters of the longest code of a category or its first subdivision."""

_AGES = {"P": (0, 1), "O": (10, 60)}
"""Ages in years of the patients of two chapters: newborns, and pregnancy with childbirth."""


@cache
def read_icd10cm() -> Terminology:
    """Return its codes but for those of seven characters, which repeat the others' texts.

    Raises ImportError where the package is not installed, and CatalogueError where its file is missing.
    """
    files = sorted((find_package_folder(_PACKAGE) / "data").glob("icd10c-tabular-*.xml"))
    if not files:
        raise CatalogueError(f"the package {_PACKAGE} holds no tabular list")
    root = parse(files[-1]).getroot()
    entries = [
        entry
        for chapter in root.iter("chapter")
        for section in chapter.iter("section")
        for diagnosis in section.findall("diag")
        for entry in _list_codes(diagnosis, (_text(chapter, "desc"), _text(section, "desc")))
    ]
    return Terminology(entries, (), int(files[-1].stat().st_mtime * 1000))


@cache
def read_icd10cm_categories() -> Terminology:
    """Return its codes of three and four characters. Raises as `read_icd10cm` does."""
    terminology = read_icd10cm()
    short = [entry for entry in terminology.entries if len(entry["id"].replace(".", "")) <= _CATEGORY]
    return Terminology(short, (), terminology.moment_ms)


def _list_codes(node: ElementTree.Element, above: tuple[str, ...]) -> Iterator[JsonObject]:
    code, title = _text(node, "name"), _text(node, "desc")
    low, high = _AGES.get(code[0], (None, None))
    notes = [
        note.text or "" for name in _NOTES for each in node.findall(name) for note in each.findall("note")
    ]
    yield {
        "id": code,
        "title": title,
        "kind": "code",
        "group": list(dict.fromkeys(part.partition(" (")[0] for part in above)),
        "findings": "; ".join(notes),
        "min_age": low,
        "max_age": high,
        "source": f"ICD-10-CM {code}",
    }
    for child in node.findall("diag"):
        yield from _list_codes(child, (*above[:2], title))


def _text(node: ElementTree.Element, name: str) -> str:
    return " ".join((node.findtext(name) or "").split())
